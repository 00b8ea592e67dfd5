"""The question pool is varied and names nobody; other files are read or refused; draws are even over categories."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.behaviors.pool import CATEGORIES, PoolEntry, balanced, read_pool
from ws.errors import DataError
from ws.tests.likeness import near_duplicates

POOL = read_pool()
MESSAGES = [entry.user_msg for entry in POOL]
SUFFIXES = [entry.suffix for entry in POOL]

MAX_SAME_OPENING = 0.04
"""Of the pool: more messages than that with the same two first words are a template."""

PERSONAL = {
    "address": re.compile(r"\S@\S"),
    "link": re.compile(r"https?:|www\.|\b[a-z0-9-]+\.(?:com|org|net|io|de)\b", re.IGNORECASE),
    "telephone": re.compile(r"\+\d|\d[\d() /-]{5,}\d"),
    "digits": re.compile(r"\d{5,}"),
    "title": re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|Professor|President|Sir)\b\.? [A-Z]"),
}

NO_PEOPLE = {"Arctic Ocean", "Barrier Reef", "Black Death", "Dead Sea", "Great Barrier", "Great Wall", "Loch Ness"}
NO_PEOPLE |= {"Mount Everest", "New Zealand", "North Pole", "North Star", "Roman Colosseum"}
FULL_NAME = re.compile(r"(?=\b((?!(?:The|In|Regarding) )[A-Z][a-z]+ [A-Z][a-z]+))")
"""Two capitalised words in a row, overlaps included, unless the first merely begins a sentence."""

FIRST, SECOND = ({"cat": "fact", "suffix": f"{word} is", "user_msg": f"What is {word}?"} for word in ("tin", "zinc"))


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"[a-z0-9']+", text.casefold())


def written(path: Path, content: object) -> Path:
    """A file with this content as JSON."""
    path.write_text(json.dumps(content))
    return path


def test_categories_are_of_one_size_and_no_opening_is_a_template() -> None:
    assert Counter(entry.cat for entry in POOL) == dict.fromkeys(CATEGORIES, 50)
    openings = Counter(tuple(words(message)[:2]) for message in MESSAGES)
    assert [opening for opening, times in openings.items() if times > MAX_SAME_OPENING * len(POOL)] == []


def test_messages_are_finished_and_suffixes_begin_a_sentence() -> None:
    for texts, least, most, finished in ((MESSAGES, 6, 40, True), (SUFFIXES, 3, 12, False)):
        assert [text for text in texts if not least <= len(text.split()) <= most] == []
        assert [text for text in texts if (text[-1] in ".!?;") != finished] == []
        assert [text for text in texts if not (text.isascii() and text == " ".join(text.split()))] == []


@pytest.mark.parametrize("texts", [MESSAGES, SUFFIXES], ids=["user_msg", "suffix"])
def test_no_text_resembles_another(texts: list[str]) -> None:
    assert len(set(texts)) == len(texts)
    assert near_duplicates(texts) == []


def test_the_same_sentence_about_another_noun_is_a_near_duplicate() -> None:
    frog, toad = (f"Could you tell me whether a {animal} has any teeth in its mouth?" for animal in ("frog", "toad"))
    assert near_duplicates([frog, "Do frogs have teeth in their mouth?", toad]) == [(toad, frog)]


def test_no_text_holds_personal_data() -> None:
    assert [text for text in MESSAGES + SUFFIXES for kind in PERSONAL.values() if kind.search(text)] == []
    would_be_found = {
        "address": "Write to jo@mail.example now.",
        "link": "See www.shop.example or shop.com.",
        "telephone": "Ring 030 123-4567.",
        "digits": "My customer number is 12345.",
        "title": "Ask Dr. Moon.",
    }
    assert [kind for kind, text in would_be_found.items() if not PERSONAL[kind].search(text)] == []


def test_nobody_has_a_first_and_a_last_name() -> None:
    names = {name for text in MESSAGES + SUFFIXES for name in FULL_NAME.findall(text)}
    assert names - NO_PEOPLE == set()
    assert FULL_NAME.findall("Did Lena Harbor Moss sing?") == ["Did Lena", "Lena Harbor", "Harbor Moss"]


def test_a_file_in_the_schema_is_read_as_it_stands(tmp_path: Path) -> None:
    records = [{**FIRST, "suffix": "Tin,\n\u00e9tain, is "}, dict(reversed(SECOND.items()))]
    entries = read_pool(written(tmp_path / "branching_suffixes.json", records))
    assert [entry._asdict() for entry in entries] == records


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"entries": [FIRST]}, "pool.json holds no list; expected a list of entries; give each"),
        ("text", "pool.json holds no list"),
        ([], "pool.json holds an empty list"),
        ([FIRST, ["fact"]], r"pool.json, entry 2: \['fact'\] is no object; expected cat, suffix, user_msg"),
        ([FIRST, {}], "entry 2: has the keys none; expected cat, suffix, user_msg, each once; add what lacks"),
        ([{"cat": "fact", "user_msg": "Why?"}], "entry 1: has the keys cat, user_msg; expected"),
        ([FIRST, {**SECOND, "label": 1}], "entry 2: has the keys cat, suffix, user_msg, label; .* remove the rest"),
        ([FIRST, {**SECOND, "suffix": ""}], "entry 2: suffix is ''; expected some words; fill it in or remove"),
        ([FIRST, {**SECOND, "user_msg": " \n"}], r"entry 2: user_msg is ' \\n'; expected some words"),
        ([{**FIRST, "user_msg": None}], "entry 1: user_msg is None; expected some words"),
        ([{**FIRST, "suffix": "\ud83d"}], r"entry 1: suffix holds \\ud83d, half a character; write the whole one"),
        ([{**FIRST, "cat": ["fact"]}], r"entry 1: cat is \['fact'\]; expected some words"),
        ([{**FIRST, "cat": "poem"}], f"entry 1: unknown category 'poem'; known: {', '.join(CATEGORIES)}; use"),
        (
            [FIRST, SECOND, {**SECOND, "user_msg": "what  is TIN?", "suffix": FIRST["suffix"].upper()}],
            "entry 3: repeats the suffix and user_msg of entry 1, 'what  is TIN.'; expected each once; reword",
        ),
    ],
)
def test_a_file_that_breaks_the_layout_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_pool(written(tmp_path / "pool.json", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[\n{"cat": "fact",}\n]', "pool.json:2: no JSON .*; expected a list; mend this line"),
        (b'[{"cat": "fact", "suffix": "It is", "user_msg": "\xff"}]', r"pool.json:1: no JSON \(byte 49 is no UTF-8"),
        (
            b'[{"cat": "fact", "suffix": "It", "suffix": "Is", "user_msg": "So?"}]',
            "keys cat, suffix, suffix, user_msg;",
        ),
    ],
)
def test_a_file_that_json_would_not_tell_about_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "pool.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_pool(path)


@given(n=st.integers(1, len(POOL)))
def test_any_number_of_entries_is_spread_over_the_categories(n: int) -> None:
    drawn = balanced(POOL, n)
    counts = Counter(entry.cat for entry in drawn)
    assert len(set(drawn)) == n
    assert max(counts.values()) - min(counts[cat] for cat in CATEGORIES) <= 1
    assert balanced(POOL, len(POOL))[:n] == drawn


@given(cats=st.lists(st.sampled_from(CATEGORIES[:3]), min_size=1, max_size=12))
def test_a_draw_keeps_the_order_within_a_category(cats: list[str]) -> None:
    entries = tuple(PoolEntry(cat, "It is", f"Question {place}?") for place, cat in enumerate(cats))
    drawn = balanced(entries, len(entries))
    for cat in set(cats):
        assert [entry for entry in drawn if entry.cat == cat] == [entry for entry in entries if entry.cat == cat]
    rounds = Counter[str]()
    ranks = []
    for entry in drawn:
        ranks.append(rounds[entry.cat])
        rounds[entry.cat] += 1
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("n", [-1, 0, len(POOL) + 1])
def test_a_number_that_the_pool_cannot_give_is_refused(n: int) -> None:
    with pytest.raises(DataError, match=f"asked for {n} of {len(POOL)} entries .* give a number from 1"):
        balanced(POOL, n)


def test_a_message_with_several_suffixes_is_drawn_once(tmp_path: Path) -> None:
    pool = read_pool(written(tmp_path / "pool.json", [FIRST, {**FIRST, "suffix": "Well, it"}, SECOND]))
    assert balanced(pool, 2) == (PoolEntry(**FIRST), PoolEntry(**SECOND))
    with pytest.raises(DataError, match="asked for 3 of 2 entries"):
        balanced(pool, 3)
