"""PEFT's DeLoRA."""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ws.adapters.base import AdapterConfig, Params, check_rank
from ws.adapters.delora import NAME
from ws.adapters.peft import lora
from ws.adapters.peft.side import Kept, PeftSide, Settings, number, of_layer, whole
from ws.errors import MismatchError

if TYPE_CHECKING:
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer


def peft_config(config: AdapterConfig, *, targets: str, feedforward: str) -> "peft.DeloraConfig":
    """PEFT's DeLoRA with `delora_lambda` at the bound: no dropout, no bias, B zero at the start."""
    from peft import DeloraConfig

    return DeloraConfig(
        r=config.rank,
        delora_lambda=config.bound,
        target_modules=targets,
        module_dropout=0.0,
        bias="none",
        init_weights=True,
    )


def from_peft(layer: "BaseTunerLayer", *, W: Float[Tensor, "d_out d_in"], config: AdapterConfig) -> Params:
    """A, B, lambda, and w, all as the layer keeps them.

    Raises: MismatchError if the layer was made for another weight or rank; ShapeError if the rank is too large.
    """
    check_rank(W, rank=config.rank)
    lora.check_base(layer, W=W)
    if layer.r["default"] != config.rank:
        raise MismatchError(
            f"the PEFT layer has rank {layer.r['default']}, expected {config.rank}; "
            "read it with the configuration that it was injected with"
        )
    return {name: tensor.detach().to(torch.float32, copy=True) for name, tensor in tensors(layer).items()}


def tensors(layer: "BaseTunerLayer") -> dict[str, Tensor]:
    """A, B, lambda and w of a live layer."""
    return {
        "A": layer.delora_A["default"],
        "B": layer.delora_B["default"],
        "lambda": layer.delora_lambda["default"],
        "w": layer.delora_w_norm["default"],
    }


def shape(settings: Settings) -> AdapterConfig:
    """Rank and bound of settings."""
    return AdapterConfig(NAME, rank=whole(settings, "r"), bound=number(settings, "delora_lambda"))


def shape_in_layer(settings: Settings, kept: Kept) -> AdapterConfig:
    """The bound is what lambda started from, which the file's own lambda has replaced."""
    return shape(of_layer(settings, kept.path, r="rank_pattern"))


SIDE = PeftSide(
    "DELORA",
    peft_config,
    from_peft,
    tensors,
    shape,
    free=frozenset({"r", "delora_lambda", "module_dropout", "rank_pattern", "lambda_pattern"}),
    layer=shape_in_layer,
)
