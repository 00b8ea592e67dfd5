"""The contrast of personas along directions that a block writes and that nothing behind it reads much.

    dW' = B B^T W (x+ - x-) x0^T / |x0|^2        for each W that writes the stream

B are the top K directions that the block's writers write, outside those that later blocks and the unembedding read most
(`ws.lenses.bases.write_not_read`); the rest is that of `ws.constructed.persona`.

Source: research journal, 2026-04-26, made notebook (project the contrast "onto the write_not_read" subspace).
"""

from dataclasses import dataclass

from ws.constructed.persona import PersonaWrite
from ws.delta.weight_delta import WeightDelta
from ws.lenses.bases import writes_not_read
from ws.lenses.modules import layer_of
from ws.lenses.shared import Projected
from ws.models.language import LanguageModel
from ws.store import Store


@dataclass(frozen=True)
class WriteNotRead(PersonaWrite):
    """The contrast of personas in every residual writer, in `k` directions of each block."""

    k: int = 8

    def construct(self, lm: LanguageModel, store: Store) -> WeightDelta:
        whole = super().construct(lm, store)
        bases = writes_not_read(lm, sorted(set(map(layer_of, whole.tensors))), self.k)
        return Projected({path: bases[layer_of(path)] for path in whole.tensors}).apply(whole, lm)

    def describe(self) -> str:
        return f"persona contrast in {self.k} write-not-read directions of {self.on.describe()}"
