"""Logits at the ends of many prompts, with one product with the head for several prompts.

The head is the largest matrix of a small model. Multiplied with the few tokens of one answer at a time, it spends more
time on being read from memory than on its products: a third of the time in which 160 answers of 16 tokens are scored.
"""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ws.engine.depth import PackedBatch, headed, upper
from ws.engine.passes import Batch, Spans
from ws.models.language import LanguageModel

LOGITS = 2**24
"""About how many logits are computed together: 64 MiB in fp32, and enough tokens for a product at full speed."""


def logits_at(lm: LanguageModel, batch: Batch, spans: Spans) -> Iterator[tuple[int, Float[Tensor, "token vocab"]]]:
    """The place of each prompt and its logits at a span of its tokens; places come in any order.

    Unlike `Batch.read`, which computes the logits of one prompt when they are asked for.
    """
    match batch:
        case PackedBatch():
            yield from _packed_logits(lm, batch, spans)
        case _:
            for place, logits in batch.read(lm, spans):
                yield place, logits()


def together(columns: Mapping[int, Int[Tensor, "_"]], *, tokens: int) -> list[list[int]]:
    """Places in their order, in groups that have at most so many tokens, or one place."""
    groups: list[list[int]] = []
    room = 0
    for place, path in columns.items():
        room -= len(path)
        if not groups or room < 0:
            groups.append([])
            room = tokens - len(path)
        groups[-1].append(place)
    return groups


def _packed_logits(
    lm: LanguageModel, batch: PackedBatch, spans: Spans
) -> Iterator[tuple[int, Float[Tensor, "token vocab"]]]:
    tokens = LOGITS // lm.model.config.get_text_config().vocab_size
    for packed, below in zip(batch.sequences, batch.below, strict=True):
        with torch.no_grad():
            hidden = upper(lm, packed, below, start=batch.start)
        columns = {place: path[spans[place]].to(hidden.device) for place, path in packed.paths.items()}
        for places in together(columns, tokens=tokens):
            chosen = [columns[place] for place in places]
            logits = headed(lm, hidden[torch.cat(chosen)])
            yield from zip(places, logits.split(list(map(len, chosen))), strict=True)
