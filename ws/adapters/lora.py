"""LoRA: a trainable product of two thin matrices beside the frozen weight.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685.

    y = W x + (alpha / r) B A x        A [r, d_in], B [d_out, r]

Identity at the start: B is zero.
Deviation: the paper draws A from a normal distribution; PEFT, and so this module, draws it uniformly between
-1/sqrt(d_in) and 1/sqrt(d_in).
"""

import math

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from ws.adapters.base import AdapterConfig, Factors, Params, check_rank, factored
from ws.errors import ShapeError

NAME = "lora"
TRAINABLE = ("A", "B")


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
    """A uniform, B zero; at least float32, on the device of W.

    Raises: ShapeError if the rank does not fit.
    """
    check_rank(W, rank=config.rank)
    d_out, d_in = W.shape
    dtype = torch.promote_types(W.dtype, torch.float32)
    A = torch.empty(config.rank, d_in, dtype=dtype, device=generator.device)
    A.uniform_(-1 / math.sqrt(d_in), 1 / math.sqrt(d_in), generator=generator)
    return {"A": A.to(W.device), "B": torch.zeros(d_out, config.rank, dtype=dtype, device=W.device)}


def factors(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Factors:
    """(alpha / r) B and A, in the dtype of the parameters.

    Raises: ShapeError if the parameters were not made with the configuration's rank.
    """
    A, B = params["A"], params["B"]
    if not A.shape[0] == B.shape[1] == config.rank:
        raise ShapeError(
            f"A {tuple(A.shape)} and B {tuple(B.shape)} are not of rank {config.rank}; "
            "use the configuration that these parameters were made with"
        )
    return Factors(left=scale(config) * B, right=A)


def delta(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Float[Tensor, "d_out d_in"]:
    """(alpha / r) B A."""
    left, right = factors(W, params, config=config)
    return einsum(left, right, "d_out r, r d_in -> d_out d_in").to(W.dtype)


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
    """One part: A and B mean nothing on their own, since B R and R^-1 A give the same update for every invertible R."""
    return {"low_rank": delta(W, params, config=config)}


def scale(config: AdapterConfig) -> float:
    """alpha / r."""
    return config.alpha / config.rank
