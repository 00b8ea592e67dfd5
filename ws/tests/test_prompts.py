"""System prompts: each behavior has its rivals on both sides; what cannot be sent is refused."""

import re
from collections import Counter
from itertools import chain

import pytest

from ws.behaviors.prompts import PROMPTS, RivalPrompt, prompts_for
from ws.errors import DataError, UnknownNameError
from ws.tests.likeness import near_duplicates

WITH_TEXT = [prompt for prompt in chain.from_iterable(PROMPTS.values()) if prompt.text is not None]

every_behavior = pytest.mark.parametrize("behavior_name", PROMPTS)


def length(prompt: RivalPrompt) -> int:
    return len((prompt.text or "").split())


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


def test_prompts_do_not_ask_for_the_answer_itself() -> None:
    asks = [prompt.name for prompt in WITH_TEXT if re.search(r"\byes\b|\bno\b(?! \w)", prompt.text.casefold())]
    assert [*asks, *(prompt.name for prompt in WITH_TEXT if not prompt.text.isascii())] == []


@every_behavior
def test_names_and_texts_are_used_once(behavior_name: str) -> None:
    found = prompts_for(behavior_name)
    assert max(Counter(prompt.name for prompt in found).values()) == 1
    assert near_duplicates(prompt.text or "" for prompt in found) == []


def test_unknown_behavior_lists_those_with_prompts() -> None:
    with pytest.raises(UnknownNameError, match="unknown behavior with prompts 'courage'; known: honesty, sycophancy"):
        prompts_for("courage")


def test_a_prompt_that_cannot_be_sent_is_refused() -> None:
    for text in ("", " ", "Be kind. ", "\nBe kind."):
        with pytest.raises(DataError, match=r"prompt 'kind' reads .*expected words.*give None to send no"):
            RivalPrompt("kind", text, +1)
    for toward in (2, -2):
        with pytest.raises(DataError, match=f"prompt 'kind' has toward {toward}; give"):
            RivalPrompt("kind", "Be kind.", toward)
