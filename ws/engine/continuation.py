"""What a model says after each of many prompts, with the beginnings that prompts share read once.

transformers' `generate` reads every prompt of a batch in full, with the padding before it. Here all prompts are packed
(`ws.engine.packing`) and read once, each up to its second to last token; then their keys and values are put into the
cache from which `generate` continues.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ws.engine.caches import cache_name, check_filled
from ws.engine.depth import prefilled
from ws.engine.generating import Processor, generated
from ws.engine.packing import pack
from ws.engine.passes import Begun, until
from ws.models.language import LanguageModel

if TYPE_CHECKING:
    from transformers import DynamicCache


@dataclass(frozen=True, eq=False)
class PackedBegun(Begun):
    """Prompts of which a model has read all but the last token."""

    lm: LanguageModel
    prompts: Sequence[Sequence[int]]
    columns: Sequence[Int[Tensor, "_"]]
    """For each prompt: the columns of `states` that hold its tokens, all but the last."""
    states: Sequence[tuple[Float[Tensor, "kv_heads nodes d_head"], Float[Tensor, "kv_heads nodes d_head"]]]
    """Keys and values, a pair a layer."""

    def continued(
        self,
        batch: Sequence[int],
        *,
        ends: Sequence[int],
        new_tokens: int,
        do_sample: bool = False,
        processors: Sequence[Processor] = (),
    ) -> list[list[int]]:
        """They run together, padded on the left."""
        width = max(len(self.prompts[place]) for place in batch)
        ids = torch.full((len(batch), width), ends[0])
        attention = torch.zeros_like(ids)
        # Padding takes the states of column 0, which no token attends to.
        columns = torch.zeros(len(batch), width - 1, dtype=torch.long)
        for row, place in enumerate(batch):
            start = width - len(self.prompts[place])
            ids[row, start:] = torch.tensor(self.prompts[place])
            attention[row, start:] = 1
            columns[row, start:] = self.columns[place]
        cache, model = self._cache(columns.to(self.lm.device)), self.lm.model
        output = generated(
            model,
            ids.to(self.lm.device),
            attention.to(self.lm.device),
            ends=ends,
            new_tokens=new_tokens,
            do_sample=do_sample,
            processors=processors,
            # `generate` passes this to `forward` unread, so the name is the one that `forward` uses.
            **{cache_name(model.forward): cache},
        )
        # The last token is generated, but never read.
        check_filled(cache, tokens=output.shape[1] - 1, by=f"generate of {self.lm.name}")
        return [until(ends, tokens) for tokens in output[:, width:].tolist()]

    def _cache(self, columns: Int[Tensor, "batch seq"]) -> "DynamicCache":
        from transformers import DynamicCache

        cache = DynamicCache(config=self.lm.model.config)
        for layer, (keys, values) in enumerate(self.states):
            cache.update(*(states[:, columns].transpose(0, 1) for states in (keys, values)), layer)
        return cache


def packed_begun(lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> PackedBegun:
    """Prompts read by the model as it is now: steered if the caller steers it.

    Raises: DataError if there is no prompt, or one is empty or longer than an attention window of the model.
    """
    # A prompt of a single token has nothing before it that could be read: it is packed whole, its column is not used.
    sequences = pack([prompt[:-1] or prompt for prompt in prompts])
    columns, nodes = {}, 0
    for packed in sequences:
        columns |= {place: path[: len(prompts[place]) - 1] + nodes for place, path in packed.paths.items()}
        nodes += len(packed.ids)
    layers = zip(*(prefilled(lm, packed) for packed in sequences), strict=True)
    states = [tuple(torch.cat(parts, dim=1) for parts in zip(*pairs, strict=True)) for pairs in layers]
    return PackedBegun(lm, prompts, [columns[place] for place in range(len(prompts))], states)
