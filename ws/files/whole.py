"""Whether the files of a model hold every weight that it computes with, and a row for every token of its prompts.

transformers fills a weight that it misses with random numbers, tells of it in a report, and goes on: a model without
its head would get other numbers each time. Here no weight is read, only what the files say they hold.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ws.files.showing import brief, brief_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHOWN = 3
"""How many names of weights a message has."""


def check_whole(
    folder: Path, used: Collection[int], spelled: Callable[[int], str], *, name: str, refuse: type[Exception]
) -> None:
    """Raises: `refuse` if weights are missing or have other shapes than the config says, or a token has no row.

    used: the tokens of the chat template and of the answers. Others may lie beyond the rows: some tokenizers have one
    for images, which a model without images never sees.
    """
    model, missing = _outline(folder, name, refuse)
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise refuse(
            f"the files of {name} lack {', '.join(missing[:SHOWN])}{more}, which {type(model).__name__} computes with; "
            "expected every weight of a causal language model, since a missing one would be random: save the whole "
            "model, with its head (AutoModelForCausalLM, save_pretrained)"
        )
    ends = [end for end in (model.get_input_embeddings(), model.get_output_embeddings()) if end is not None]
    if (last := max(used)) >= (rows := min(len(end.weight) for end in ends)):
        raise refuse(
            f"{name} has {rows:,} rows in its embedding and head, and its tokenizer writes {brief(spelled(last))} as "
            f"number {last:,}; expected a row for each token of the chat template and for each Yes and No: give the "
            "model that was trained with this tokenizer, or the tokenizer that belongs to this model"
        )


def check_numbers(tokenizer: "PreTrainedTokenizerBase", answers: Collection[str], *, refuse: type[Exception]) -> None:
    """Raises: `refuse` if a token that spells an answer has a number that is not below the number of tokens.

    Tokens are looked through by their numbers, so a tokenizer whose numbers have gaps would lose such an answer.
    """
    many = len(tokenizer)
    for token, number in tokenizer.get_vocab().items():
        said = tokenizer.decode([number]).strip(" ()").lower() if number >= many else None
        if said in answers:
            raise refuse(
                f"{tokenizer.name_or_path!r} has {many:,} tokens and numbers {brief(token)}, an answer, {number:,}; "
                f"expected answers below {many:,}, since numbers with gaps are not looked through: give a tokenizer "
                "that numbers its tokens without gaps"
            )


def _outline(folder: Path, name: str, refuse: type[Exception]) -> tuple["PreTrainedModel", list[str]]:
    """The model without its numbers, and the names of the weights that its files lack."""
    from transformers import AutoModelForCausalLM

    try:
        with _silent():
            model, found = AutoModelForCausalLM.from_pretrained(
                folder,
                device_map="meta",
                output_loading_info=True,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
    except Exception as error:  # Whatever comes up in files that anybody wrote.
        raise refuse(
            f"transformers cannot load {name} as a causal language model ({type(error).__name__}: "
            f"{brief_line(error)}); expected config and weights of one decoder: save it anew with save_pretrained"
        ) from error
    return model, sorted(found["missing_keys"])


@contextmanager
def _silent() -> Iterator[None]:
    """A context in which transformers draws no bars and prints no warnings: what it would warn of is checked."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
