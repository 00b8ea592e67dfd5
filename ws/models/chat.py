"""Prompts as token ids: the model's own chat template, an optional persona, an optional start of the answer.

A text cannot begin or end a turn: if it spells a control token, that is encoded as ordinary characters, so that the
only turns in a prompt are the template's.
"""

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from ws.errors import ChatError
from ws.models.template import SYSTEM, USER, Template, template_of
from ws.models.yesno import answer_tokens
from ws.store.progress import say

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ws.models.language import LanguageModel


def prompt_ids(
    tokenizer: "PreTrainedTokenizerBase",
    *,
    user: str,
    system: str | None = None,
    prefill: str = "",
    thinking: bool = False,
) -> list[int]:
    """Token ids up to where the model speaks next: the template's turns, then `prefill`.

    The model answers at once, after an empty thought if its template writes one; with `thinking` the prompt ends inside
    a thought that has just begun. If the template has no system role, the persona stands at the head of the user's
    message. The prefill is tokenized on its own, so every prompt ends in the same ids whatever stands before them.
    Raises: ChatError if there is no chat template, or it leaves out or changes what it is given.
    """
    template = template_of(tokenizer)
    if system is not None and not template.takes_system:
        _say_folded(template.name)
        user, system = f"{system}\n\n{user}", None
    ids = _turns(template, user=user, system=system, thinking=thinking)
    if template.control.among(ids) != _own_control(template, has_system=system is not None, thinking=thinking):
        raise ChatError(
            f"with {user[:60]!r} in it, the prompt of {template.name!r} has other control tokens than its template "
            "writes around other words, so the text would begin or end a turn; reword it"
        )
    return [*ids, *text_ids(tokenizer, prefill)]


def text_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Token ids of a text by itself, none of them a control token, even if the text spells one.

    Raises: ChatError if the tokenizer can write what the text spells only as a control token.
    """
    control = template_of(tokenizer).control
    ids = control.encoded(control.marked(text), words=text)
    if control.among(ids):
        raise ChatError(
            f"{text[:60]!r} becomes a control token of {tokenizer.name_or_path!r}, however it is encoded; reword it"
        )
    return ids


def check_chat(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Whether a model can be asked anything and answer Yes or No.

    Raises: ChatError if there is no chat template that takes a persona and a question, or no token for Yes or for No.
    """
    prompt_ids(tokenizer, user=USER, system=SYSTEM)
    answer_tokens(tokenizer)


def turn_ends(lm: "LanguageModel") -> tuple[int, ...]:
    """The tokens with which the model ends its turn: any of them ends an answer.

    These are the ones that its generation config names, or else the tokenizer's end of sequence. If the chat template
    ends an answer with none of these, the first control token that it writes after an answer is added.
    Raises: ChatError if there is none.
    """
    template = template_of(lm.tokenizer)
    configured = getattr(lm.model, "generation_config", None)
    named = getattr(configured, "eos_token_id", None)
    named = lm.tokenizer.eos_token_id if named is None else named
    stated = () if named is None else tuple(named) if isinstance(named, list | tuple) else (named,)
    written = template.control.among(lm.tokenizer.encode(template.after_answer, add_special_tokens=False))
    ends = stated if set(stated) & set(written) else (*stated, *written[:1])
    if not ends:
        raise ChatError(
            f"nothing ends a turn of {lm.name}: no eos_token_id in its generation config, no end-of-sequence token in "
            "its tokenizer, no control token behind an answer in its chat template; name one of them"
        )
    return ends


def _turns(template: Template, *, user: str, system: str | None, thinking: bool) -> list[int]:
    mark = template.control.marked
    persona = None if system is None else mark(system)
    text = template.rendered(user=mark(user), system=persona, thinking=thinking)
    # The user's message may hold the persona's words too, so these are counted. Templates trim what they are given.
    if persona is not None and text.count(persona.strip()) <= mark(user).count(persona.strip()):
        raise ChatError(
            f"the chat template of {template.name!r} changes the system message {system[:40]!r}; "
            "expected it in the prompt as it is: reword it or correct the template"
        )
    missing = template.before_thought if thinking else template.before_answer
    return template.control.encoded(text + missing, words=user if system is None else f"{system}\n{user}")


@lru_cache(maxsize=64)
def _own_control(template: Template, *, has_system: bool, thinking: bool) -> list[int]:
    """The control tokens that the template itself writes, from a prompt of words that spell none."""
    ids = _turns(template, user=USER, system=SYSTEM if has_system else None, thinking=thinking)
    return template.control.among(ids)


@cache
def _say_folded(name: str) -> None:
    say(f"the chat template of {name!r} has no system role: a persona stands at the head of the user's message")
