"""Prompts as token ids: the model's own chat template, an optional persona, an optional start of the answer."""

from typing import TYPE_CHECKING

from ws.errors import ChatError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OPEN_THINK, CLOSE_THINK = "<think>", "</think>"


def prompt_ids(
    tokenizer: "PreTrainedTokenizerBase",
    *,
    user: str,
    system: str | None = None,
    prefill: str = "",
    **template_options: bool,
) -> list[int]:
    """Token ids up to where the model speaks next: template(system, user), a closed thought, then `prefill`.

    The prefill is tokenized on its own, so the same ids end every prompt whatever stands before them.
    Raises: ChatError if there is no chat template, or `system` is given and the template drops it.
    """
    if tokenizer.chat_template is None:
        raise ChatError(
            f"the tokenizer {tokenizer.name_or_path!r} has no chat template; use an instruction-tuned model"
        )
    rendered = _rendered(tokenizer, user=user, system=system, **template_options)
    if system is not None and system not in rendered:
        raise ChatError(
            f"the chat template of {tokenizer.name_or_path!r} drops the system message {system[:40]!r}; "
            "personas need a system role: use a model whose template has one"
        )
    ids = tokenizer.encode(rendered, add_special_tokens=False)
    if prefill:
        ids = thought_closed(tokenizer, ids) + tokenizer.encode(prefill, add_special_tokens=False)
    return ids


def thought_closed(tokenizer: "PreTrainedTokenizerBase", ids: list[int]) -> list[int]:
    """`ids`, and where a `<think>` stands open the special token that closes it, then a blank line.

    The text "</think>" may tokenize into pieces that the model never saw as an end of thought, so the token itself
    is appended.
    """
    opening, closing = (tokenizer.get_vocab().get(mark) for mark in (OPEN_THINK, CLOSE_THINK))
    if opening is None or ids[::-1].count(opening) == 0:
        return ids
    if closing is None:
        raise ChatError(f"{tokenizer.name_or_path!r} opens {OPEN_THINK} but has no token {CLOSE_THINK}")
    last_open = len(ids) - 1 - ids[::-1].index(opening)
    if closing in ids[last_open:]:
        return ids
    return [*ids, closing, *tokenizer.encode("\n\n", add_special_tokens=False)]


def end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The token with which the model ends its turn.

    Raises: ChatError if the tokenizer names none.
    """
    if tokenizer.eos_token_id is None:
        raise ChatError(f"the tokenizer {tokenizer.name_or_path!r} names no end-of-sequence token")
    return tokenizer.eos_token_id


def _rendered(tokenizer: "PreTrainedTokenizerBase", *, user: str, system: str | None, **options: bool) -> str:
    from jinja2 import TemplateError

    messages = [{"role": "user", "content": user}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **options)
    except TemplateError as error:
        raise ChatError(
            f"the chat template of {tokenizer.name_or_path!r} refuses {[m['role'] for m in messages]}: {error}; "
            "personas need a system role: use a model whose template has one"
        ) from error
