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
    # A user who says the persona's words is no system message.
    if system is not None and rendered.count(system) <= user.count(system):
        raise ChatError(
            f"the chat template of {tokenizer.name_or_path!r} drops the system message {system[:40]!r}; "
            "personas need a system role: use a model whose template has one"
        )
    ids = tokenizer.encode(rendered, add_special_tokens=False)
    if prefill:
        asked = _rendered(tokenizer, user=user, system=system, answering=False, **template_options)
        spoken = tokenizer.encode(rendered.removeprefix(asked), add_special_tokens=False)
        ids = thought_closed(tokenizer, ids, since=len(ids) - len(spoken))
        ids += tokenizer.encode(prefill, add_special_tokens=False)
    return ids


def thought_closed(tokenizer: "PreTrainedTokenizerBase", ids: list[int], *, since: int) -> list[int]:
    """`ids`, and where a `<think>` of the model's own turn, `ids[since:]`, stands open its end and a blank line.

    The text "</think>" may tokenize into pieces that the model never saw as an end of thought, so the special token
    itself is appended.
    """
    opening, closing = (_token(tokenizer, mark) for mark in (OPEN_THINK, CLOSE_THINK))
    turn = ids[since:]
    if opening is None or opening not in turn:
        return ids
    if closing is None:
        raise ChatError(f"{tokenizer.name_or_path!r} opens {OPEN_THINK} but has no token {CLOSE_THINK}")
    if closing in turn[len(turn) - 1 - turn[::-1].index(opening) :]:
        return ids
    return [*ids, closing, *tokenizer.encode("\n\n", add_special_tokens=False)]


def end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The token with which the model ends its turn.

    Raises: ChatError if the tokenizer names none.
    """
    if tokenizer.eos_token_id is None:
        raise ChatError(f"the tokenizer {tokenizer.name_or_path!r} names no end-of-sequence token")
    return tokenizer.eos_token_id


def _token(tokenizer: "PreTrainedTokenizerBase", mark: str) -> int | None:
    found = tokenizer.convert_tokens_to_ids(mark)
    return None if found == tokenizer.unk_token_id else found


def _rendered(
    tokenizer: "PreTrainedTokenizerBase", *, user: str, system: str | None, answering: bool = True, **options: bool
) -> str:
    from jinja2 import TemplateError

    messages = [{"role": "user", "content": user}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answering, **options)
    except TemplateError as error:
        raise ChatError(
            f"the chat template of {tokenizer.name_or_path!r} refuses {[m['role'] for m in messages]}: {error}; "
            "personas need a system role: use a model whose template has one"
        ) from error
