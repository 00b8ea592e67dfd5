"""What a model's chat template writes around the words of a conversation.

All of this is learned by rendering words of our own: whether there is a system role, what stands between a question and
its answer when the model does not think, and what ends an answer. A template that prints today's date prints TODAY.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from ws.errors import ChatError
from ws.models.control import Control, control_of
from ws.models.marks import left_open, marks_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TODAY = datetime(2024, 7, 26)
"""The date of every prompt: the one that Llama 3's template prints when it has no clock."""

LLAMA_DATE = "%d %b %Y"
"""How Llama 3 writes a date; its template takes the date as `date_string`."""

THINKING: Mapping[bool, Mapping[str, bool | int]] = {
    True: {"enable_thinking": True, "thinking": True},
    False: {"enable_thinking": False, "thinking": False, "thinking_budget": 0},
}
"""The options by which templates are told to think or not to (Qwen3, SmolLM3, GLM; DeepSeek, Granite; Seed-OSS).
Jinja ignores the ones that a template does not know."""

CLOCK = re.compile(r"strftime_now\(\s*(?:format\s*=\s*)?(?P<quote>['\"])(?P<format>.*?)(?P=quote)\s*\)")
"""A template's call of the clock that transformers lends it."""

SYSTEM, USER, ANSWER = "A wooden spoon.", "A copper kettle.", "A linen towel."
"""Words that occur in no template, so that what a template writes around them can be told."""


@dataclass(frozen=True, eq=False)
class Template:
    """The chat template of a tokenizer, on a day that does not change."""

    tokenizer: "PreTrainedTokenizerBase"
    source: str

    def rendered(self, *, user: str, system: str | None = None, answer: str | None = None, thinking: bool) -> str:
        """The text of a conversation, up to where the model speaks next or, with an answer, to the end of its turn.

        Raises: ChatError if the template refuses it or leaves the user's words out.
        """
        said = {"system": system, "user": user, "assistant": answer}
        messages = [{"role": role, "content": words} for role, words in said.items() if words is not None]
        try:
            text = self.tokenizer.apply_chat_template(
                messages,
                chat_template=self.source,
                tokenize=False,
                add_generation_prompt=answer is None,
                date_string=TODAY.strftime(LLAMA_DATE),
                **THINKING[thinking],
                **self._effort(thinking),
            )
        # A template is somebody else's code and may raise anything.
        except Exception as error:
            raise ChatError(
                f"the chat template of {self.name!r} refuses {[message['role'] for message in messages]}: {error}; "
                "expected one that takes a user's message and the model's answer to it: correct the template"
            ) from error
        # Templates trim what they are given.
        if user.strip() not in text:
            raise ChatError(
                f"the chat template of {self.name!r} leaves out the user's words {user.strip()[:40]!r}; "
                "expected them in the prompt as they are: correct the template or use another model"
            )
        return text

    @property
    def name(self) -> str:
        return self.tokenizer.name_or_path

    @property
    def control(self) -> Control:
        return control_of(self.tokenizer, self.source)

    @cached_property
    def takes_system(self) -> bool:
        """Whether a system message reaches the prompt, in a turn of its own or wherever the template puts it."""
        try:
            return SYSTEM in self.rendered(user=USER, system=SYSTEM, thinking=False)
        except ChatError:
            return False

    @cached_property
    def before_answer(self) -> str:
        """What has to follow the generation prompt so that the model answers without a thought.

        If the template opens a thought by itself, this is the end of that thought. Otherwise it is what the template
        writes before an answer in addition to its generation prompt, such as the channel of gpt-oss. Spaces at its end
        are left out, since they belong to the answer's first token.
        """
        asked = self._behind_user(self.rendered(user=USER, thinking=False))
        if marks := left_open(asked):
            return ("\n" if asked.endswith("\n") else "") + marks.closing + "\n\n"
        answered = self._answered[0]
        missing = answered.removeprefix(asked).rstrip(" ") if answered.startswith(asked) else ""
        return "" if left_open(missing) else missing

    @cached_property
    def before_thought(self) -> str:
        """What has to follow the generation prompt so that the model begins a thought; empty if the template does it.

        Raises: ChatError if the tokenizer has no marks of a thought.
        """
        if left_open(self._behind_user(self.rendered(user=USER, thinking=True))):
            return ""
        marks = marks_of(self.tokenizer)
        if marks is None:
            raise ChatError(
                f"the tokenizer {self.name!r} has no tokens that begin and end a thought; use a model that thinks"
            )
        return marks.opening

    @cached_property
    def after_answer(self) -> str:
        """What the template writes after an answer; empty if it cannot render an answer."""
        return self._answered[1]

    @cached_property
    def _answered(self) -> tuple[str, str]:
        """What stands between a user's words and an answer, and what follows the answer."""
        try:
            text = self.rendered(user=USER, answer=ANSWER, thinking=False)
        except ChatError:
            return "", ""
        before, answer, after = self._behind_user(text).partition(ANSWER)
        return (before, after) if answer else ("", "")

    @staticmethod
    def _behind_user(text: str) -> str:
        return text.rpartition(USER)[2]

    def _effort(self, thinking: bool) -> dict[str, str]:
        """The option for no reasoning effort, only if the template knows that value: others print whatever they get."""
        named = any(none in self.source for none in ("'none'", '"none"'))
        return {"reasoning_effort": "none"} if named and not thinking else {}


def template_of(tokenizer: "PreTrainedTokenizerBase") -> Template:
    """The chat template of a tokenizer.

    Raises: ChatError if it has none, or asks the clock in a way that no fixed day can answer.
    """
    if tokenizer.chat_template is None:
        raise ChatError(
            f"the tokenizer {tokenizer.name_or_path!r} has no chat template; use an instruction-tuned model"
        )
    try:
        source = tokenizer.get_chat_template()
    except ValueError as error:
        raise ChatError(
            f"the tokenizer {tokenizer.name_or_path!r} has several chat templates and none named 'default' ({error}); "
            "name the one to use 'default'"
        ) from error
    return _template(tokenizer, source)


@lru_cache(maxsize=16)
def _template(tokenizer: "PreTrainedTokenizerBase", source: str) -> Template:
    return Template(tokenizer, dated(source, name=tokenizer.name_or_path))


def dated(source: str, *, name: str = "") -> str:
    """The template with every call of the clock replaced by the text that it would print on TODAY.

    Raises: ChatError for a call whose format is no text in quotes.
    """
    fixed = CLOCK.sub(lambda call: json.dumps(TODAY.strftime(call["format"])), source)
    if re.search(r"strftime_now\s*\(", fixed):
        raise ChatError(
            f"the chat template of {name!r} prints the time in a format that is no text in quotes, so that prompts "
            "would differ from day to day; write the format into the call of strftime_now"
        )
    return fixed
