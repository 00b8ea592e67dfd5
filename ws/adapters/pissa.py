"""PiSSA: LoRA that starts from the weight's own largest singular directions.

Source: Meng et al. 2024, "PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large Language
Models", arXiv:2404.02948.

    y = (W - s B0 A0) x + s B A x        s = alpha / r, W = U S V^T
    B0 = U_r sqrt(S_r / s), A0 = sqrt(S_r / s) V_r^T

Identity at the start: A = A0 and B = B0, so s B A adds exactly what was subtracted from W.
PEFT overwrites the layer's weight with W - s B0 A0. Here W is always the original weight: the update is
s (B A - B0 A0), of rank 2r, and A0 and B0 are fixed parameters.
Deviation: none in float32. In half precision PEFT rounds W - s B0 A0, A0 and B0 separately and so does not
start from W exactly; that offset is the same for every adapter of a layer and is left out here.
"""

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from ws.adapters import lora
from ws.adapters.base import AdapterConfig, Factors, Params, check_rank, factored

NAME = "pissa"
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
    """The top r singular directions, as the fixed (A0, B0) and as the trainable (A, B); the generator is not used.

    Raises: ShapeError if the rank does not fit.
    """
    A0, B0 = principal(W.to(torch.promote_types(W.dtype, torch.float32)), config=config)
    return {"A": A0.clone(), "B": B0.clone(), "A0": A0, "B0": B0}


def factors(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Factors:
    """s [B - B0, B0] and [A; A - A0], in the dtype of the parameters.

    Their product equals that of s [B, -B0] and [A; A0], but without two large terms whose digits would cancel.
    Raises: ShapeError if the parameters were not made with the configuration's rank.
    """
    now = lora.factors(W, {"A": params["A"], "B": params["B"]}, config=config)
    start = lora.factors(W, {"A": params["A0"], "B": params["B0"]}, config=config)
    return Factors(
        left=torch.cat([now.left - start.left, start.left], dim=1),
        right=torch.cat([now.right, now.right - start.right], dim=0),
    )


def delta(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Float[Tensor, "d_out d_in"]:
    """s (B A - B0 A0)."""
    left, right = factors(W, params, config=config)
    return einsum(left, right, "d_out k, k d_in -> d_out d_in").to(W.dtype)


def forward(
    x: Float[Tensor, "*batch d_in"],
    W: Float[Tensor, "d_out d_in"],
    params: Params,
    *,
    config: AdapterConfig,
) -> Float[Tensor, "*batch d_out"]:
    """W x + left (right x), with the update in factors of rank 2r."""
    return factored(x, W, factors(W, params, config=config))


def parts(
    W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
) -> dict[str, Float[Tensor, "d_out d_in"]]:
    """One part, for LoRA's reason: only the product B A has a meaning."""
    return {"low_rank": delta(W, params, config=config)}


def principal(
    W: Float[Tensor, "d_out d_in"], *, config: AdapterConfig
) -> tuple[Float[Tensor, "r d_in"], Float[Tensor, "d_out r"]]:
    """A0 and B0: s B0 A0 is the best approximation of W of rank r.

    Raises: ShapeError if the rank does not fit.
    """
    check_rank(W, rank=config.rank)
    U, S, Vh = torch.linalg.svd(W, full_matrices=False)
    root = (S[: config.rank] / lora.scale(config)).sqrt()
    A0 = einsum(root, Vh[: config.rank], "r, r d_in -> r d_in")
    B0 = einsum(U[:, : config.rank], root, "d_out r, r -> d_out r")
    return A0, B0
