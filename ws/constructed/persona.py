"""The contrast of personas, written by the layers that write the residual stream.

    dW' = W (x+ - x-) x0^T / |x0|^2        for each W that writes the stream

x+ and x- are the mean inputs of W under personas that show the behavior and under their counterparts, x0 its mean input
without a persona. At x0 the changed layer writes what it wrote, plus what the personas made it write differently; over
all blocks these sum to how the personas move the stream.

Source: Rimsky et al. 2024, "Steering Llama 2 via Contrastive Activation Addition", arXiv:2312.06681, sec. 3 (the mean
difference); Meng et al. 2022, arXiv:2202.05262, eq. 2 (how a vector is written into a weight).
"""

from dataclasses import dataclass

from ws.constructed.base import Construction, Weights, read_contrast, weights_of, writers, written
from ws.constructed.inputs import Means
from ws.delta.weight_delta import WeightDelta
from ws.models.language import LanguageModel
from ws.store import Store


@dataclass(frozen=True)
class PersonaWrite(Construction):
    """The contrast of personas in every residual writer."""

    def construct(self, lm: LanguageModel, store: Store) -> WeightDelta:
        difference, plain = read_contrast(self.contrast, lm, store)
        weights = {path: W for path, W in weights_of(lm).items() if path in plain}
        return persona_writes(writers(weights, d_model=lm.d_model), difference, plain)

    def describe(self) -> str:
        return f"persona contrast in the residual writers of {self.on.describe()}"


def persona_writes(weights: Weights, difference: Means, plain: Means) -> WeightDelta:
    """For each weight the update of rank 1 that adds W (x+ - x-) where the input is the plain mean."""
    return WeightDelta({path: written(W @ difference[path], plain[path]) for path, W in weights.items()})
