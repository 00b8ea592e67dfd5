"""An update of some of a model's weights, exact in fp32, and its algebra.

It is computed from adapter parameters, never by subtracting merged weights: merging into bf16 loses most of the update.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from ws.delta.update import Dense, LowRank, Update
from ws.errors import DataError, MismatchError
from ws.models.anatomy import block_of


@dataclass(frozen=True, eq=False)
class WeightDelta:
    """An update to some of a model's weights, by module path."""

    tensors: Mapping[str, Update]

    def __add__(self, other: "WeightDelta") -> "WeightDelta":
        return WeightDelta({name: mine + its for name, mine, its in self._paired(other)})

    def __sub__(self, other: "WeightDelta") -> "WeightDelta":
        return WeightDelta({name: mine - its for name, mine, its in self._paired(other)})

    def __mul__(self, factor: float) -> "WeightDelta":
        return WeightDelta({name: factor * value for name, value in self.tensors.items()})

    __rmul__ = __mul__

    @property
    def norm(self) -> float:
        """Frobenius norm over all tensors, in base-weight units."""
        # Rounding can make the square of a tiny norm negative.
        return max(self.dot(self), 0.0) ** 0.5

    def dot(self, other: "WeightDelta") -> float:
        """Sum of elementwise products over all tensors, accumulated in float64."""
        return sum(mine.dot(its) for _, mine, its in self._paired(other))

    def select(self, keep: Callable[[str], bool]) -> "WeightDelta":
        """The update restricted to the tensors whose path `keep` accepts."""
        return WeightDelta({name: value for name, value in self.tensors.items() if keep(name)})

    def _paired(self, other: "WeightDelta") -> Iterator[tuple[str, Update, Update]]:
        if self.tensors.keys() != other.tensors.keys():
            left, right = self.tensors.keys() - other.tensors.keys(), other.tensors.keys() - self.tensors.keys()
            raise MismatchError(
                f"cannot combine updates: {sorted(left)[:3]} only in the first, {sorted(right)[:3]} only in the "
                "second; train both from one recipe"
            )
        return ((name, value, other.tensors[name]) for name, value in self.tensors.items())


EQUAL = 1e-7
"""A difference below this share of what is subtracted is rounding: float64 gives squared norms to 16 digits, so norms
to 8."""


def difference(plus: WeightDelta, minus: WeightDelta) -> WeightDelta:
    """`plus - minus`. Raises: MismatchError if the two touch different tensors or are equal up to rounding."""
    check_same(plus.tensors, minus.tensors)
    return subtracted((name, value, minus.tensors[name]) for name, value in plus.tensors.items())


def check_same(plus: Mapping[str, object], minus: Mapping[str, object]) -> None:
    """Raises: MismatchError if two adapters touch different tensors."""
    if plus.keys() != minus.keys():
        left, right = plus.keys() - minus.keys(), minus.keys() - plus.keys()
        raise MismatchError(
            f"cannot subtract adapters: {sorted(left)[:3]} only in plus, {sorted(right)[:3]} only in minus; "
            "train both from one recipe"
        )


def subtracted(pairs: Iterable[tuple[str, Update, Update]]) -> WeightDelta:
    """For each name the first update minus the second; of what makes pairs one by one, only one is in memory.

    Raises: MismatchError if all firsts and all seconds are equal up to rounding.
    """
    tensors: dict[str, Update] = {}
    plus, minus = 0.0, 0.0
    for name, first, second in pairs:
        tensors[name] = first - second
        plus, minus = plus + first.dot(first), minus + second.dot(second)
    delta = WeightDelta(tensors)
    if delta.norm <= EQUAL * max(plus, minus, 0.0) ** 0.5:
        raise MismatchError("dW is zero: the two adapters are identical; train them on answers of opposite signs")
    return delta


def random_like(delta: WeightDelta, *, seed: int) -> WeightDelta:
    """A Gaussian update for each tensor, with the tensor's Frobenius norm, and also its rank if it is in factors."""
    generator = torch.Generator().manual_seed(seed)

    def draw(value: Update) -> Update:
        noise: Update
        d_out, d_in = value.shape
        if isinstance(value, LowRank):
            # Factors may have more columns than the update has rank: PiSSA's two signs share their start values.
            rank = value.svd().rank
            left, right = torch.randn(d_out, rank, generator=generator), torch.randn(rank, d_in, generator=generator)
            noise = LowRank(left.to(value.left), right.to(value.right))
        else:
            noise = Dense(torch.randn(d_out, d_in, generator=generator).to(value.dense()))
        return noise * (value.norm / noise.norm)

    return WeightDelta({name: draw(value) for name, value in delta.tensors.items()})


def lowest_layer(paths: Iterable[str]) -> int:
    """The index of the lowest decoder layer among module paths. Raises: DataError if there is none."""
    found = [block for path in paths if (block := block_of(path)) is not None]
    if not found:
        raise DataError("dW touches no decoder layer; nothing to steer")
    return min(found)
