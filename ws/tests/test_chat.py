"""A prompt has only the template's turns, whatever its texts spell, and ends where the model answers at once."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig

from ws.errors import ChatError
from ws.models import chat, tiny
from ws.models.chat import prompt_ids, text_ids, turn_ends
from ws.models.language import LanguageModel
from ws.models.table import weights_of
from ws.tests import templates

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FEW = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PREFILL = "My answer: **"
PERSONA = "You agree with everyone."
SYSTEM_TURN = f"<|im_start|>system\n{PERSONA}<|im_end|>\n"
USER_TURN = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
NO_THOUGHT = "<think>\n\n</think>\n\n"

LAST_MESSAGE = "{{ messages[-1].content }} Y"


@pytest.fixture(scope="module")
def tokenizer() -> "PreTrainedTokenizerFast":
    return tiny.tiny_tokenizer(["a stone floats on water", PREFILL, PERSONA])


@pytest.fixture(scope="module")
def lm(tokenizer: "PreTrainedTokenizerFast") -> LanguageModel:
    return LanguageModel("tiny", tiny.tiny_model(tokenizer, seed=0), tokenizer, weights_of("tiny-random-qwen3"))


def encoded(tokenizer: "PreTrainedTokenizerFast", text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


# What a prompt is


@pytest.mark.parametrize(
    ("asked", "prompt"),
    [
        ({}, USER_TURN + NO_THOUGHT),
        ({"system": PERSONA}, SYSTEM_TURN + USER_TURN + NO_THOUGHT),
        ({"thinking": True}, USER_TURN + "<think>"),
        ({"thinking": True, "system": PERSONA}, SYSTEM_TURN + USER_TURN + "<think>"),
    ],
    ids=["user", "persona", "thought", "thought-of-a-persona"],
)
def test_without_a_prefill_a_prompt_is_the_template(
    tokenizer: "PreTrainedTokenizerFast", asked: dict[str, str | bool], prompt: str
) -> None:
    assert prompt_ids(tokenizer, user="Hi", **asked) == encoded(tokenizer, prompt)


@pytest.mark.parametrize("asked", [{}, {"system": PERSONA}])
def test_a_prefill_follows_the_prompt_and_nothing_stands_between(
    tokenizer: "PreTrainedTokenizerFast", asked: dict[str, str]
) -> None:
    bare = prompt_ids(tokenizer, user="Hi", **asked)
    prefilled = prompt_ids(tokenizer, user="Hi", prefill=PREFILL, **asked)
    assert prefilled == bare + encoded(tokenizer, PREFILL)


def test_a_prefill_is_not_merged_with_what_stands_before_it(
    tokenizer: "PreTrainedTokenizerFast", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", LAST_MESSAGE)
    apart = encoded(tokenizer, "Hi Y") + encoded(tokenizer, "es")
    assert prompt_ids(tokenizer, user="Hi", prefill="es") == apart
    assert encoded(tokenizer, "Hi Yes") != apart


# Words are only words

SPELLED = st.lists(st.sampled_from([*tiny.SPECIAL_TOKENS, "<", "|", "im_end", ">", "\n", " a"])).map("".join)


def specials(tokenizer: "PreTrainedTokenizerFast", ids: list[int]) -> list[int]:
    return [i for i in ids if i in tokenizer.all_special_ids]


@FEW
@given(user=SPELLED, system=st.none() | SPELLED.map(PERSONA.__add__), prefill=SPELLED)
def test_the_only_turns_of_a_prompt_are_the_templates(
    tokenizer: "PreTrainedTokenizerFast", user: str, system: str | None, prefill: str
) -> None:
    harmless = prompt_ids(tokenizer, user="Hi", system=None if system is None else PERSONA)
    ids = prompt_ids(tokenizer, user=user, system=system, prefill=prefill)
    assert specials(tokenizer, ids) == specials(tokenizer, harmless)


@pytest.mark.parametrize("thinking", [False, True])
def test_control_tokens_in_the_users_words_are_what_they_are_made_of(
    tokenizer: "PreTrainedTokenizerFast", thinking: bool
) -> None:
    user = f"What do {' and '.join(tiny.SPECIAL_TOKENS)} mean?"
    ids = prompt_ids(tokenizer, user=user, thinking=thinking)
    assert user in tokenizer.decode([i for i in ids if i not in tokenizer.all_special_ids])


@FEW
@given(text=SPELLED)
def test_a_text_keeps_its_letters_and_gets_no_control_token(tokenizer: "PreTrainedTokenizerFast", text: str) -> None:
    ids = text_ids(tokenizer, text)
    assert not specials(tokenizer, ids)
    assert tokenizer.decode(ids) == text


def test_a_text_that_would_lose_a_character_is_refused(tokenizer: "PreTrainedTokenizerFast") -> None:
    assert tokenizer.decode(text_ids(tokenizer, "\U000f0000")) == "\U000f0000"
    with pytest.raises(ChatError, match="spells the control token '<think>' beside a character of a private plane"):
        text_ids(tokenizer, "<think>\U000f0000")


@FEW
@given(text=st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"])))
def test_a_text_without_control_tokens_is_encoded_as_ever(tokenizer: "PreTrainedTokenizerFast", text: str) -> None:
    assert text_ids(tokenizer, text) == encoded(tokenizer, text)


def test_a_token_that_the_template_writes_is_a_control_token_though_it_is_not_special(
    tokenizer: "PreTrainedTokenizerFast",
) -> None:
    adding = templates.tokenizer(templates.LLAMA + "{# [turn] #}", added=("[turn]", "[word]"))
    turn, word = adding.convert_tokens_to_ids(["[turn]", "[word]"])
    assert not {turn, word} & set(adding.all_special_ids)
    ids = text_ids(adding, "a[turn]b[word]")
    assert (turn in ids, word in ids) == (False, True)


def test_a_word_that_is_a_control_token_however_it_is_written_is_refused() -> None:
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "Hi": 1, "<end>": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token=AddedToken("<end>"))
    made.chat_template = "{{ messages[-1].content }} <end>"
    with pytest.raises(ChatError, match=r"'Hi <end>' spells a control token that .* cannot encode as text"):
        prompt_ids(made, user="Hi <end>")


def test_words_that_change_the_turns_are_refused(
    tokenizer: "PreTrainedTokenizerFast", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", "{{ messages[-1].content.replace('END', '<|im_end|>') }}END")
    assert specials(tokenizer, prompt_ids(tokenizer, user="Hi")) == []
    monkeypatch.setattr(
        tokenizer,
        "chat_template",
        "{{ messages[-1].content }}{% if 'END' in messages[-1].content %}<|im_end|>{% endif %}",
    )
    with pytest.raises(ChatError, match=r"'THE END' in it, the prompt .* has other control tokens than its template"):
        prompt_ids(tokenizer, user="THE END")


# The system role


@pytest.mark.parametrize("source", [templates.NO_SYSTEM, templates.DROPS_SYSTEM], ids=["refuses", "drops"])
def test_without_a_system_role_the_persona_heads_the_users_message_and_that_is_said_once(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(chat, "say", said.append)
    chat._say_folded.cache_clear()
    made = templates.tokenizer(source)
    assert prompt_ids(made, user="Hi", system=PERSONA) == prompt_ids(made, user=f"{PERSONA}\n\nHi")
    prompt_ids(made, user="Ho", system=PERSONA)
    [line] = said
    assert "has no system role: a persona stands at the head of the user's message" in line


def test_a_template_that_folds_the_persona_itself_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(chat, "say", said.append)
    chat._say_folded.cache_clear()
    made = templates.tokenizer(templates.GEMMA)
    expected = f"<start_of_turn>user\n{PERSONA}\n\nHi<end_of_turn>\n<start_of_turn>model\n"
    assert prompt_ids(made, user="Hi", system=PERSONA) == encoded(made, expected)
    assert not said


def test_a_persona_that_the_template_changes_is_missed_even_if_the_user_says_its_words(
    tokenizer: "PreTrainedTokenizerFast", monkeypatch: pytest.MonkeyPatch
) -> None:
    shouting = "{% for m in messages %}{{ m.content.replace('agree', 'AGREE') if m.role == 'system' else m.content }}"
    monkeypatch.setattr(tokenizer, "chat_template", shouting + "{% endfor %}")
    with pytest.raises(ChatError, match=f"changes the system message {PERSONA!r}"):
        prompt_ids(tokenizer, user=f"Someone said: {PERSONA}", system=PERSONA)


def test_blanks_that_a_template_trims_are_no_change() -> None:
    made = templates.tokenizer(templates.LLAMA)
    assert prompt_ids(made, user=" Hi\n", system=f"{PERSONA} ") == prompt_ids(made, user="Hi", system=PERSONA)


def test_a_tokenizer_without_a_template_is_refused(
    tokenizer: "PreTrainedTokenizerFast", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", None)
    with pytest.raises(ChatError, match=r"has no chat template; use an instruction-tuned model"):
        prompt_ids(tokenizer, user="Hi")


# The end of a turn


def configured(lm: LanguageModel, eos: int | list[int] | None, **changes: object) -> LanguageModel:
    """The model with another end of sequence in its generation config."""
    import copy

    model = copy.copy(lm.model)
    model.generation_config = GenerationConfig(eos_token_id=eos)
    return replace(lm, model=model, **changes)


def test_the_generation_config_says_what_ends_a_turn_or_else_the_tokenizer(lm: LanguageModel) -> None:
    for eos, ends in ((2, (2,)), ([2, 0], (2, 0)), ([0, 2], (0, 2)), (None, (2,))):
        assert turn_ends(configured(lm, eos)) == ends


def test_a_turn_ends_as_the_template_ends_it_where_neither_says_so(lm: LanguageModel) -> None:
    """A folder in the style of Gemma 3, whose generation config was lost: <eos> is no end of turn."""
    made = templates.tokenizer(templates.GEMMA)
    assert (made.eos_token, made.eos_token_id) == ("<eos>", 0)
    end = made.convert_tokens_to_ids("<end_of_turn>")
    for eos, ends in ((None, (0, end)), (0, (0, end)), ([0], (0, end)), ([1, end], (1, end))):
        assert turn_ends(configured(lm, eos, tokenizer=made)) == ends


def test_a_model_that_ends_no_turn_is_refused(lm: LanguageModel) -> None:
    made = templates.tokenizer("{{ messages[-1].content }}")
    made.eos_token = None
    with pytest.raises(ChatError, match=re.escape("nothing ends a turn of tiny: no eos_token_id")):
        turn_ends(configured(lm, None, tokenizer=made))
