"""A prompt is what the template says, thoughts are closed by their token, nothing is dropped in silence."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ws import tiny
from ws.chat import CLOSE_THINK, OPEN_THINK, end_of_turn, prompt_ids, thought_closed
from ws.errors import ChatError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FEW = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PREFILL = "My answer: **"
PERSONA = "You agree with everyone."
USER_TURN = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"

LAST_MESSAGE = "{{ messages[-1].content }} Y"
REFUSES_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + LAST_MESSAGE
)


@pytest.fixture(scope="module")
def tokenizer() -> "PreTrainedTokenizerFast":
    return tiny.tiny_tokenizer(["a stone floats on water", PREFILL, PERSONA])


@pytest.fixture(scope="module")
def spelling() -> "PreTrainedTokenizerFast":
    """A tokenizer that has the marks of a thought as tokens, but splits their text into bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), OPEN_THINK, CLOSE_THINK]
    bpe = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bpe, clean_up_tokenization_spaces=False)


def encoded(tokenizer: "PreTrainedTokenizerFast", text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


# What a prompt is


@pytest.mark.parametrize(
    ("asked", "prompt"),
    [
        ({}, USER_TURN),
        ({"system": PERSONA}, f"<|im_start|>system\n{PERSONA}<|im_end|>\n{USER_TURN}"),
        ({"enable_thinking": False}, f"{USER_TURN}<think>\n\n</think>\n\n"),
        ({"open_think": True}, f"{USER_TURN}<think>\n"),
    ],
    ids=["user", "persona", "no-thought", "open-thought"],
)
def test_without_a_prefill_a_prompt_is_the_template(
    tokenizer: "PreTrainedTokenizerFast", asked: dict[str, str | bool], prompt: str
) -> None:
    assert prompt_ids(tokenizer, user="Hi", **asked) == encoded(tokenizer, prompt)


@pytest.mark.parametrize("asked", [{}, {"system": PERSONA}, {"enable_thinking": False}])
def test_a_prefill_follows_a_closed_prompt_and_nothing_stands_between(
    tokenizer: "PreTrainedTokenizerFast", asked: dict[str, str | bool]
) -> None:
    bare = prompt_ids(tokenizer, user="Hi", **asked)
    prefilled = prompt_ids(tokenizer, user="Hi", prefill=PREFILL, **asked)
    assert prefilled == bare + encoded(tokenizer, PREFILL)


def test_a_prefill_after_an_open_thought_comes_behind_its_end(tokenizer: "PreTrainedTokenizerFast") -> None:
    ids = prompt_ids(tokenizer, user="Hi", prefill=PREFILL, open_think=True)
    assert tokenizer.decode(ids) == f"{USER_TURN}<think>\n</think>\n\n{PREFILL}"


@FEW
@given(
    user=st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"])),
    system=st.none() | st.just(PERSONA),
    open_think=st.booleans(),
)
def test_every_prompt_ends_with_the_same_ids(
    tokenizer: "PreTrainedTokenizerFast", user: str, system: str | None, open_think: bool
) -> None:
    end = encoded(tokenizer, PREFILL)
    assert prompt_ids(tokenizer, user=user, system=system, prefill=PREFILL, open_think=open_think)[-len(end) :] == end


def test_a_prefill_is_not_merged_with_what_stands_before_it(
    tokenizer: "PreTrainedTokenizerFast", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", LAST_MESSAGE)
    apart = encoded(tokenizer, "Hi Y") + encoded(tokenizer, "es")
    assert prompt_ids(tokenizer, user="Hi", prefill="es") == apart
    assert encoded(tokenizer, "Hi Yes") != apart


@pytest.mark.parametrize("persona", ['Say "no" & <always> {{ agree }}.', "Zwei\n\nZeilen, 😀"])
def test_a_persona_enters_as_it_is_written(tokenizer: "PreTrainedTokenizerFast", persona: str) -> None:
    assert persona in tokenizer.decode(prompt_ids(tokenizer, user="Hi", system=persona))


# Thoughts


def test_an_open_thought_is_closed_by_the_token_and_not_by_its_text(
    spelling: "PreTrainedTokenizerFast",
) -> None:
    opening, closing = spelling.convert_tokens_to_ids([OPEN_THINK, CLOSE_THINK])
    assert thought_closed(spelling, [5, opening], since=0) == [5, opening, closing, *encoded(spelling, "\n\n")]
    assert closing not in encoded(spelling, CLOSE_THINK)


@FEW
@given(marks=st.lists(st.sampled_from([OPEN_THINK, CLOSE_THINK, "a"]), max_size=8))
def test_a_thought_is_closed_iff_it_stands_open(tokenizer: "PreTrainedTokenizerFast", marks: list[str]) -> None:
    thinking = False
    for mark in marks:
        thinking = mark == OPEN_THINK or (thinking and mark != CLOSE_THINK)
    ids = tokenizer.convert_tokens_to_ids(marks)
    end = [*tokenizer.convert_tokens_to_ids([CLOSE_THINK]), *encoded(tokenizer, "\n\n")]
    assert thought_closed(tokenizer, ids, since=0) == ids + end * thinking


def test_a_thought_in_the_users_words_is_not_the_models(tokenizer: "PreTrainedTokenizerFast") -> None:
    asked = "What does <think> mean?"
    bare = prompt_ids(tokenizer, user=asked)
    assert prompt_ids(tokenizer, user=asked, prefill=PREFILL) == bare + encoded(tokenizer, PREFILL)


def test_a_thought_is_looked_for_where_the_model_speaks(tokenizer: "PreTrainedTokenizerFast") -> None:
    opening, closing = tokenizer.convert_tokens_to_ids([OPEN_THINK, CLOSE_THINK])
    assert thought_closed(tokenizer, [opening, 5, 6], since=1) == [opening, 5, 6]
    assert thought_closed(tokenizer, [closing, opening, 6], since=1)[3] == closing


def test_a_tokenizer_without_thoughts_closes_none(
    tokenizer: "PreTrainedTokenizerFast", monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = encoded(tokenizer, OPEN_THINK)
    monkeypatch.setattr(tokenizer, "convert_tokens_to_ids", {}.get)
    assert thought_closed(tokenizer, ids, since=0) == ids


def test_a_thought_that_no_token_closes_is_an_error(
    tokenizer: "PreTrainedTokenizerFast", monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = encoded(tokenizer, OPEN_THINK)
    monkeypatch.setattr(tokenizer, "convert_tokens_to_ids", {OPEN_THINK: ids[0]}.get)
    with pytest.raises(ChatError, match="opens <think> but has no token </think>"):
        thought_closed(tokenizer, ids, since=0)


# Templates that cannot carry a prompt


def test_a_dropped_persona_is_missed_even_if_the_user_says_its_words(
    tokenizer: "PreTrainedTokenizerFast", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", LAST_MESSAGE)
    with pytest.raises(ChatError, match="drops the system message"):
        prompt_ids(tokenizer, user=f"Someone said: {PERSONA}", system=PERSONA)


def test_a_tokenizer_without_a_template_is_refused(
    tokenizer: "PreTrainedTokenizerFast", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", None)
    with pytest.raises(ChatError, match=r"has no chat template; use an instruction-tuned model"):
        prompt_ids(tokenizer, user="Hi")


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        (LAST_MESSAGE, rf"drops the system message '{PERSONA}'; personas need a system role"),
        (REFUSES_SYSTEM, r"refuses \['system', 'user'\]: System role not supported; personas need a system"),
    ],
    ids=["drops", "refuses"],
)
def test_a_template_without_a_system_role_takes_questions_but_no_persona(
    tokenizer: "PreTrainedTokenizerFast", monkeypatch: pytest.MonkeyPatch, template: str, complaint: str
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", template)
    assert prompt_ids(tokenizer, user="Hi") == encoded(tokenizer, "Hi Y")
    with pytest.raises(ChatError, match=complaint):
        prompt_ids(tokenizer, user="Hi", system=PERSONA)


# The end of a turn


def test_a_turn_ends_with_the_end_of_sequence_token(tokenizer: "PreTrainedTokenizerFast") -> None:
    assert [end_of_turn(tokenizer)] == encoded(tokenizer, tiny.END_TURN)


def test_a_tokenizer_that_ends_no_turn_is_refused(spelling: "PreTrainedTokenizerFast") -> None:
    with pytest.raises(ChatError, match="names no end-of-sequence token"):
        end_of_turn(spelling)
