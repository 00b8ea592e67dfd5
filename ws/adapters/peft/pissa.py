"""PEFT's PiSSA: its LoRA with another start, taken out of the layer's frozen weight."""

from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ws.adapters import lora as plain_lora
from ws.adapters import pissa
from ws.adapters.base import AdapterConfig, Params
from ws.adapters.peft import lora
from ws.adapters.peft.side import PeftSide

if TYPE_CHECKING:
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer


def peft_config(config: AdapterConfig, *, targets: str, feedforward: str) -> "peft.LoraConfig":
    """PEFT's LoRA started by an exact SVD: no dropout, no bias, scale alpha / r."""
    from peft import LoraConfig

    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules=targets,
        lora_dropout=0.0,
        bias="none",
        use_rslora=False,
        init_lora_weights="pissa",
    )


def from_peft(layer: "BaseTunerLayer", *, W: Float[Tensor, "d_out d_in"], config: AdapterConfig) -> Params:
    """A and B of the layer, and A0 and B0 computed as PEFT does: by an SVD of W on the layer's device.

    Right after injection A is A0 and B is B0; training moves only A and B.
    Raises: MismatchError if the layer was made with another configuration or family, or its frozen weight is
    not W - s B0 A0; ShapeError if the rank is too large.
    """
    held = layer.get_base_layer().weight
    original = W.detach().to(held.device, torch.float32)
    A0, B0 = pissa.principal(original, config=config)
    removed = plain_lora.delta(original, {"A": A0, "B": B0}, config=config)
    lora.check_base(layer, W=W, removed=removed)
    pair = lora.adapter_pair(layer, config=config, dora=False)
    # PEFT stores the start in the layer's dtype before training continues in float32.
    return {**pair, "A0": A0.to(held.dtype).float(), "B0": B0.to(held.dtype).float()}


SIDE = PeftSide(
    "LORA",
    peft_config,
    from_peft,
    lora.pair,
    partial(lora.scaled, pissa.NAME),
    start="pissa",
    free=lora.FREE,
    layer=partial(lora.scaled_in_layer, pissa.NAME),
)
