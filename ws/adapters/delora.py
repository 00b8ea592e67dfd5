"""DeLoRA: a LoRA whose rank-one terms have unit length, so that one number, lambda, sets the strength.

Source: Bini, Girrbach and Akata 2025, "Decoupling Angles and Strength in Low-rank Adaptation",
arXiv:2503.18225.

    y = W x + (lambda / r) B Xi A (w * x)        Xi = diag(1 / (|A_i| |B_i|)), w_j = |W_:j| at the start

A_i are the rows of A, B_i the columns of B. Each of the r terms has length lambda / r before w is applied, so
the update's Frobenius norm is at most |lambda| times the largest w_j.
Identity at the start: B is zero.
Deviations, all PEFT's and followed here: the paper has one scale |W| for a layer, PEFT has one for each column. The
paper starts from a random pair and subtracts its frozen copy from W; PEFT starts from B = 0 and divides by lengths of
at least 1e-4. Once a column of B is longer than that, its term has the full length lambda / r. So the first
steps jump to that length whatever the learning rate, and lambda alone decides the size of the update.
"""

import math

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from ws.adapters.base import AdapterConfig, Factors, Params, check_rank, factored
from ws.errors import ShapeError

NAME = "delora"
TRAINABLE = ("A", "B", "lambda")

SHORTEST = 1e-4
"""PEFT's floor under the lengths of A's rows and B's columns."""


def check(W: Float[Tensor, "d_out d_in"], *, config: AdapterConfig) -> None:
    """Raises: ShapeError if the rank does not fit the layer."""
    check_rank(W, rank=config.rank)


def init(
    W: Float[Tensor, "d_out d_in"],
    *,
    config: AdapterConfig,
    generator: torch.Generator,
    feedforward: bool = False,
) -> Params:
    """A uniform within 1/sqrt(d_in) of zero, B zero, lambda the configured bound, w the column norms of W.

    Raises: ShapeError if the rank does not fit.
    """
    check_rank(W, rank=config.rank)
    d_out, d_in = W.shape
    wide = W.to(torch.promote_types(W.dtype, torch.float32))
    A = torch.empty(config.rank, d_in, dtype=wide.dtype, device=generator.device)
    A.uniform_(-1 / math.sqrt(d_in), 1 / math.sqrt(d_in), generator=generator)
    return {
        "A": A.to(W.device),
        "B": wide.new_zeros(d_out, config.rank),
        "lambda": wide.new_full((1,), config.bound),
        "w": column_norms(wide),
    }


def factors(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Factors:
    """(lambda / r) B Xi and A diag(w), in the dtype of the parameters.

    Raises: ShapeError if the parameters were not made with the configuration's rank.
    """
    return strengthened(params["lambda"], params, config=config)


def delta(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Float[Tensor, "d_out d_in"]:
    """(lambda / r) B Xi A diag(w)."""
    return product(factors(W, params, config=config)).to(W.dtype)


def forward(
    x: Float[Tensor, "*batch d_in"],
    W: Float[Tensor, "d_out d_in"],
    params: Params,
    *,
    config: AdapterConfig,
) -> Float[Tensor, "*batch d_out"]:
    """W x + left (right x), with the update in factors of rank r."""
    return factored(x, W, factors(W, params, config=config))


def parts(
    W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
) -> dict[str, Float[Tensor, "d_out d_in"]]:
    """direction: the learned A and B with lambda at its start value; lambda: what the change of lambda adds to it."""
    start = torch.full_like(params["lambda"], config.bound)
    return {
        "direction": product(strengthened(start, params, config=config)).to(W.dtype),
        "lambda": product(strengthened(params["lambda"] - start, params, config=config)).to(W.dtype),
    }


def column_norms(W: Float[Tensor, "d_out d_in"]) -> Float[Tensor, " d_in"]:
    """The Euclidean length of each column."""
    return torch.linalg.vector_norm(W, dim=0)


def strengthened(strength: Float[Tensor, "1"], params: Params, *, config: AdapterConfig) -> Factors:
    """The factors of the update with `strength` in the place of lambda."""
    A, B = params["A"], params["B"]
    if not A.shape[0] == B.shape[1] == config.rank:
        raise ShapeError(
            f"A {tuple(A.shape)} and B {tuple(B.shape)} are not of rank {config.rank}; "
            "use the configuration that these parameters were made with"
        )
    lengths = A.norm(dim=1).clamp(min=SHORTEST) * B.norm(dim=0).clamp(min=SHORTEST)
    return Factors(
        left=einsum(B, strength / config.rank / lengths, "d_out r, r -> d_out r"),
        right=einsum(A, params["w"], "r d_in, d_in -> r d_in"),
    )


def product(thin: Factors) -> Float[Tensor, "d_out d_in"]:
    """left @ right."""
    return einsum(thin.left, thin.right, "d_out r, r d_in -> d_out d_in")
