"""What a rank-1 intervention on representations means in weights.

LoReFT replaces the coordinate of a state h along r by another value: h + r (w . h + b - r . h). Untrained, r is the
direction in which the personas move a layer's output, w = 0, and b is the coordinate that the output has under the
personas that show the behavior. Applied to the output of a weight W that writes the stream, in weights this is

    dW' = r (b x0 / |x0|^2 - W^T r)^T        for each W that writes the stream

with x0 the mean input of W without a persona: at x0 the changed layer writes the coordinate b along r. What can be put
into a weight is -r r^T W, exactly and of rank 1: the layer's own coordinate is taken out. What cannot: the constant b,
which is tied to x0 instead, so that another input x gets b (x . x0) / |x0|^2; the coordinate that the stream already
has, which passes the layer by; and the choice of positions, as a weight acts at every token.

Source: Wu et al. 2024, "ReFT: Representation Finetuning for Language Models", arXiv:2404.03592, sec. 3.2, eq. 2.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ws.constructed.base import Construction, weights_of, writers
from ws.constructed.inputs import read_means
from ws.delta.update import LowRank
from ws.delta.weight_delta import WeightDelta
from ws.errors import ShapeError
from ws.models.language import LanguageModel
from ws.store import Store


@dataclass(frozen=True)
class RankOneReFT(Construction):
    """The coordinate along the contrast set to its value under + personas, in every residual writer."""

    def construct(self, lm: LanguageModel, store: Store) -> WeightDelta:
        plus, minus, plain = (
            read_means(store, side, device=lm.device)
            for side in (self.contrast.plus, self.contrast.minus, self.contrast.plain)
        )
        chosen = writers({path: W for path, W in weights_of(lm).items() if path in plain}, d_model=lm.d_model)
        return WeightDelta(
            {path: coordinate_set(W, plus[path], minus[path], plain[path]) for path, W in chosen.items()}
        )

    def describe(self) -> str:
        return f"rank-1 ReFT in the residual writers of {self.on.describe()}"


def coordinate_set(
    W: Float[Tensor, "d_out d_in"],
    plus: Float[Tensor, " d_in"],
    minus: Float[Tensor, " d_in"],
    plain: Float[Tensor, " d_in"],
) -> LowRank:
    """The update with which W gives, for the input `plain`, the coordinate along W (x+ - x-) that it gives for x+.

    Raises: ShapeError if both sides give the same output, or the plain input is zero.
    """
    contrast = W @ (plus - minus)
    if not contrast.any() or not plain.any():
        raise ShapeError("no direction to set: the personas leave the same output, or the plain input is zero")
    r = contrast / contrast.norm()
    return LowRank(r[:, None], ((r @ (W @ plus)) * plain / plain.square().sum() - W.T @ r)[None])
