"""Lenses on the singular directions of the weight that dW changes.

The journal's second space of singular directions, "base-W SVD dS = U0^T dW V0" ("two-goal frame and coverage gaps",
2026-04-27; not run there). Its code chooses some of W's directions by W's singular values and keeps the block of dS
between the chosen left and right ones:

    both (the journal's)  U_K U_K^T dW V_K V_K^T        left  U_K U_K^T dW        right  dW V_K V_K^T

With sides "both", dS splits into nine such blocks (top, middle, bottom on either side), so the three blocks of one part
each do not sum to dW; but each block and its `keep=False` do. With one side, the three parts and what lies outside W's
column space (left) or row space (right) sum to dW.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from ws.delta.update import LowRank, Spectrum, Update
from ws.delta.weight_delta import WeightDelta
from ws.errors import UnknownNameError
from ws.lenses.base import Lens, fitting, remainder, some, written
from ws.lenses.spectrum import band, band_name, check_band, real_rank
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel

SIDES = ("both", "left", "right")


@dataclass(frozen=True)
class BaseCrop(Lens):
    """The part of dW between a share of its weight's singular directions; keep=False gives dW minus that part.

    Raises: UnknownNameError for another part, measure or side; ShapeError for a share outside (0, 1];
    MismatchError if dW is not of this model's weights.
    """

    part: str = "top"
    share: float = 0.25
    by: str = "index"
    side: str = "both"
    keep: bool = True

    def __post_init__(self) -> None:
        check_band(self.part, self.share, self.by)
        if self.side not in SIDES:
            raise UnknownNameError("side of a weight", self.side, SIDES)

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        chosen = {
            path: directions(lm, path, part=self.part, share=self.share, by=self.by)
            for path in fitting(delta, lm).tensors
        }
        blocks = {path: self._block(delta.tensors[path], *sides) for path, sides in chosen.items() if len(sides[1])}
        kept = some(blocks, self)
        return kept if self.keep else remainder(delta, kept)

    def _block(self, update: Update, left: Float[Tensor, "d_out k"], right: Float[Tensor, "k d_in"]) -> LowRank:
        match self.side:
            case "left":
                return written(update, left)
            case "right":
                return read(update, right)
            case _:
                return written(read(update, right), left)

    def describe(self) -> str:
        side = {"both": "", "left": "output ", "right": "input "}[self.side]
        return f"{band_name(self.part, self.share, self.by, keep=self.keep)} of W's {side}directions"


def read(update: Update, right: Float[Tensor, "k d_in"]) -> LowRank:
    """dW V V^T: what an update reads from the span of orthonormal input directions, the rows of `right`."""
    inside = update.after(right.T)
    if isinstance(inside, LowRank):
        return inside.after(right)
    return LowRank(inside.dense(), right)


def directions(
    lm: LanguageModel, path: str, *, part: str, share: float, by: str
) -> tuple[Float[Tensor, "d_out k"], Float[Tensor, "k d_in"]]:
    """U_K and V_K^T of an original weight: a share of its singular directions, counted by rank or by energy."""
    spectrum = weight_spectrum(lm, path)
    chosen = band(spectrum.values[: real_rank(path, spectrum)], part=part, share=share, by=by)
    return spectrum.left[:, chosen], spectrum.right[chosen]


@cache
def weight_spectrum(lm: LanguageModel, path: str) -> Spectrum:
    """The singular value decomposition of an original weight, computed once per process: never call it while steering.

    It keeps 4 (d_out + d_in) min(d_out, d_in) bytes a weight in fp32. For the adapted half of the layers that is 0.3 GB
    for SmolLM2-135M (105 weights, 5 s on two cores), 1.3 GB for Qwen3-0.6B. `weight_spectrum.cache_clear()` frees it.
    """
    weight = matrix(lm.model.get_submodule(path)).detach().float()
    return Spectrum(*torch.linalg.svd(weight, full_matrices=False))
