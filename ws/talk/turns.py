"""A conversation of several turns as token ids, by the model's own chat template.

The first turn is the prompt that everything else in this package asks with. Behind it too, no text begins or ends a
turn: control tokens that an answer or a message spells are encoded as ordinary characters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ws.errors import ChatError
from ws.models.chat import prompt_ids
from ws.models.marks import holds_thought
from ws.models.template import ANSWER, LLAMA_DATE, SYSTEM, THINKING, TODAY, USER, Template, template_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Turn(NamedTuple):
    """What the user said, and what the model answered."""

    user: str
    answer: str


def conversation_ids(
    tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Turn], user: str, *, system: str | None = None
) -> list[int]:
    """Token ids of earlier turns and a new message, up to where the model answers it, without a thought.

    Raises: ChatError if there is no chat template, or it leaves out or changes what it is given.
    """
    if not turns:
        return prompt_ids(tokenizer, user=user, system=system)
    known = template_of(tokenizer)
    template = _Turns(known.tokenizer, known.source)
    ids = template.ids([*turns, Turn(user, "")], system=system)
    if template.control.among(ids) != _own_control(template.tokenizer, template.source, len(turns), system is not None):
        raise ChatError(
            f"with {user[:60]!r} behind {len(turns)} turns, the prompt of {template.name!r} has other control tokens "
            "than its template writes around other words, so a text would begin or end a turn; reword it, or forget "
            "the turns before it"
        )
    return ids


@dataclass(frozen=True, eq=False)
class _Turns(Template):
    """A chat template that renders more than one turn."""

    def ids(self, turns: Sequence[Turn], *, system: str | None) -> list[int]:
        """The turns, the last of them without its answer. Raises: ChatError if the template leaves one out."""
        mark = self.control.marked
        said = [Turn(mark(turn.user), mark(turn.answer)) for turn in turns]
        persona = None if system is None else mark(system)
        if persona is not None and not self.takes_system:
            said[0] = said[0]._replace(user=f"{persona}\n\n{said[0].user}")
            persona = None
        text = self._written(said, persona)
        self._check_whole(text, said, persona)
        words = "\n".join([system or "", *(words for turn in turns for words in turn)])
        return self.control.encoded(text + self.before_answer, words=words)

    def _written(self, said: Sequence[Turn], persona: str | None) -> str:
        spoken = [
            {"role": role, "content": words}
            for turn in said
            for role, words in (("user", turn.user), ("assistant", turn.answer))
        ]
        messages = [*([] if persona is None else [{"role": "system", "content": persona}]), *spoken[:-1]]
        try:
            return self.tokenizer.apply_chat_template(
                messages,
                chat_template=self.source,
                tokenize=False,
                add_generation_prompt=True,
                date_string=TODAY.strftime(LLAMA_DATE),
                **THINKING[False],
                **self._effort(False),
            )
        # A template is somebody else's code and may raise anything.
        except Exception as error:
            raise ChatError(
                f"the chat template of {self.name!r} refuses {len(said)} turns: {error}; expected one that takes a "
                "conversation: correct the template, or forget the turns before"
            ) from error

    def _check_whole(self, text: str, said: Sequence[Turn], persona: str | None) -> None:
        """Raises: ChatError if the text lacks something that was said."""
        # Some templates take thoughts out of earlier answers.
        answers = [turn.answer for turn in said[:-1] if not holds_thought(turn.answer)]
        for words in (*filter(None, [persona]), *(turn.user for turn in said), *answers):
            # Templates trim what they are given.
            if words.strip() not in text:
                raise ChatError(
                    f"the chat template of {self.name!r} leaves out {words.strip()[:40]!r}, said in a conversation of "
                    f"{len(said)} turns; expected it in the prompt as it is: correct the template"
                )


@lru_cache(maxsize=64)
def _own_control(tokenizer: "PreTrainedTokenizerBase", source: str, earlier: int, has_system: bool) -> list[int]:
    """The control tokens that a template writes around words that spell none, of earlier turns and a new one."""
    template = _Turns(tokenizer, source)
    turns = [*([Turn(USER, ANSWER)] * earlier), Turn(USER, "")]
    return template.control.among(template.ids(turns, system=SYSTEM if has_system else None))
