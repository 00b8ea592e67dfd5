"""PEFT's (IA)^3."""

from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from ws.adapters.base import AdapterConfig, Params
from ws.adapters.ia3 import NAME, check_gate
from ws.adapters.peft.side import PeftSide, Settings
from ws.errors import MismatchError

if TYPE_CHECKING:
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer


def peft_config(config: AdapterConfig, *, targets: str, feedforward: str) -> "peft.PeftConfig":
    """PEFT's IA3, which gates `feedforward` at the input and the rest of `targets` at the output."""
    from peft import IA3Config

    return IA3Config(target_modules=targets, feedforward_modules=feedforward)


def from_peft(layer: "BaseTunerLayer", *, W: Float[Tensor, "d_out d_in"], config: AdapterConfig) -> Params:
    """{"l": ...} of a live PEFT IA3 layer; its shape records the gated side.

    Raises: MismatchError if PEFT would scale a bias.
        ShapeError if the gate fits neither side of W.
    """
    if not layer.is_feedforward and layer.get_base_layer().bias is not None:
        raise MismatchError(
            "PEFT's IA3 scales the bias of this layer together with its output; expected a layer without a "
            "bias: leave it out of the targets, or gate it at the input"
        )
    gate = layer.ia3_l["default"].detach().float().clone()
    check_gate(W, gate)
    return {"l": gate}


def tensors(layer: "BaseTunerLayer") -> dict[str, Tensor]:
    """l of a live layer."""
    return {"l": layer.ia3_l["default"]}


def shape(settings: Settings) -> AdapterConfig:
    """IA3 has no sizes."""
    return AdapterConfig(NAME)


SIDE = PeftSide("IA3", peft_config, from_peft, tensors, shape)
