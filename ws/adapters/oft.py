"""OFT: rotate the inputs of a layer in blocks.

Source: Qiu et al. 2023, "Controlling Text-to-Image Diffusion by Orthogonal Finetuning", arXiv:2306.07280.

    y = x R W^T        R = diag(R_1, ..., R_n)        R_k = (I - Q_k)(I + Q_k)^-1        Q_k = -Q_k^T

Each R_k is orthogonal with side `block`, so dW = W R^T - W keeps every norm and angle among the rows of W.
Identity at the start: Q = 0 gives R = I.

Deviations: the paper's Cayley map is (I + Q)(I - Q)^-1; PEFT's, followed here, is its transpose, which is
the same family with Q -> -Q. By default PEFT sums five terms of a Neumann series instead of inverting I + Q.
R is then not orthogonal, so `ws.adapters.peft.oft` turns that off. The size of Q has no bound (the paper's COFT has
one), and layers do not share blocks.
"""

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from ws.adapters.base import AdapterConfig, Factors, Params, linear
from ws.errors import ShapeError

NAME = "oft"
TRAINABLE = ("Q",)


def check(W: Float[Tensor, "d_out d_in"], *, config: AdapterConfig) -> None:
    """Raises: ShapeError if the block does not divide d_in."""
    count_blocks(W, block=config.block)


def init(
    W: Float[Tensor, "d_out d_in"],
    *,
    config: AdapterConfig,
    generator: torch.Generator,
    feedforward: bool = False,
) -> Params:
    """{"Q": zeros [n, block (block - 1) / 2]}: the entries above the diagonal of each Q_k, row by row.

    Raises: ShapeError if the block does not divide d_in.
    """
    n = count_blocks(W, block=config.block)
    dtype = torch.promote_types(W.dtype, torch.float32)
    return {"Q": torch.zeros(n, config.block * (config.block - 1) // 2, dtype=dtype, device=W.device)}


def delta(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Float[Tensor, "d_out d_in"]:
    """W (R - I)^T, without the cancellation of W R^T - W.

    Raises: ShapeError if the block does not divide d_in.
    """
    turn = turn_of(W, params, block=config.block)
    return turned(W, rearrange(turn, "n i j -> n j i")).to(W.dtype)


def forward(
    x: Float[Tensor, "*batch d_in"], W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
) -> Float[Tensor, "*batch d_out"]:
    """(x R) W^T; x is rotated in the parameters' dtype and multiplied by W in its own.

    Raises: ShapeError if the block does not divide d_in.
    """
    rotated = x + turned(x, turn_of(W, params, block=config.block))
    return linear(rotated.to(x.dtype), W)


def factors(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Factors | None:
    """None: the update has full rank."""
    return None


def parts(
    W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
) -> dict[str, Float[Tensor, "d_out d_in"]]:
    """{"rotation": delta}: OFT does nothing but rotate."""
    return {"rotation": delta(W, params, config=config)}


def count_blocks(W: Float[Tensor, "d_out d_in"], *, block: int) -> int:
    """How many blocks of this side cover the inputs.

    Raises: ShapeError listing the sides that fit, if this one does not divide d_in.
    """
    _, d_in = W.shape
    if block < 1 or d_in % block:
        fitting = ", ".join(str(side) for side in range(1, d_in + 1) if d_in % side == 0)
        raise ShapeError(f"blocks of side {block} do not divide d_in = {d_in}; choose a block from {fitting}")
    return d_in // block


def turn_of(W: Float[Tensor, "d_out d_in"], params: Params, *, block: int) -> Float[Tensor, "n block block"]:
    """R_k - I for each block of the layer.

    Raises: ShapeError if the block does not divide d_in or Q was made for other blocks.
    """
    n, pairs = count_blocks(W, block=block), block * (block - 1) // 2
    if params["Q"].shape != (n, pairs):
        raise ShapeError(
            f"Q has shape {tuple(params['Q'].shape)}; {n} blocks of side {block} need ({n}, {pairs}): "
            "use the configuration that the parameters were made with"
        )
    return cayley_turn(skew(params["Q"], block=block))


def skew(above: Float[Tensor, "n pairs"], *, block: int) -> Float[Tensor, "n block block"]:
    """Skew-symmetric blocks from the entries above their diagonals, row by row."""
    row, column = torch.triu_indices(block, block, 1, device=above.device)
    flat = above.new_zeros(len(above), block * block).index_copy(1, row * block + column, above)
    upper = rearrange(flat, "n (i j) -> n i j", i=block)
    return upper - rearrange(upper, "n i j -> n j i")


def cayley_turn(Q: Float[Tensor, "*n block block"]) -> Float[Tensor, "*n block block"]:
    """R - I = -2 Q (I + Q)^-1 for R = (I - Q)(I + Q)^-1: small where Q is small, with no cancellation."""
    identity = torch.eye(Q.shape[-1], dtype=Q.dtype, device=Q.device)
    return torch.linalg.solve(identity + Q, -2 * Q, left=False)


def turned(x: Float[Tensor, "*batch d"], turn: Float[Tensor, "n block block"]) -> Float[Tensor, "*batch d"]:
    """x (R - I) for the block-diagonal R with blocks I + turn, in the wider dtype of the two."""
    dtype = torch.promote_types(x.dtype, turn.dtype)
    blocks = rearrange(x.to(dtype), "... (n i) -> ... n i", i=turn.shape[-1])
    return rearrange(einsum(blocks, turn.to(dtype), "... n i, n i j -> ... n j"), "... n j -> ... (n j)")
