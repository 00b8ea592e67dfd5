"""Whether a model has the tokens and the positions of a file's prompts, and the machine the memory; checked first.

A long prompt takes a packed sequence of its own. Attention there compares all pairs of tokens, so memory grows with the
square of the prompt's length (`ws.engine.attention`).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from ws.engine.packing import BLOCK
from ws.models.language import LanguageModel
from ws.scoring.own_records import Flaw, refused
from ws.store.memory import available_bytes

Prompt = Sequence[int]

SPARE = 1.25
"""Safety factor on the memory estimated here. The measured peak is 1.10 times the estimate, in bfloat16."""


def check_lengths(path: Path, lm: LanguageModel, prompts: Iterable[tuple[int, Prompt]]) -> None:
    """Raises unless every prompt can be read; each prompt comes with its line in the file.

    Raises: DataError naming all lines whose prompts are too long for the model's positions or for the free memory, or
        have a token that the model has no embedding of.
    """
    free, most = free_bytes(lm), positions(lm)
    flaws = [
        flaw
        for line, prompt in prompts
        for flaw in (_too_long(line, len(prompt), lm=lm, free=free, most=most), _unknown(line, prompt, lm))
        if flaw is not None
    ]
    if flaws:
        raise refused(path, flaws)


def positions(lm: LanguageModel) -> int | None:
    """How many tokens a prompt of the model may have; None if its config does not say."""
    return getattr(lm.model.config.get_text_config(), "max_position_embeddings", None)


def free_bytes(lm: LanguageModel) -> int | None:
    """The free memory of the model's device; None if the system does not tell."""
    return torch.cuda.mem_get_info(lm.device)[0] if lm.device.type == "cuda" else available_bytes()


def prompt_bytes(lm: LanguageModel, tokens: int) -> int:
    """Peak memory for reading one prompt, in bytes, without the model itself."""
    size, exact = lm.dtype.itemsize, max(lm.dtype.itemsize, torch.float32.itemsize)
    heads, kv_heads, d_head = _attention(lm)
    # Per head: scores, scores plus mask, attention weights, and a copy of these if they are rounded to fewer bits.
    of_a_head = 2 * size + exact + (size if size < exact else 0)
    # Per pair of tokens: two boolean masks and an additive one; and copies of each block's keys and values.
    pair = heads * of_a_head + 2 + size + 4 * kv_heads * d_head * size / BLOCK
    linear = (8 * lm.d_model + 3 * _largest(lm, "intermediate_size")) * size
    return int(SPARE * (pair * tokens**2 + linear * tokens))


def _attention(lm: LanguageModel) -> tuple[int, int, int]:
    """Number of heads, number of key and value heads, and the width of a head; zeros for a model without heads."""
    heads = _largest(lm, "num_attention_heads")
    kv_heads = _largest(lm, "num_key_value_heads") or heads
    return heads, kv_heads, _largest(lm, "head_dim") or lm.d_model // max(heads, 1)


def _largest(lm: LanguageModel, name: str) -> int:
    """A size from the model's config, the largest one if layers differ; 0 if there is none, as Mamba has no heads."""
    config = lm.model.config.get_text_config()
    # Of such a config transformers refuses to read the size for all layers.
    layers = config.per_layer_config if getattr(config, "is_heterogeneous", False) else [config]
    values = [getattr(layer, name, None) or 0 for layer in layers]
    return max(max(value) if isinstance(value, list | tuple) else value for value in values)


def _unknown(line: int, prompt: Prompt, lm: LanguageModel) -> Flaw | None:
    """The flaw of a prompt with a token that was added to the tokenizer and not to the model."""
    rows, last = len(lm.model.get_input_embeddings().weight), max(prompt, default=0)
    if last < rows:
        return None
    token = lm.tokenizer.convert_ids_to_tokens(last)
    return Flaw(
        line, f"holds {token!r:.60}, number {last:,} of the tokenizer; {lm.name} embeds {rows:,} tokens: reword the row"
    )


def _too_long(line: int, tokens: int, *, lm: LanguageModel, free: int | None, most: int | None) -> Flaw | None:
    if most is not None and tokens > most:
        return Flaw(
            line, f"{tokens:,} tokens with the chat template; {lm.name} reads {most:,} at most: shorten the row"
        )
    if free is not None and (needed := prompt_bytes(lm, tokens)) > free:
        return Flaw(
            line,
            f"{tokens:,} tokens take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free: shorten the row, or use "
            "a machine with more",
        )
    return None
