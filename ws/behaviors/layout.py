"""The layout of a file with a behavior of one's own.

    name = "patience"

    [[personas]]                  # pairs: somebody who shows the behavior, and somebody who shows its opposite
    plus = "You are patient."
    minus = "You are impatient."

    [messages]                    # what users say: to train on, to choose by, to judge by
    training = ["The train is late."]
    validation = ["My tea takes ages."]
    heldout = ["I wait for a letter."]

These are enough for the measure of text. `[[judges]]` (pairs as above) add that of written answers, `[prompts]` (lists
plus and minus) rivals of dW. Yes and No need `[claims]` (validation and heldout, each a table of topics with lists of
claims), `[[phrasings]]` (a pair's name and its templates yes, where Yes shows the behavior, and no), `[facts]` (lists
yes and no); `prefill` is how an answer starts. JSON has the same keys.
"""

import re
from itertools import chain
from pathlib import Path
from typing import Any

from ws.behaviors.base import Claim, Fact, Phrasing, plain
from ws.behaviors.brought import Judges, OwnBehavior, RivalPrompt
from ws.behaviors.entries import Entry, read_entries, refuse_repeats, shown
from ws.behaviors.table import BEHAVIORS

NEEDED = ("name", "personas", "messages")
OPTIONAL = ("judges", "prompts", "claims", "phrasings", "facts", "prefill")
OF_QUESTIONS = ("claims", "phrasings", "facts")
"""The parts that Yes and No need, all of them."""

MIN_PERSONAS, MIN_JUDGES, MIN_PHRASINGS = 2, 2, 2
"""Pairs: one wording can mislead."""
MIN_TRAINING = 20
"""Messages; with two pairs of personas they make 40 pairs of answers."""
MIN_HELDOUT, MIN_VALIDATION = 40, 20
"""Messages for a verdict, and where something is chosen."""
MIN_CLAIMS, MIN_FACTS = 10, 5
"""Claims of a split, and facts of an answer: fewer than ten questions have intervals that are too narrow."""

NAME = re.compile(r"[a-z]+(?:-[a-z]+)*")
MOST_LETTERS = 30


def read_behavior(path: Path) -> OwnBehavior:
    """The behavior of a TOML or JSON file.

    Raises: DataError with file and entry for whatever breaks the layout.
    """
    return behavior_of(read_entries(path))


def behavior_of(file: Entry) -> OwnBehavior:
    """The behavior in the content of a file. Raises: DataError naming the entry that breaks the layout."""
    parts = file.table(NEEDED, OPTIONAL)
    name = _name(parts["name"])
    personas = _pairs(parts["personas"], least=MIN_PERSONAS)
    judges = _pairs(parts["judges"], least=MIN_JUDGES) if "judges" in parts else []
    prompts = _prompts(parts["prompts"]) if "prompts" in parts else {}
    messages = _messages(parts["messages"])
    refuse_repeats(chain(*personas, *judges, *prompts.values()))
    refuse_repeats(chain(*messages.values()))
    training = tuple(entry.value for entry in messages["training"])
    with file.named():
        return OwnBehavior(
            name=name,
            positive=tuple(plus.value for plus, _ in personas),
            negative=tuple(minus.value for _, minus in personas),
            training=training,
            validation_messages=tuple(entry.value for entry in messages["validation"]),
            heldout_messages=tuple(entry.value for entry in messages["heldout"]),
            judges=_plain(judges),
            prompts=tuple(
                RivalPrompt(f"{side}-{place}", entry.value, +1 if side == "plus" else -1)
                for side, entries in prompts.items()
                for place, entry in enumerate(entries, start=1)
            ),
            **_questions(file, parts, training),
        )


def contents(behavior: OwnBehavior) -> dict[str, Any]:
    """A behavior in the layout of a file; of two files that say the same it is equal."""
    found: dict[str, Any] = {
        "name": behavior.name.partition("@")[0],
        "personas": _sided(zip(behavior.positive, behavior.negative, strict=True)),
        "messages": {
            "training": list(behavior.training),
            "validation": list(behavior.validation_messages),
            "heldout": list(behavior.heldout_messages),
        },
        "judges": _sided(behavior.judges),
        "prompts": {
            side: [prompt.text for prompt in behavior.prompts if prompt.toward == toward]
            for side, toward in (("plus", +1), ("minus", -1))
            if any(prompt.toward == toward for prompt in behavior.prompts)
        },
    }
    if behavior.phrasings:
        found |= {
            "claims": {split: _by_topic(getattr(behavior, split)) for split in ("validation", "heldout")},
            "phrasings": [
                {"pair": yes.pair, "yes": yes.template, "no": no.template}
                for yes, no in zip(behavior.phrasings[::2], behavior.phrasings[1::2], strict=True)
            ],
            "facts": {
                key: [fact.text for fact in behavior.neutral if fact.answer == answer]
                for key, answer in (("yes", True), ("no", False))
            },
            "prefill": behavior.prefill,
        }
    return {key: value for key, value in found.items() if value}


def _name(entry: Entry) -> str:
    text = entry.text().value
    if not NAME.fullmatch(text) or len(text) > MOST_LETTERS:
        raise entry.error(f"reads {text!r}", f"{MOST_LETTERS} small letters and hyphens at most", "rename it")
    if text in BEHAVIORS:
        raise entry.error(f"reads {text!r}, a behavior of ours", "a name of its own", "rename it")
    return text


def _pairs(entry: Entry, *, least: int) -> list[tuple[Entry, Entry]]:
    pairs = [one.table(("plus", "minus")) for one in entry.entries(least=least, why=" pairs of plus and minus")]
    return [(one["plus"].text(), one["minus"].text()) for one in pairs]


def _prompts(entry: Entry) -> dict[str, list[Entry]]:
    return {side: texts.texts(least=1) for side, texts in entry.table(("plus",), ("minus",)).items()}


def _messages(entry: Entry) -> dict[str, list[Entry]]:
    least = {
        "training": (MIN_TRAINING, " to train on"),
        "validation": (MIN_VALIDATION, " to choose by"),
        "heldout": (MIN_HELDOUT, " to judge by"),
    }
    found = entry.table(least)
    return {split: found[split].texts(least=n, why=why) for split, (n, why) in least.items()}


def _questions(file: Entry, parts: dict[str, Entry], training: tuple[str, ...]) -> dict[str, Any]:
    """The parts that Yes and No need; nothing if the file has none of them."""
    given = [key for key in (*OF_QUESTIONS, "prefill") if key in parts]
    if not given:
        return {}
    if lacking := [key for key in OF_QUESTIONS if key not in parts]:
        seen = f"has {' and '.join(given)} without {' and '.join(lacking)}"
        raise file.error(seen, f"{', '.join(OF_QUESTIONS)}: all or none", "add what lacks, or remove the rest")
    claims = {split: _claims(entry) for split, entry in parts["claims"].table(("validation", "heldout")).items()}
    facts = {
        key: entry.texts(least=MIN_FACTS, why=" facts") for key, entry in parts["facts"].table(("yes", "no")).items()
    }
    refuse_repeats(chain(*(one for topics in claims.values() for one in topics.values()), *facts.values()))
    _refuse_leaks(claims, training)
    _check_balance(parts["facts"], facts)
    prefill = {"prefill": parts["prefill"].text().value} if "prefill" in parts else {}
    return {
        **{split: _asked(split, topics) for split, topics in claims.items()},
        "phrasings": _phrasings(parts["phrasings"]),
        "neutral": tuple(_fact(key, n, one) for key in facts for n, one in enumerate(facts[key], start=1)),
        **prefill,
    }


def _claims(entry: Entry) -> dict[str, list[Entry]]:
    """The claims of a split by topic."""
    if not isinstance(entry.value, dict):
        raise entry.error(f"{shown(entry.value)} is no table", "topics, each with a list of claims", "name a topic")
    if odd := next((topic for topic in entry.value if not NAME.fullmatch(topic)), None):
        raise entry.error(f"the topic {shown(odd)}", "small letters and hyphens", "rename it")
    topics = entry.table(entry.value)
    found = {topic: texts.texts(least=1, why=" claims") for topic, texts in topics.items()}
    if (count := sum(map(len, found.values()))) < MIN_CLAIMS:
        raise entry.error(f"has {count} claims", f"{MIN_CLAIMS} or more", f"add {MIN_CLAIMS - count}")
    return found


def _asked(split: str, topics: dict[str, list[Entry]]) -> tuple[Claim, ...]:
    found = []
    for topic, entries in topics.items():
        for place, entry in enumerate(entries, start=1):
            with entry.named():
                found.append(Claim(f"{split}-{topic}-{place:02d}", topic, entry.value))
    return tuple(found)


def _refuse_leaks(claims: dict[str, dict[str, list[Entry]]], training: tuple[str, ...]) -> None:
    """Raises: DataError if a message to train on holds a claim that is asked about."""
    trained = [plain(text) for text in training]
    for entry in (one for topics in claims.values() for entries in topics.values() for one in entries):
        holding = next((place for place, text in enumerate(trained, start=1) if plain(entry.value) in text), None)
        if holding is not None:
            seen = f"stands in messages, training, entry {holding}"
            raise entry.error(seen, "claims that nothing is trained on", "reword one of the two")


def _check_balance(entry: Entry, facts: dict[str, list[Entry]]) -> None:
    yes, no = len(facts["yes"]), len(facts["no"])
    if yes != no:
        fewer = "no" if yes > no else "yes"
        raise entry.error(f"{yes} yes and {no} no", "as many of each", f"add {abs(yes - no)} to {fewer}")


def _fact(key: str, place: int, entry: Entry) -> Fact:
    with entry.named():
        return Fact(f"fact-{key}-{place:02d}", entry.value, key == "yes")


def _phrasings(entry: Entry) -> tuple[Phrasing, ...]:
    found = [one.table(("pair", "yes", "no")) for one in entry.entries(least=MIN_PHRASINGS, why=" pairs of yes and no")]
    refuse_repeats(one["pair"].text() for one in found)
    refuse_repeats(one[key].text() for one in found for key in ("yes", "no"))
    made = []
    for one in found:
        pair = one["pair"].text().value
        if not NAME.fullmatch(pair):
            raise one["pair"].error(f"reads {pair!r}", "small letters and hyphens", "rename it")
        for key, sign in (("yes", +1), ("no", -1)):
            with one[key].named():
                made.append(Phrasing(f"{pair}-{key}", pair, one[key].text().value, sign))
    return tuple(made)


def _plain(pairs: list[tuple[Entry, Entry]]) -> Judges:
    return tuple((plus.value, minus.value) for plus, minus in pairs)


def _sided(pairs: Any) -> list[dict[str, str]]:
    return [{"plus": plus, "minus": minus} for plus, minus in pairs]


def _by_topic(claims: tuple[Claim, ...]) -> dict[str, list[str]]:
    topics: dict[str, list[str]] = {}
    for claim in claims:
        topics.setdefault(claim.topic, []).append(claim.text)
    return topics
