"""DoRA: LoRA turns the rows of the weight, a trainable magnitude sets their length.

Source: Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation", arXiv:2402.09353.

    y = m * V x / |V|        V = W + (alpha / r) B A, |V| the norm of each row, m [d_out]

Identity at the start: B is zero and m is the norm of each row of W.
The norm |V| carries no gradient (sec. 4.3 of the paper), here as in PEFT.
Deviation: the paper writes the norm of columns of W; its code and PEFT take the norm over d_in, so that each
output has one magnitude. PEFT's A starts uniform (see `lora`). PEFT rounds the start of m to the dtype of W, so
that in half precision the start is the identity only up to this rounding.
"""

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from ws.adapters import lora
from ws.adapters.base import AdapterConfig, Params, check_rank

NAME = "dora"
TRAINABLE = ("A", "B", "m")


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
    """LoRA's start, and m the row norms of W.

    Raises: ShapeError if the rank does not fit.
    """
    pair = lora.init(W, config=config, generator=generator)
    return {**pair, "m": row_norms(W.to(pair["A"].dtype))}


def delta(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Float[Tensor, "d_out d_in"]:
    """m V / |V| - W."""
    return rescaling(params["m"], W.to(params["m"].dtype), params, config=config).to(W.dtype)


def forward(
    x: Float[Tensor, "*batch d_in"],
    W: Float[Tensor, "d_out d_in"],
    params: Params,
    *,
    config: AdapterConfig,
) -> Float[Tensor, "*batch d_out"]:
    """LoRA's output, each feature rescaled by m / |V|; |V| is a constant to the gradient."""
    with torch.no_grad():
        wide = W.to(params["m"].dtype)
        norms = row_norms(wide + lora.delta(wide, params, config=config))
    return lora.forward(x, W, params, config=config) * (params["m"] / norms).to(x.dtype)


def factors(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> None:
    """None: rescaling the rows of W changes it at full rank."""
    return None


def parts(
    W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
) -> dict[str, Float[Tensor, "d_out d_in"]]:
    """direction: the rows turn at their original length; magnitude: the turned rows then change length."""
    wide = W.to(params["m"].dtype)
    m0, V = row_norms(wide), wide + lora.delta(wide, params, config=config)
    return {
        "direction": rescaling(m0, wide, params, config=config).to(W.dtype),
        "magnitude": scaled((params["m"] - m0) / row_norms(V), V).to(W.dtype),
    }


def row_norms(V: Float[Tensor, "d_out d_in"]) -> Float[Tensor, " d_out"]:
    """The Euclidean length of each row."""
    return torch.linalg.vector_norm(V, dim=1)


def rescaling(
    m: Float[Tensor, " d_out"], W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
) -> Float[Tensor, "d_out d_in"]:
    """m V / |V| - W, computed as (g - 1) W + g (V - W) with g = m / |V|, so that no digits cancel."""
    update = lora.delta(W, params, config=config)
    gain = m / row_norms(W + update)
    return scaled(gain - 1, W) + scaled(gain, update)


def scaled(lengths: Float[Tensor, " d_out"], V: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
    """Row i of V times lengths[i]."""
    return einsum(lengths, V, "d_out, d_out d_in -> d_out d_in")
