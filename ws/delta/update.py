"""The update of one weight: dense, or the product of two thin matrices that is never formed unless it has to be.

An adapter of rank r updates a weight by a product of two matrices that share an axis of length r; the difference of two
such updates is a product along 2r. Sums, products, norms and singular values of thin products cost a few percent of
those of dense matrices. Everything is fp32; sums over elements are accumulated in float64.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn

from ws.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The thin singular value decomposition `left @ diag(values) @ right`, values in falling order."""

    left: Float[Tensor, "d_out k"]
    values: Float[Tensor, " k"]
    right: Float[Tensor, "k d_in"]

    @property
    def rank(self) -> int:
        """How many singular values are larger than the rounding error of the largest."""
        if not len(self.values):
            return 0
        width = max(len(self.left), self.right.shape[1])
        return int((self.values > self.values[0] * width * torch.finfo(self.values.dtype).eps).sum())

    def crop(self, keep: slice | Tensor) -> "LowRank":
        """The update made of only those singular directions that the index selects."""
        return LowRank(self.weighted[:, keep], self.right[keep])

    @cached_property
    def weighted(self) -> Float[Tensor, "d_out k"]:
        """`left @ diag(values)`, cached, so that crops by slices are views of one product."""
        return self.left * self.values


class Update(ABC):
    """What is added to one weight of shape [d_out, d_in]."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(d_out, d_in)."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """The device of its tensors."""

    @abstractmethod
    def dense(self) -> Float[Tensor, "d_out d_in"]:
        """The update as one matrix."""

    @abstractmethod
    def svd(self) -> Spectrum:
        """The thin singular value decomposition."""

    @abstractmethod
    def dot(self, other: "Update") -> float:
        """Sum of elementwise products, in float64."""

    @abstractmethod
    def before(self, matrix: Float[Tensor, "k d_out"]) -> "Update":
        """`matrix @ update`: the update followed by a linear map of its output."""

    @abstractmethod
    def after(self, matrix: Float[Tensor, "d_in k"]) -> "Update":
        """`update @ matrix`: the update preceded by a linear map of its input."""

    @abstractmethod
    def add_to(self, weight: Float[Tensor, "d_out d_in"], *, coeff: float) -> None:
        """Adds `coeff * update` to the weight in place."""

    @abstractmethod
    def apply(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """`update @ x` for the last axis of x, in the update's own precision."""

    @abstractmethod
    def __mul__(self, factor: float) -> "Update": ...

    @abstractmethod
    def __add__(self, other: "Update") -> "Update": ...

    def __rmul__(self, factor: float) -> "Update":
        return self * factor

    def __neg__(self) -> "Update":
        return self * -1.0

    def __sub__(self, other: "Update") -> "Update":
        return self + -other

    @property
    def norm(self) -> float:
        """Frobenius norm, in base-weight units."""
        # Rounding can make the square of a tiny norm negative.
        return max(self.dot(self), 0.0) ** 0.5

    def _check_shape(self, other: "Update") -> None:
        if self.shape != other.shape:
            raise ShapeError(
                f"cannot combine updates of shapes {self.shape} and {other.shape}; both must be of one weight"
            )


@dataclass(frozen=True, eq=False)
class Dense(Update):
    """An update of full rank."""

    value: Float[Tensor, "d_out d_in"]

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.value.shape)  # type: ignore[return-value]  # two axes, as annotated

    @property
    def device(self) -> torch.device:
        return self.value.device

    def dense(self) -> Float[Tensor, "d_out d_in"]:
        return self.value

    def svd(self) -> Spectrum:
        return Spectrum(*torch.linalg.svd(self.value, full_matrices=False))

    def dot(self, other: Update) -> float:
        self._check_shape(other)
        return (self.value.double() * other.dense().double()).sum().item()

    def before(self, matrix: Float[Tensor, "k d_out"]) -> "Dense":
        return Dense(matrix @ self.value)

    def after(self, matrix: Float[Tensor, "d_in k"]) -> "Dense":
        return Dense(self.value @ matrix)

    def add_to(self, weight: Float[Tensor, "d_out d_in"], *, coeff: float) -> None:
        weight.add_(self.value, alpha=coeff)

    def apply(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        return nn.functional.linear(x.to(self.value.dtype), self.value)

    def __mul__(self, factor: float) -> "Dense":
        return Dense(factor * self.value)

    def __add__(self, other: Update) -> "Dense":
        self._check_shape(other)
        return Dense(self.value + other.dense())


@dataclass(frozen=True, eq=False)
class LowRank(Update):
    """The update `left @ right`."""

    left: Float[Tensor, "d_out k"]
    right: Float[Tensor, "k d_in"]

    @property
    def shape(self) -> tuple[int, int]:
        return self.left.shape[0], self.right.shape[1]

    @property
    def device(self) -> torch.device:
        return self.left.device

    def dense(self) -> Float[Tensor, "d_out d_in"]:
        return einsum(self.left, self.right, "d_out k, k d_in -> d_out d_in")

    def svd(self) -> Spectrum:
        """QR of both factors, then the decomposition of the small matrix between the orthonormal ones."""
        out, between = torch.linalg.qr(self.left)
        back, across = torch.linalg.qr(self.right.T)
        left, values, right = torch.linalg.svd(between @ across.T, full_matrices=False)
        return Spectrum(out @ left, values, right @ back.T)

    def dot(self, other: Update) -> float:
        self._check_shape(other)
        if isinstance(other, Dense):
            return other.dot(self)
        lefts = self.left.double().T @ other.left.double()  # type: ignore[attr-defined]  # an update is dense or in factors
        rights = self.right.double() @ other.right.double().T  # type: ignore[attr-defined]
        return (lefts * rights).sum().item()

    def before(self, matrix: Float[Tensor, "k d_out"]) -> "LowRank":
        return LowRank(matrix @ self.left, self.right)

    def after(self, matrix: Float[Tensor, "d_in k"]) -> "LowRank":
        return LowRank(self.left, self.right @ matrix)

    def add_to(self, weight: Float[Tensor, "d_out d_in"], *, coeff: float) -> None:
        weight.addmm_(self.left, self.right, alpha=coeff)

    def apply(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        return nn.functional.linear(nn.functional.linear(x.to(self.right.dtype), self.right), self.left)

    def __mul__(self, factor: float) -> "LowRank":
        return LowRank(factor * self.left, self.right)

    def __add__(self, other: Update) -> Update:
        self._check_shape(other)
        if isinstance(other, Dense):
            return other + self
        return LowRank(torch.cat([self.left, other.left], dim=1), torch.cat([self.right, other.right]))  # type: ignore[attr-defined]


def spectra(updates: Iterable[Update]) -> list[Spectrum]:
    """The singular value decomposition of every update, in order; on a CPU several at a time, each on one thread.

    A thin matrix is too small for several threads: LAPACK's threads mostly wait for each other, and if another process
    takes a core from one of them, they take many times as long as one thread alone.
    """
    updates, threads, grad = list(updates), torch.get_num_threads(), torch.is_grad_enabled()
    if threads == 1 or any(update.device.type != "cpu" for update in updates):
        return [update.svd() for update in updates]

    def decomposed(update: Update) -> Spectrum:
        # A new thread has gradients on, even if they are off in the thread that starts it.
        with torch.set_grad_enabled(grad):
            return update.svd()

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(decomposed, updates))
    finally:
        # The number of threads is global: without this, later threads would keep the 1 set by the pool's threads.
        torch.set_num_threads(threads)
