"""What all formats have in common: each is a module of this room that offers the same names."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from ws.delta.weight_delta import WeightDelta
from ws.errors import DataError
from ws.exports.what import Exported
from ws.models.language import LanguageModel

EXACT_NATS = 1e-4
"""The most by which the log-ratio of a question may change on a round trip: sums in another order, in float32, differ
by some 1e-5 on the embedded model."""


Dtype = Literal["float32", "bfloat16"]

Steered = Callable[[], AbstractContextManager[LanguageModel]]
"""Opens a model that is steered for as long as the context lasts."""


@dataclass(frozen=True)
class Limits:
    """How much of dW an export may leave out."""

    rank: int | None = None
    """Of the thin factors of each layer."""
    energy: float | None = None
    """The share of each layer's squared norm that thin factors must hold."""
    dtype: Dtype = "float32"
    """Of merged weights."""

    def __post_init__(self) -> None:
        if self.rank is not None and self.energy is not None:
            raise DataError(f"--rank {self.rank} and --energy {self.energy:g} both say how much to keep; give one")
        if self.rank is not None and self.rank < 1:
            raise DataError(f"--rank {self.rank}; expected 1 or more")
        if self.energy is not None and not 0 < self.energy <= 1:
            raise DataError(f"--energy {self.energy:g}; expected a share of dW's squared norm, above 0 and at most 1")


@dataclass(frozen=True, eq=False)
class Written:
    """What came of writing an export."""

    holds: str
    """What is in it, in words."""
    meant: Steered | None = None
    """The model under what was written, if that is less than was asked for; None if it is all of it."""
    without: Steered | None = None
    """The model without it, if what was written changes that too; None if it stays as it is."""


@dataclass(frozen=True, eq=False)
class Trip:
    """Log-ratios of the same questions, in nats."""

    base: Float[Tensor, " rows"]
    """Of the model as it is."""
    ours: Float[Tensor, " rows"]
    """Under all that was to be exported."""
    meant: Float[Tensor, " rows"]
    """Under what was written: the same, unless something had to be left out."""
    theirs: Float[Tensor, " rows"]
    """As the other side reads what was written."""
    without: Float[Tensor, " rows"]
    """Of the model that what was written starts from: that of `base`, unless its weights are rounded."""

    @property
    def off(self) -> float:
        """The largest difference between what was written and what is read, which is never more than EXACT_NATS."""
        return (self.theirs - self.meant).abs().max().item()

    @property
    def lost(self) -> float:
        """The largest difference between the effect of what was asked for and of what was written."""
        effect, left = self._effects()
        return (left - effect).abs().max().item()

    @property
    def moved(self) -> float:
        """By how much steering moves a question, in the mean."""
        return (self.ours - self.base).abs().mean().item()

    @property
    def slope(self) -> float:
        """How much of the effect is left: the least-squares slope of what was written on what was asked for."""
        effect, left = self._effects()
        return ((effect @ left) / (effect @ effect)).item()

    @property
    def correlation(self) -> float:
        """Of the two effects over questions, about 0."""
        effect, left = self._effects()
        return ((effect @ left) / (effect.norm() * left.norm())).item()

    def _effects(self) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]:
        return (self.ours - self.base).double(), (self.meant - self.without).double()


@runtime_checkable
class Format(Protocol):
    """The names that the module of a format offers."""

    TITLE: str
    """What people call it."""
    READER: str
    """The package that reads it back."""
    HOLDS: tuple[str, ...]
    """Patterns of the files in its folder; none if it is one GGUF file."""
    KINDS: tuple[str, ...]
    """What its GGUF file says that it is; none if it is a folder."""

    def write(self, place: Path, what: Exported, limits: Limits) -> Written:
        """Writes the export into an empty folder, or to a path.

        Raises: DataError or ModelError for what the format cannot say.
        """

    def read_back(self, place: Path, what: Exported) -> AbstractContextManager[LanguageModel]:
        """The model steered by what was written, as the other side reads it."""

    def delta_of(self, place: Path, what: Exported) -> WeightDelta | None:
        """The update that was written, read back; None if it is none of weights."""

    def usage(self, place: Path, what: Exported) -> str:
        """How it is used, as lines of code."""
