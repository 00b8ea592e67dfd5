"""Lenses on the singular values of dW itself: its top, middle or bottom, by count or by energy.

The journal's T8 ("fork_plan T1-T8 status check", 2026-04-27). There shares are counted among all min(d_out, d_in)
values, so that the top quarter of a low-rank dW is all of it; here they are counted among the values above rounding.

A crop of a low-rank dW holds most of its energy by construction (journal, "lens search on hold"). Hence the control
`EqualSpectrum`: random directions with dW's own singular values, so that a crop keeps the same energy.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from ws.delta.update import LowRank, Spectrum, Update, spectra
from ws.delta.weight_delta import WeightDelta
from ws.errors import ShapeError, UnknownNameError
from ws.lenses.base import Lens, some
from ws.lenses.families import has_factors
from ws.models.language import LanguageModel

PARTS = ("top", "middle", "bottom")
MEASURES = ("index", "energy")

ROUNDING = 1e-9
"""Tolerance of a share, since 0.7 * 10 is 7.000000000000001."""


_KNOWN: WeakKeyDictionary[Update, Spectrum] = WeakKeyDictionary()
"""Decompositions computed so far; each is dropped together with its update."""


def decomposed(update: Update) -> Spectrum:
    """The singular value decomposition of an update, computed once for all its crops; a dense one takes 40 ms."""
    return all_decomposed([update])[0]


def all_decomposed(updates: Iterable[Update]) -> list[Spectrum]:
    """`decomposed` of each update; those not yet known are computed in parallel."""
    updates = list(updates)
    new = [update for update in dict.fromkeys(updates) if update not in _KNOWN]
    _KNOWN.update(zip(new, spectra(new), strict=True))
    return [_KNOWN[update] for update in updates]


def _taken(spectrum: Spectrum, index: slice | Tensor) -> LowRank:
    """As `Spectrum.crop`, but without caching `weighted`, which would take 0.2 GB for SmolLM2-135M."""
    return LowRank(spectrum.left[:, index] * spectrum.values[index], spectrum.right[index])


@dataclass(frozen=True)
class SpectrumCrop(Lens):
    """A share of dW's own singular directions in every tensor; keep=False gives all the others.

    Raises: UnknownNameError for another part or measure; ShapeError for a share outside (0, 1], a tensor of rank 0,
    or if nothing is left in any tensor.
    """

    part: str = "top"
    share: float = 0.25
    by: str = "index"
    keep: bool = True

    def __post_init__(self) -> None:
        check_band(self.part, self.share, self.by)

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        known = zip(delta.tensors, all_decomposed(delta.tensors.values()), strict=True)
        crops = {path: self._crop(path, spectrum) for path, spectrum in known}
        return some({path: crop for path, crop in crops.items() if crop is not None}, self)

    def _crop(self, path: str, spectrum: Spectrum) -> LowRank | None:
        """The part of one tensor; None if it holds no direction above rounding."""
        rank = real_rank(path, spectrum)
        inside = band(spectrum.values[:rank], part=self.part, share=self.share, by=self.by)
        if self.keep:
            return _taken(spectrum, inside) if inside.start < inside.stop else None
        outside = torch.ones_like(spectrum.values, dtype=torch.bool)
        outside[inside] = False
        return _taken(spectrum, outside) if outside[:rank].any() else None

    def describe(self) -> str:
        return band_name(self.part, self.share, self.by, keep=self.keep) + " of dW's spectrum"


@dataclass(frozen=True)
class EqualSpectrum(Lens):
    """Random directions with dW's singular values, to see what a crop does to any update with this spectrum."""

    seed: int

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        return random_low_rank_of_equal_spectrum(delta, seed=self.seed)

    def describe(self) -> str:
        return f"random directions, dW's singular values (seed {self.seed})"

    def applies(self, family: str) -> str | None:
        if has_factors(family):
            return None
        return f"the dW of {family} has full rank: nothing about its spectrum holds by construction"


def random_low_rank_of_equal_spectrum(delta: WeightDelta, *, seed: int) -> WeightDelta:
    """Per tensor U diag(S) V^T with dW's singular values S and random orthonormal U and V.

    Raises: ShapeError if a tensor has rank 0.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(path: str, spectrum: Spectrum) -> LowRank:
        values = spectrum.values[: real_rank(path, spectrum)]
        widths = len(spectrum.left), spectrum.right.shape[1]
        left, right = (orthonormal(width, len(values), generator).to(values) for width in widths)
        return LowRank(left * values, right.T)

    known = zip(delta.tensors, all_decomposed(delta.tensors.values()), strict=True)
    return WeightDelta({path: draw(path, spectrum) for path, spectrum in known})


def orthonormal(width: int, k: int, generator: torch.Generator) -> Float[Tensor, "width k"]:
    """k random orthonormal directions, uniform over all choices. Raises: ShapeError if k is more than the width."""
    if not 1 <= k <= width:
        raise ShapeError(f"{k} orthonormal directions in a space of width {width}; choose from 1 to {width}")
    return torch.linalg.qr(torch.randn(width, k, generator=generator)).Q


def real_rank(path: str, spectrum: Spectrum) -> int:
    """The numerical rank of a tensor. Raises: ShapeError if it is 0."""
    if spectrum.rank == 0:
        raise ShapeError(
            f"the update of {path} is zero: rank 0, expected 1 or more; leave it out with Modules or Layers, or train "
            "until it moves"
        )
    return spectrum.rank


def check_band(part: str, share: float, by: str) -> None:
    """Raises: UnknownNameError for another part or measure; ShapeError for a share outside (0, 1]."""
    if part not in PARTS:
        raise UnknownNameError("part of a spectrum", part, PARTS)
    if by not in MEASURES:
        raise UnknownNameError("measure of a spectrum", by, MEASURES)
    if not 0 < share <= 1:
        raise ShapeError(f"a share of {share} of a spectrum; expected more than 0, at most 1")


def band(values: Float[Tensor, " rank"], *, part: str, share: float, by: str) -> slice:
    """The places of a share of falling singular values: the first, the last, or those around the middle.

    A boundary at fraction f lies after the fewest leading values that make up f of the number or of the energy (sum of
    squares). So adjoining parts share no value: top 25%, middle 50% and bottom 25% are the whole.
    """
    match part:
        case "top":
            start, stop = 0.0, share
        case "middle":
            start, stop = (1 - share) / 2, (1 + share) / 2
        case _:
            start, stop = 1 - share, 1.0
    return slice(_cut(values, start, by), _cut(values, stop, by))


def _cut(values: Float[Tensor, " rank"], fraction: float, by: str) -> int:
    if fraction <= ROUNDING:
        return 0
    weights = torch.ones_like(values) if by == "index" else values.square()
    held = weights.double().cumsum(0) / weights.double().sum()
    return min(int((held < fraction - ROUNDING).sum()) + 1, len(values))


def band_name(part: str, share: float, by: str, *, keep: bool) -> str:
    """A part in words, such as "top 25%" or "all but bottom 50% of the energy"."""
    return f"{'' if keep else 'all but '}{part} {share:.0%}{' of the energy' if by == 'energy' else ''}"
