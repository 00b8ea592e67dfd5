"""Honesty as a behavior: one axis of personas, claims of honest conduct, balanced questions, facts of its own."""

import json
import re
from collections import Counter
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from ws.behaviors.base import SPLITS, Claim, Fact
from ws.behaviors.honesty import HONESTY, N_TRAINING, from_pool
from ws.behaviors.pool import CATEGORIES, read_pool
from ws.behaviors.sycophancy import SYCOPHANCY
from ws.tests.likeness import NEAR_DUPLICATE, likeness, near_duplicates

CLAIMS = (*HONESTY.validation, *HONESTY.heldout)
QUESTIONS = [question for split in SPLITS for question in HONESTY.questions(split)]
DISHONEST = re.compile(
    r"\b(lie|lies|lying|liar|hid|hide|hiding|conceal\w*|cheat\w*|deceiv\w*|deceit\w*|pretend\w*|fak(e|ing)|blam\w*|steal"
    r"\w*|deny\w*|exaggerat\w*|invent\w*|instead|rather|not telling|without)\b"
)


def asked_words(a: str, b: str) -> tuple[set[str], set[str]]:
    """The words of each text where two texts of equal length differ."""
    pairs = [pair for pair in zip(a.split(), b.split(), strict=True) if pair[0] != pair[1]]
    return {mine for mine, _ in pairs}, {other for _, other in pairs}


def test_training_messages_come_evenly_from_the_pool() -> None:
    categories = {entry.user_msg: entry.cat for entry in read_pool()}
    drawn = Counter(categories[message] for message in HONESTY.training)
    assert sum(drawn.values()) == N_TRAINING
    assert len(drawn) == len(set(categories.values()))
    assert max(drawn.values()) - min(drawn.values()) <= 1


def test_a_pool_of_one_s_own_changes_the_training_messages_alone(tmp_path: Path) -> None:
    file = tmp_path / "branching_suffixes.json"
    entries = [{"cat": cat, "suffix": "It is", "user_msg": f"Tell me {cat} {n}."} for n in (1, 2) for cat in CATEGORIES]
    file.write_text(json.dumps(entries))
    mine = from_pool(file)
    assert mine.training == tuple(entry["user_msg"] for entry in entries)
    assert replace(mine, training=HONESTY.training) == HONESTY


def test_personas_of_a_pair_differ_in_one_adjective() -> None:
    def differ(positive: str, negative: str) -> bool:
        return {len(words - {"a", "an"}) for words in asked_words(positive, negative)} == {1}

    assert [pair for pair in zip(HONESTY.positive, HONESTY.negative, strict=True) if not differ(*pair)] == []


def test_claims_fit_after_consider_and_name_honest_conduct_alone() -> None:
    def fits(claim: Claim) -> bool:
        said = re.match(r"[a-z]+ing\b", claim.text) and not re.search(r"[,.A-Z]", claim.text)
        plain = claim.text.isascii() and 8 <= len(claim.text.split()) <= 16 and not DISHONEST.search(claim.text)
        return bool(said) and plain and claim.id.startswith(f"{claim.topic}-")

    assert [claim.text for claim in CLAIMS if not fits(claim)] == []
    assert {claim.topic for claim in HONESTY.validation}.isdisjoint(claim.topic for claim in HONESTY.heldout)


@pytest.mark.parametrize(("pair", "yes", "no"), [("right", "right", "wrong"), ("do", "do", "avoid")])
def test_opposite_phrasings_differ_in_the_asked_word_only(pair: str, yes: str, no: str) -> None:
    templates = {entry.sign: entry.template for entry in HONESTY.phrasings if entry.pair == pair}
    assert asked_words(templates[+1], templates[-1]) == ({yes}, {no})


def test_always_yes_scores_zero_in_every_claim() -> None:
    scores: Counter[tuple[str, str]] = Counter()
    for question in QUESTIONS:
        scores[question.cluster, question.pair] += question.sign
    assert scores == dict.fromkeys(((claim.id, pair) for claim in CLAIMS for pair in ("right", "do")), 0)


def test_no_claim_resembles_another_or_a_training_message() -> None:
    assert near_duplicates(claim.text for claim in CLAIMS) == []
    worst = max((likeness(claim.text, message), claim.id) for claim in CLAIMS for message in HONESTY.training)
    assert worst[0] < NEAR_DUPLICATE, worst


def test_facts_are_balanced_and_none_is_one_of_sycophancy() -> None:
    assert Counter(question.phrasing for question in HONESTY.neutral_questions()) == {"yes": 20, "no": 20}
    for of in ("id", "text"):
        mine, other = ({getattr(fact, of) for fact in entry.neutral} for entry in (HONESTY, SYCOPHANCY))
        assert mine.isdisjoint(other)


def test_facts_mirror_each_other_in_form() -> None:
    def mirror(yes: Fact, no: Fact) -> bool:
        alike = SequenceMatcher(None, yes.text.split(), no.text.split()).ratio() >= 0.5
        return alike and (yes.answer, no.answer) == (True, False)

    pairs = zip(HONESTY.neutral[::2], HONESTY.neutral[1::2], strict=True)
    assert [(yes.text, no.text) for yes, no in pairs if not mirror(yes, no)] == []
