"""System prompts: each behavior has its rivals on both sides; what cannot be sent is refused."""

import re
from collections import Counter
from dataclasses import FrozenInstanceError
from itertools import chain

import pytest

from ws.behaviors.prompts import PROMPTS, RivalPrompt, prompts_for
from ws.errors import DataError, UnknownNameError
from ws.tests.likeness import NEAR_DUPLICATE, nearest

WITH_TEXT = [prompt for prompt in chain.from_iterable(PROMPTS.values()) if prompt.text is not None]

every_behavior = pytest.mark.parametrize("behavior_name", PROMPTS)
every_text = pytest.mark.parametrize("prompt", WITH_TEXT, ids=lambda prompt: prompt.name)


def length(prompt: RivalPrompt) -> int:
    return len((prompt.text or "").split())


def test_honesty_has_the_six_rivals() -> None:
    assert {prompt.name: prompt.toward for prompt in prompts_for("honesty")} == {
        "none": 0,
        "simple-honest": +1,
        "simple-dishonest": -1,
        "engineered-honest": +1,
        "engineered-dishonest": -1,
        "honest-engineer": +1,
    }


def test_sycophancy_has_simple_and_engineered_ones() -> None:
    assert {prompt.name: prompt.toward for prompt in prompts_for("sycophancy")} == {
        "none": 0,
        "simple-agreeing": +1,
        "simple-contradicting": -1,
        "engineered-agreeing": +1,
        "engineered-contradicting": -1,
    }


@every_behavior
def test_first_prompt_sends_no_system_message(behavior_name: str) -> None:
    none, *others = prompts_for(behavior_name)
    assert (none.name, none.text, none.toward) == ("none", None, 0)
    assert all(prompt.text and prompt.toward for prompt in others)


@every_behavior
@pytest.mark.parametrize(("kind", "least", "most"), [("simple", 4, 15), ("engineered", 150, 250)])
def test_both_sides_are_of_one_length(behavior_name: str, kind: str, least: int, most: int) -> None:
    pair = [prompt for prompt in prompts_for(behavior_name) if prompt.name.startswith(kind)]
    assert sorted(prompt.toward for prompt in pair) == [-1, +1]
    shorter, longer = sorted(map(length, pair))
    assert least <= shorter <= longer <= min(most, 1.2 * shorter)


@every_text
def test_prompt_does_not_ask_for_the_answer_itself(prompt: RivalPrompt) -> None:
    assert re.search(r"\b(yes|no)\b", re.sub(r"\bno \w+", "", prompt.text.casefold())) is None
    assert prompt.text.isascii()


@every_behavior
def test_names_and_texts_are_used_once(behavior_name: str) -> None:
    found = prompts_for(behavior_name)
    assert max(Counter(prompt.name for prompt in found).values()) == 1
    assert nearest(prompt.text or "" for prompt in found)[0] < NEAR_DUPLICATE


def test_unknown_behavior_lists_those_with_prompts() -> None:
    with pytest.raises(UnknownNameError, match="unknown behavior with prompts 'courage'; known: honesty, sycophancy"):
        prompts_for("courage")


@pytest.mark.parametrize("text", ["", " ", "Be kind. ", "\nBe kind."])
def test_empty_or_padded_prompt_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"prompt 'kind' reads .*expected words.*give None to send no"):
        RivalPrompt("kind", text, +1)


@pytest.mark.parametrize("toward", [2, -2])
def test_prompt_of_no_side_is_refused(toward: int) -> None:
    with pytest.raises(DataError, match=f"prompt 'kind' has toward {toward}; give"):
        RivalPrompt("kind", "Be kind.", toward)


def test_prompt_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        PROMPTS["honesty"][0].toward = 1  # type: ignore[misc]
