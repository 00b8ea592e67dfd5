"""A lens cuts the behavior direction: a pure function from one update of the model's weights to another.

Every lens is a small frozen dataclass of numbers, text and lenses, so that a recipe can hold one and `effect(family,
lens=...)` is one line of a claim. Most have `keep`: True gives the part, False all the rest, and the two sum to the
update they were cut from (`joined`). A tensor of which nothing is left is absent from the result, so that the forward
passes of scoring can start at the first layer that is changed.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ws.delta.update import LowRank, Update
from ws.delta.weight_delta import WeightDelta, random_like
from ws.errors import MismatchError, ShapeError
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel


class Lens(ABC):
    """A way to look at an update."""

    @abstractmethod
    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        """The part of an update that the lens keeps; the update is one of this model's original weights."""

    @abstractmethod
    def describe(self) -> str:
        """One short human phrase."""

    def applies(self, family: str) -> str | None:
        """Why this lens has no meaning for an adapter family, or None if it has one."""
        return None


@dataclass(frozen=True)
class Whole(Lens):
    """The update as it is."""

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        return delta

    def describe(self) -> str:
        return "whole dW"


@dataclass(frozen=True)
class Then(Lens):
    """One lens applied to the result of another."""

    first: Lens
    second: Lens

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        return self.second.apply(self.first.apply(delta, lm), lm)

    def describe(self) -> str:
        return f"{self.first.describe()}, then {self.second.describe()}"

    def applies(self, family: str) -> str | None:
        return self.first.applies(family) or self.second.applies(family)


@dataclass(frozen=True)
class Rest(Lens):
    """All that another lens does not keep."""

    lens: Lens

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        return remainder(delta, self.lens.apply(delta, lm))

    def describe(self) -> str:
        return f"all but {self.lens.describe()}"

    def applies(self, family: str) -> str | None:
        return self.lens.applies(family)


@dataclass(frozen=True)
class NormMatched(Lens):
    """What a lens keeps, scaled to the Frobenius norm of the update that it was cut from.

    All tensors share one factor, so that their relative sizes do not change. The journal's "same projection scaled to
    residual-write norm" (2026-04-27, v10 functional projection) is this lens applied after `Modules("writers")`.
    Raises: ShapeError if the lens leaves a zero update.
    """

    lens: Lens

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        kept = self.lens.apply(delta, lm)
        if kept.norm == 0:
            raise ShapeError(f"{self.lens.describe()} is zero and cannot be scaled; choose a wider lens")
        return (delta.norm / kept.norm) * kept

    def describe(self) -> str:
        return f"{self.lens.describe()} at full norm"

    def applies(self, family: str) -> str | None:
        return self.lens.applies(family)


@dataclass(frozen=True)
class RandomLike(Lens):
    """The control of a lens: random values with the norm and rank of what the lens keeps of every tensor."""

    lens: Lens
    seed: int

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        return random_like(self.lens.apply(delta, lm), seed=self.seed)

    def describe(self) -> str:
        return f"random as {self.lens.describe()} (seed {self.seed})"

    def applies(self, family: str) -> str | None:
        return self.lens.applies(family)


def some(tensors: Mapping[str, Update], lens: Lens) -> WeightDelta:
    """The update of these tensors. Raises: ShapeError if there are none."""
    if not tensors:
        raise ShapeError(f"nothing is left of dW: {lens.describe()}; expected a part of it, choose a wider lens")
    return WeightDelta(tensors)


def joined(first: WeightDelta, second: WeightDelta) -> WeightDelta:
    """The sum of two updates; a tensor that one of them lacks is zero there."""
    paths = [*first.tensors, *(path for path in second.tensors if path not in first.tensors)]
    return WeightDelta({path: _sum(first.tensors.get(path), second.tensors.get(path)) for path in paths})


def _sum(first: Update | None, second: Update | None) -> Update:
    if first is None or second is None:
        return second if first is None else first  # type: ignore[return-value]  # one of them is there
    return first + second


def remainder(delta: WeightDelta, kept: WeightDelta) -> WeightDelta:
    """`delta - kept`, without the tensors that `kept` holds unchanged; a tensor that `kept` lacks remains whole.

    Raises: MismatchError if `kept` has tensors that `delta` lacks; ShapeError if nothing remains.
    """
    if alien := sorted(kept.tensors.keys() - delta.tensors.keys()):
        raise MismatchError(f"{alien[0]} is kept of an update without it; cut both from one update")
    rest = {
        path: value if path not in kept.tensors else value - kept.tensors[path]
        for path, value in delta.tensors.items()
        if kept.tensors.get(path) is not value
    }
    if not rest:
        raise ShapeError("nothing is left of dW: the lens lets all of it through; choose a narrower lens")
    return WeightDelta(rest)


def written(update: Update, basis: Float[Tensor, "d_out k"]) -> LowRank:
    """B B^T dW: what an update writes into the span of orthonormal output directions."""
    inside = update.before(basis.T)
    if isinstance(inside, LowRank):
        return inside.before(basis)
    return LowRank(basis, inside.dense())


def unwritten(update: Update, basis: Float[Tensor, "d_out k"]) -> Update:
    """(I - B B^T) dW: what an update writes elsewhere."""
    inside = written(update, basis)
    return LowRank(update.left - inside.left, update.right) if isinstance(update, LowRank) else update - inside


def fitting(delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
    """The update itself. Raises: MismatchError if it is not one of this model's weights."""
    linears = lm.linears(0, lm.n_layers)
    for path, value in delta.tensors.items():
        if path not in linears or tuple(matrix(linears[path]).shape) != value.shape:
            seen = tuple(matrix(linears[path]).shape) if path in linears else "no such layer"
            raise MismatchError(
                f"dW has {path} of shape {value.shape}, {lm.name} has {seen}; use the model that this dW was trained on"
            )
    return delta
