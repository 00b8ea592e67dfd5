"""PEFT's DoRA: its LoRA with `use_dora`."""

from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ws.adapters import dora
from ws.adapters.base import AdapterConfig, Params, check_rank
from ws.adapters.peft import lora
from ws.adapters.peft.side import PeftSide

if TYPE_CHECKING:
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer


def peft_config(config: AdapterConfig, *, targets: str, feedforward: str) -> "peft.LoraConfig":
    """PEFT's LoRA with `use_dora`: no dropout, no bias, scale alpha / r."""
    from peft import LoraConfig

    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules=targets,
        lora_dropout=0.0,
        bias="none",
        use_rslora=False,
        init_lora_weights=True,
        use_dora=True,
    )


def from_peft(layer: "BaseTunerLayer", *, W: Float[Tensor, "d_out d_in"], config: AdapterConfig) -> Params:
    """A, B and m.

    Raises: MismatchError if the layer was made for another weight, configuration or family; ShapeError if the
    rank is too large.
    """
    check_rank(W, rank=config.rank)
    lora.check_base(layer, W=W)
    pair = lora.adapter_pair(layer, config=config, dora=True)
    return {**pair, "m": layer.lora_magnitude_vector["default"].weight.detach().to(torch.float32, copy=True)}


def tensors(layer: "BaseTunerLayer") -> dict[str, Tensor]:
    """A, B and m of a live layer."""
    return {**lora.pair(layer), "m": layer.lora_magnitude_vector["default"].weight}


SIDE = PeftSide(
    "LORA",
    peft_config,
    from_peft,
    tensors,
    partial(lora.scaled, dora.NAME),
    dora=True,
    free=lora.FREE,
    layer=partial(lora.scaled_in_layer, dora.NAME),
)
