"""For each kind of template, the text between a question and an answer without a thought is what it writes there."""

import datetime
from typing import TYPE_CHECKING

import pytest

from ws.errors import ChatError
from ws.models import template
from ws.models.chat import prompt_ids
from ws.models.marks import MARKS, Marks, holds_thought, left_open, marks_of
from ws.models.template import TODAY, dated, template_of
from ws.tests import templates

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ASKED = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
FORMS = {
    # template: (prompt to answer, prompt to think)
    templates.QWEN: (ASKED + "<think>\n\n</think>\n\n", ASKED + "<think>"),
    templates.DEEPSEEK: ("<|user|>Hi<|assistant|><think>\n\n</think>\n\n", "<|user|>Hi<|assistant|><think>\n"),
    templates.HYBRID: (ASKED + "</think>", ASKED + "<think>"),
    templates.EFFORT: (ASKED, ASKED + "[THINK]"),
    templates.CHANNELS: (
        "<|start|>user<|message|>Hi<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|start|>user<|message|>Hi<|end|><|start|>assistant<think>",
    ),
    templates.NO_SYSTEM: (ASKED, ASKED + "<think>"),
}
NAMES = ["qwen", "deepseek", "hybrid", "effort", "channels", "plain"]
every_form = pytest.mark.parametrize(("source", "forms"), FORMS.items(), ids=NAMES)


@every_form
@pytest.mark.parametrize("thinking", [False, True], ids=["answer", "thought"])
def test_a_prompt_is_in_the_form_of_its_template(source: str, forms: tuple[str, str], thinking: bool) -> None:
    made = templates.tokenizer(source)
    assert made.decode(prompt_ids(made, user="Hi", thinking=thinking)) == forms[thinking]


@every_form
def test_no_thought_stands_open_where_an_answer_begins(source: str, forms: tuple[str, str]) -> None:
    made = templates.tokenizer(source)
    assert left_open(made.decode(prompt_ids(made, user="Hi", prefill="No"))) is None


def test_a_template_that_opens_a_thought_is_closed_by_the_token() -> None:
    made = templates.tokenizer(templates.DEEPSEEK)
    opening, closing = made.convert_tokens_to_ids(["<think>", "</think>"])
    ids = prompt_ids(made, user="What is <think>?")
    assert [i for i in ids if i in (opening, closing)] == [opening, closing]


def test_a_generation_prompt_that_the_template_forgets_is_what_it_writes_before_an_answer() -> None:
    made = templates.tokenizer(templates.HEADER)
    assert made.decode(prompt_ids(made, user="Hi")) == ASKED


def test_a_model_without_marks_cannot_be_asked_to_think(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = templates.tokenizer(templates.HEADER)
    monkeypatch.setattr(template, "marks_of", lambda tokenizer: None)
    with pytest.raises(ChatError, match="has no tokens that begin and end a thought; use a model that thinks"):
        prompt_ids(made, user="Hi", thinking=True)


# Dates


class Tomorrow(datetime.datetime):
    """A clock that is a day ahead of any other."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return super().now(tz) + datetime.timedelta(days=1)


@pytest.mark.parametrize("source", [templates.LLAMA, templates.CLOCK], ids=["date_string", "strftime_now"])
def test_prompts_of_different_days_are_equal(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = templates.tokenizer(source)
    plain = made.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    ids = prompt_ids(made, user="Hi")
    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Tomorrow)
    # A template as it is does print the date.
    assert made.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False) != plain
    template._template.cache_clear()
    assert prompt_ids(made, user="Hi") == ids
    assert f"{TODAY:%d}" in made.decode(ids)
    assert f"{TODAY:%Y}" in made.decode(ids)


def test_a_template_that_has_no_clock_is_given_the_date() -> None:
    made = templates.tokenizer("{{ date_string + ': ' + messages[0].content }}")
    assert made.decode(prompt_ids(made, user="Hi")) == "26 Jul 2024: Hi"


def test_a_date_is_written_as_the_template_asks() -> None:
    assert dated("{{ strftime_now(\"%Y's %B\") }}, {{ strftime_now(format='%H:%M') }}") == (
        '{{ "2024\'s July" }}, {{ "00:00" }}'
    )
    assert dated(templates.QWEN) == templates.QWEN


def test_a_format_that_is_computed_is_refused() -> None:
    made = templates.tokenizer("{% set f = '%Y' %}{{ strftime_now(f) }}{{ messages[0].content }}")
    with pytest.raises(ChatError, match="prints the time in a format that is no text in quotes"):
        prompt_ids(made, user="Hi")


# Templates that cannot carry a prompt


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("{{ raise_exception('tools only') }}", r"refuses \['user'\]: tools only; expected one that takes a user's"),
        ("{{ messages[0].content + 1 }}", r"refuses \['user'\]: can only concatenate str"),
        ("{% for %}", r"refuses \['user'\]: Expected an expression"),
        ("Hello", r"leaves out the user's words 'Hi'; expected them in the prompt as they are"),
    ],
    ids=["raises", "fails", "no-template", "drops"],
)
def test_a_template_that_takes_no_question_is_refused(source: str, complaint: str) -> None:
    with pytest.raises(ChatError, match=complaint):
        prompt_ids(templates.tokenizer(source), user="Hi")


@pytest.fixture
def several() -> "PreTrainedTokenizerFast":
    made = templates.tokenizer(templates.QWEN)
    made.chat_template = {"tool_use": "tools", "default": templates.QWEN}
    return made


def test_of_several_templates_the_default_is_taken(several: "PreTrainedTokenizerFast") -> None:
    assert template_of(several).source == templates.QWEN
    several.chat_template = {"tool_use": "tools", "rag": templates.QWEN}
    with pytest.raises(ChatError, match="several chat templates and none named 'default'"):
        template_of(several)


# Marks


@pytest.mark.parametrize("marks", MARKS, ids=lambda marks: marks.opening)
def test_a_thought_is_open_until_it_is_closed(marks: Marks) -> None:
    opening, closing = marks
    assert left_open(f"a{opening}b") == left_open(f"{opening}a{closing}b{opening}") == marks
    assert left_open(f"{opening}a{closing}b") is left_open(f"a{closing}") is left_open("") is None
    assert holds_thought(f"a{opening}")
    assert holds_thought(f"{closing}a")
    assert not holds_thought("I think, therefore <thin king> [think]")


def test_marks_are_those_that_are_tokens() -> None:
    assert marks_of(templates.tokenizer(templates.QWEN)) == MARKS[0]
    assert marks_of(templates.tokenizer(templates.QWEN, added=["<thought>"])) == MARKS[0]
