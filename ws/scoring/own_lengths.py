"""Whether the prompts of a file of rows fit the model and the memory, known before anything is computed.

A prompt alone is a packed sequence of its own, in which every token meets every other: what it takes grows with the
square of its length (`ws.engine.attention`).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ws.engine.packing import BLOCK
from ws.models.language import LanguageModel
from ws.scoring.own_records import Flaw, refused
from ws.store.memory import available_bytes

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Prompt = Sequence[int]

SPARE = 1.25
"""What a sequence takes at its peak over the tensors counted here: 1.10 measured, of products in bfloat16."""


def check_lengths(path: Path, lm: LanguageModel, prompts: Iterable[tuple[int, Prompt]]) -> None:
    """Whether every prompt can be read; each comes with its line in the file.

    Raises: DataError naming all lines whose prompts are longer than the model's positions or the memory that is free.
    """
    free, most = free_bytes(lm), positions(lm)
    flaws = [flaw for line, prompt in prompts if (flaw := _too_long(line, len(prompt), lm=lm, free=free, most=most))]
    if flaws:
        raise refused(path, flaws)


def positions(lm: LanguageModel) -> int | None:
    """How many tokens a prompt of the model may have; None if its config does not say."""
    return getattr(lm.model.config.get_text_config(), "max_position_embeddings", None)


def free_bytes(lm: LanguageModel) -> int | None:
    """The memory that is free where the model computes; None if the system does not tell."""
    return torch.cuda.mem_get_info(lm.device)[0] if lm.device.type == "cuda" else available_bytes()


def prompt_bytes(lm: LanguageModel, tokens: int) -> int:
    """What reading one prompt takes at its peak, beside the model."""
    config = lm.model.config.get_text_config()
    size, exact = lm.dtype.itemsize, max(lm.dtype.itemsize, torch.float32.itemsize)
    heads, kv_heads, d_head = _attention(config)
    # Scores, their sum with the mask, the weights, and these once more where they go back to fewer bits.
    of_a_head = 2 * size + exact + (size if size < exact else 0)
    # Who sees whom, as bools twice and as the mask; a block's keys and values, gathered, joined and one of them turned.
    pair = heads * of_a_head + 2 + size + 4 * kv_heads * d_head * size / BLOCK
    linear = (8 * config.hidden_size + 3 * (getattr(config, "intermediate_size", None) or 0)) * size
    return int(SPARE * (pair * tokens**2 + linear * tokens))


def _attention(config: "PretrainedConfig") -> tuple[int, int, int]:
    """Heads, heads of keys and values, and the size of one."""
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    return heads, kv_heads, getattr(config, "head_dim", None) or config.hidden_size // heads


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
