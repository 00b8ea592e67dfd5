"""LoRA: a trainable product of two thin matrices beside the frozen weight.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685.

    y = W x + (alpha / r) B A x        A [r, d_in], B [d_out, r]

Identity at the start: B is zero.
Deviation: the paper draws A from a normal distribution; PEFT, and so this module, draws it uniformly between
-1/sqrt(d_in) and 1/sqrt(d_in).
"""

import math
from typing import TYPE_CHECKING

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from ws.adapters.base import AdapterConfig, Factors, Params, check_rank, factored
from ws.errors import MismatchError, ShapeError

if TYPE_CHECKING:
    import peft

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


def peft_config(config: AdapterConfig, *, targets: str, feedforward: str) -> "peft.LoraConfig":
    """PEFT's plain LoRA: no dropout, no bias, scale alpha / r."""
    from peft import LoraConfig

    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules=targets,
        lora_dropout=0.0,
        bias="none",
        use_rslora=False,
        init_lora_weights=True,
    )


def from_peft(
    layer: "peft.tuners.tuners_utils.BaseTunerLayer", *, W: Float[Tensor, "d_out d_in"], config: AdapterConfig
) -> Params:
    """A and B.

    Raises: MismatchError if the layer was made for another weight, configuration or family; ShapeError if the
    rank is too large.
    """
    check_rank(W, rank=config.rank)
    check_base(layer, W=W)
    return adapter_pair(layer, config=config, dora=False)


def scale(config: AdapterConfig) -> float:
    """alpha / r."""
    return config.alpha / config.rank


def adapter_pair(layer: "peft.tuners.tuners_utils.BaseTunerLayer", *, config: AdapterConfig, dora: bool) -> Params:
    """A and B of a PEFT LoRA layer as detached float32 copies.

    Raises: MismatchError if the layer's rank, scale or kind is not the configuration's.
    """
    seen = {
        "rank": layer.r["default"],
        "scale": layer.scaling["default"],
        "dora": layer.use_dora["default"],
    }
    expected = {"rank": config.rank, "scale": scale(config), "dora": dora}
    if seen != expected:
        raise MismatchError(
            f"the PEFT layer has {seen}, expected {expected}; "
            "read it with the family and configuration that it was injected with"
        )
    return {
        "A": layer.lora_A["default"].weight.detach().to(torch.float32, copy=True),
        "B": layer.lora_B["default"].weight.detach().to(torch.float32, copy=True),
    }


def check_base(
    layer: "peft.tuners.tuners_utils.BaseTunerLayer",
    *,
    W: Float[Tensor, "d_out d_in"],
    removed: Float[Tensor, "d_out d_in"] | float = 0.0,
) -> None:
    """Raises: MismatchError if the layer's frozen weight is not W - removed, up to rounding in the weight's dtype."""
    held = layer.get_base_layer().weight.detach()
    original = W.detach().to(held.device, torch.float32)
    if held.shape != original.shape:
        raise MismatchError(
            f"the PEFT layer holds a weight of shape {tuple(held.shape)}, expected {tuple(original.shape)}; "
            "pass the original weight of this very layer"
        )
    gap = (held.float() - (original - removed)).abs().max().item()
    # Storing rounds each entry by up to eps / 2 of its size. Repeating an SVD changes entries by a few float32 steps
    # of the largest singular value, which is at most the Frobenius norm.
    rounding = torch.finfo(held.dtype).eps * original.abs().max().item()
    allowed = rounding + 16 * torch.finfo(torch.float32).eps * original.norm().item()
    if not gap <= allowed:
        raise MismatchError(
            f"the PEFT layer's frozen weight is {gap:.2e} off the expected one (allowed {allowed:.2e}); "
            "pass the original weight of this very layer, unmerge the adapter, check the family and its scale"
        )
