"""dW in thin factors, which is all that files of adapters can hold: exactly where it has such factors, else cut.

The difference of two adapters of rank r has the factors of both side by side, so rank 2r. PiSSA's have twice as many
columns, since each adapter takes its start values off again; the start values of both are the same, so the rank is 2r
there too. A family without factors (DoRA, OFT, BOFT, IA3) changes a weight at full rank: of its dW the largest
singular directions are kept, and what that leaves out is measured.
"""

from dataclasses import dataclass
from functools import partial

import torch

from ws.delta.steering import steered
from ws.delta.update import Dense, LowRank, Spectrum, Update
from ws.delta.weight_delta import WeightDelta
from ws.errors import DataError
from ws.exports.base import Written
from ws.models.language import LanguageModel
from ws.store.progress import track

ROUNDING = 8 * torch.finfo(torch.float32).eps
"""Singular values below this share of the largest are what rounding leaves of directions that cancel."""


@dataclass(frozen=True, eq=False)
class Thin:
    """dW as products of thin matrices."""

    delta: WeightDelta
    """Every tensor a `LowRank`."""
    exact: bool
    """Whether nothing was cut away."""
    left_out: float
    """Norm of what was cut away, as a share of dW's norm."""

    @property
    def factors(self) -> dict[str, LowRank]:
        """The two thin matrices of each layer, by its path."""
        return self.delta.tensors  # type: ignore[return-value]  # as said of `delta`

    @property
    def rank(self) -> int:
        """The largest rank of a layer."""
        return max(value.right.shape[0] for value in self.factors.values())

    def written(self, lm: LanguageModel) -> Written:
        """What to say of an export that holds these factors."""
        held = "all of dW" if self.exact else f"dW but for {self.left_out:.2%} of its norm"
        meant = None if self.exact else partial(steered, lm, self.delta, coeff=1.0)
        return Written(f"{held}, rank {self.rank} in {len(self.factors)} layers", meant)

    @property
    def one_rank(self) -> dict[str, LowRank]:
        """The same factors, filled up with zeros to the largest rank: many readers know one rank for all layers."""
        return {path: padded(value, rank=self.rank) for path, value in self.factors.items()}


def thin(delta: WeightDelta, *, rank: int | None = None, energy: float | None = None) -> Thin:
    """dW in thin factors: of at most `rank`, or with at least `energy` of each layer's squared norm, or exactly.

    Raises: DataError for a dW of full rank without a limit.
    """
    if rank is None and energy is None:
        _check_whole(delta)
    # Of two folders one may change a layer that the other leaves alone, and nothing is left of some random ones.
    moved = delta.select(lambda path: delta.tensors[path].norm > 0)
    kept = {
        path: _thin(value, rank=rank, energy=energy) for path, value in track(moved.tensors.items(), "factors of dW")
    }
    made = WeightDelta({path: value for path, (value, _) in kept.items()})
    exact = all(whole for _, whole in kept.values())
    return Thin(made, exact, left_out=0.0 if exact else (moved - made).norm / moved.norm)


def _thin(update: Update, *, rank: int | None, energy: float | None) -> tuple[LowRank, bool]:
    """The update in factors, and whether they are all of it."""
    spectrum = update.svd()
    most = whole(spectrum)
    keep = min(most, rank or most) if energy is None else reach(spectrum, energy)
    if isinstance(update, LowRank) and keep == update.right.shape[0]:
        return update, True
    return spectrum.crop(slice(keep)), keep == most


def whole(spectrum: Spectrum) -> int:
    """How many singular values are more than the rounding of the largest; at least one."""
    return max(1, int((spectrum.values > ROUNDING * spectrum.values[0]).sum()))


def reach(spectrum: Spectrum, energy: float) -> int:
    """How many of the largest singular values hold this share of the sum of all squares; at least one."""
    squares = spectrum.values.double().square()
    held = squares.cumsum(0) / squares.sum().clamp_min(torch.finfo(torch.float64).tiny)
    return min(whole(spectrum), int((held < energy).sum()) + 1)


def padded(update: LowRank, *, rank: int) -> LowRank:
    """The same update with columns and rows of zeros up to a rank."""
    missing = rank - update.right.shape[0]
    left = torch.nn.functional.pad(update.left, (0, missing))
    return LowRank(left, torch.nn.functional.pad(update.right, (0, 0, 0, missing)))


def _check_whole(delta: WeightDelta) -> None:
    dense = [path for path, value in delta.tensors.items() if isinstance(value, Dense)]
    if dense:
        raise DataError(
            f"dW has full rank in {len(dense)} of {len(delta.tensors)} layers, such as {dense[0]}, and an adapter "
            "holds thin factors; say how much to keep, as --rank 64 or --energy 0.99, or export merged weights"
        )
