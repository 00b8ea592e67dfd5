"""Messages for measures of text: never trained on, from all topics alike, none both for judging and for choosing."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ws.behaviors import BEHAVIORS, behavior
from ws.behaviors.base import Claim
from ws.behaviors.judges import JUDGES, Judges, judges_of
from ws.behaviors.messages import Message, in_turns, untrained
from ws.behaviors.pool import CATEGORIES
from ws.behaviors.prompts import prompts_for
from ws.errors import DataError, UnknownNameError
from ws.study.subject import Subject
from ws.tests.likeness import NEAR_DUPLICATE, likeness

every_behavior = pytest.mark.parametrize("name", BEHAVIORS)
SYCOPHANCY = behavior("sycophancy")


def subject(name: str, *, messages: int | None = None) -> Subject:
    return Subject("smollm2-135m", behavior_name=name, messages=messages)


@every_behavior
def test_there_are_forty_to_judge_by_and_others_to_choose_by(name: str) -> None:
    held, chosen = (subject(name).messages_of(split) for split in ("heldout", "validation"))
    assert len(held) == 40
    assert len(chosen) >= 10
    assert not {one.text for one in held} & {one.text for one in chosen}
    assert not {one.id for one in held} & {one.id for one in chosen}


@every_behavior
def test_no_message_is_one_that_some_model_trains_on(name: str) -> None:
    trained = {text for _, text in behavior(name).training_questions()}
    for split in ("heldout", "validation"):
        assert not trained & {one.text for one in subject(name).messages_of(split)}
        # All messages are kept for training where a model has no number of its own.
        assert subject(name, messages=len(trained)).messages_of(split) == subject(name).messages_of(split)


@every_behavior
def test_topics_have_as_many_messages_or_one_more(name: str) -> None:
    counts = Counter(one.topic for one in subject(name).messages_of("heldout"))
    assert max(counts.values()) - min(counts.values()) <= 1
    assert set(counts) == (set(CATEGORIES) if name == "honesty" else {one.topic for one in SYCOPHANCY.heldout})


def test_claims_are_worded_as_in_training() -> None:
    first = subject("sycophancy").messages_of("heldout")[0]
    assert first == Message("astronomy-venus", "astronomy", f"I think {SYCOPHANCY.heldout[0].text}. What do you think?")


def test_turns_go_round_the_topics() -> None:
    talk = [Message(id, id[0], id) for id in ("a1", "a2", "a3", "b1", "c1", "c2")]
    assert [one.id for one in in_turns(talk, 5)] == ["a1", "b1", "c1", "a2", "c2"]
    assert len(in_turns(talk, 99)) == 6


def test_a_pool_of_ones_own_gives_the_messages_that_nothing_is_trained_on(tmp_path: Path) -> None:
    entries = [{"cat": "fact", "suffix": "It", "user_msg": f"What is {n}?"} for n in range(90)]
    (tmp_path / "pool.json").write_text(json.dumps(entries))
    mine = replace(subject("honesty"), pool=tmp_path / "pool.json")
    trained = {text for _, text in mine.pairs(0).questions}
    assert len(trained) == 22
    assert not trained & {one.text for split in ("heldout", "validation") for one in mine.messages_of(split)}
    with pytest.raises(DataError, match=r"90 messages, 10 of them not trained on; .* add 50 to it"):
        replace(mine, messages=80).messages_of("heldout")


def test_whole_messages_need_a_pool_of_them() -> None:
    whole = replace(SYCOPHANCY, name="talk", training=("Tell me a story.", "What now?"))
    with pytest.raises(DataError, match=r"trained on whole messages such as 'Tell me a story.'"):
        untrained(whole, trained=frozenset(), heldout=40, validation=20)


def test_a_behavior_of_few_claims_has_few_messages() -> None:
    few = replace(SYCOPHANCY, heldout=(Claim("a", "b", "a bee is a bird"),))
    assert len(untrained(few, trained=frozenset(), heldout=40, validation=20).heldout) == 1


@every_behavior
def test_no_judge_is_like_a_persona_or_a_prompt(name: str) -> None:
    b = behavior(name)
    known = [*b.positive, *b.negative, *(prompt.text for prompt in prompts_for(name) if prompt.text)]
    judges = [judge for pair in judges_of(b) for judge in pair]
    assert len(judges) >= 4
    assert max((likeness(judge, text), judge, text) for judge in judges for text in known)[0] < NEAR_DUPLICATE


@pytest.mark.parametrize(
    ("judges", "message"),
    [
        (JUDGES["sycophancy"][:1], "has 1 pair of judges; expected 2 or more"),
        ((*JUDGES["sycophancy"], JUDGES["sycophancy"][0]), "twice among its judges and personas"),
        ((*JUDGES["sycophancy"], (SYCOPHANCY.positive[0], SYCOPHANCY.negative[0].upper())), "twice among its judges"),
    ],
    ids=["one", "repeated", "persona"],
)
def test_judges_that_cannot_judge_are_refused(monkeypatch: pytest.MonkeyPatch, judges: Judges, message: str) -> None:
    monkeypatch.setitem(JUDGES, "sycophancy", judges)
    with pytest.raises(DataError, match=message):
        judges_of(SYCOPHANCY)


def test_a_behavior_without_judges_says_which_have_some() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown behavior with judges 'talk'; known: honesty, sycophancy"):
        judges_of(replace(SYCOPHANCY, name="talk"))
