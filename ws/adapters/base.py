"""What all adapter families have in common: types of configuration, parameters and factors, and shared arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ws.errors import ShapeError

Params = Mapping[str, Tensor]
"""One layer's adapter parameters under the paper's symbols, for example {"A": ..., "B": ...}."""


@dataclass(frozen=True)
class AdapterConfig:
    """The shape of an adapter; a field that a family does not use stays at its default."""

    family: str
    rank: int = 32
    """Rank r of lora, dora, pissa and delora."""
    alpha: float = 64.0
    """Numerator of the scale alpha / r of lora, dora and pissa."""
    bound: float = 15.0
    """DeLoRA's lambda at the start, which sets the size of its update relative to the weight."""
    block: int = 8
    """Side of the orthogonal blocks of oft and boft."""
    butterfly: int = 1
    """Number of butterfly factors of boft."""


class Factors(NamedTuple):
    """A low-rank update `left @ right`."""

    left: Float[Tensor, "d_out k"]
    right: Float[Tensor, "k d_in"]


@runtime_checkable
class Family(Protocol):
    """The functions a family module offers."""

    NAME: str
    TRAINABLE: tuple[str, ...]
    """Names of the parameters that training changes; the others are fixed at the start."""

    def check(self, W: Float[Tensor, "d_out d_in"], *, config: AdapterConfig) -> None:
        """Raises: ShapeError if an adapter of this configuration does not fit the layer."""

    def init(
        self,
        W: Float[Tensor, "d_out d_in"],
        *,
        config: AdapterConfig,
        generator: torch.Generator,
        feedforward: bool = False,
    ) -> Params:
        """Start values; the layer computes exactly W x with them (up to rounding).

        `feedforward` is true for the layer that writes the MLP's output, which IA3 scales at the input.
        """

    def delta(
        self, W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
    ) -> Float[Tensor, "d_out d_in"]:
        """The exact dense update: merged weight minus the original W, in the dtype of W."""

    def forward(
        self,
        x: Float[Tensor, "*batch d_in"],
        W: Float[Tensor, "d_out d_in"],
        params: Params,
        *,
        config: AdapterConfig,
    ) -> Float[Tensor, "*batch d_out"]:
        """The adapted layer's output (without bias), by the cheapest exact route, differentiable in TRAINABLE."""

    def factors(self, W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Factors | None:
        """`delta` as a product of thin matrices, or None where the update has full rank."""

    def parts(
        self, W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
    ) -> dict[str, Float[Tensor, "d_out d_in"]]:
        """The update split along the family's own parameters; the parts sum to `delta`."""


def linear(x: Float[Tensor, "*batch d_in"], W: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "*batch d_out"]:
    """W x as one matrix product; einsum would make a batched product, which takes twice as long on a CPU."""
    return nn.functional.linear(x, W)


def factored(
    x: Float[Tensor, "*batch d_in"], W: Float[Tensor, "d_out d_in"], factors: Factors
) -> Float[Tensor, "*batch d_out"]:
    """W x + left (right x), where right x has only r entries; the update is computed in the factors' dtype."""
    update = linear(linear(x.to(factors.right.dtype), factors.right), factors.left)
    return linear(x, W) + update.to(x.dtype)


def check_rank(W: Float[Tensor, "d_out d_in"], *, rank: int) -> None:
    """Raises: ShapeError if an adapter of this rank does not fit the layer."""
    if not 1 <= rank <= min(W.shape):
        raise ShapeError(
            f"rank {rank} does not fit a layer of shape {tuple(W.shape)}; choose a rank from 1 to {min(W.shape)}"
        )
