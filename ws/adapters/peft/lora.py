"""PEFT's LoRA, and what its other kinds share with it."""

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ws.adapters import lora
from ws.adapters.base import AdapterConfig, Params, check_rank
from ws.adapters.peft.side import Kept, PeftSide, Settings, number, of_layer, whole
from ws.errors import MismatchError

if TYPE_CHECKING:
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer


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


def from_peft(layer: "BaseTunerLayer", *, W: Float[Tensor, "d_out d_in"], config: AdapterConfig) -> Params:
    """A and B.

    Raises: MismatchError if the layer was made for another weight, configuration or family; ShapeError if the
    rank is too large.
    """
    check_rank(W, rank=config.rank)
    check_base(layer, W=W)
    return adapter_pair(layer, config=config, dora=False)


def adapter_pair(layer: "BaseTunerLayer", *, config: AdapterConfig, dora: bool) -> Params:
    """A and B of a PEFT LoRA layer as detached float32 copies.

    Raises: MismatchError if the layer's rank, scale or kind is not the configuration's.
    """
    seen = {
        "rank": layer.r["default"],
        "scale": layer.scaling["default"],
        "dora": layer.use_dora["default"],
    }
    expected = {"rank": config.rank, "scale": lora.scale(config), "dora": dora}
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
    layer: "BaseTunerLayer",
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


def scaled(name: str, settings: Settings) -> AdapterConfig:
    """Rank and alpha of settings of LoRA."""
    return AdapterConfig(name, rank=whole(settings, "r"), alpha=number(settings, "lora_alpha"))


def scaled_in_layer(name: str, settings: Settings, kept: Kept) -> AdapterConfig:
    """Rank and alpha of a layer; rank-stabilised scales alpha / sqrt(r) as another alpha."""
    own = of_layer(settings, kept.path, r="rank_pattern", lora_alpha="alpha_pattern")
    config = scaled(name, own)
    stabilised = settings.get("use_rslora") and config.rank > 0
    return replace(config, alpha=config.alpha * math.sqrt(config.rank)) if stabilised else config


def pair(layer: "BaseTunerLayer") -> dict[str, Tensor]:
    """A and B of a live layer."""
    return {"A": layer.lora_A["default"].weight, "B": layer.lora_B["default"].weight}


FREE = frozenset({"r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern"}) | {
    # PEFT sets fan_in_fan_out to how the layer keeps its weight; the others are heeded in training alone.
    *("lora_dropout", "fan_in_fan_out", "eva_config", "corda_config", "lora_ga_config")
}
"""Settings of LoRA that `scaled_in_layer` heeds, or that only training does."""

SIDE = PeftSide(
    "LORA",
    peft_config,
    from_peft,
    pair,
    partial(scaled, lora.NAME),
    free=FREE,
    layer=partial(scaled_in_layer, lora.NAME),
)
