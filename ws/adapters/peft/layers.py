"""The way to PEFT's layers and settings and back, for the families that PEFT has too."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ws.adapters import AdapterConfig, Params, family
from ws.adapters.peft import boft, delora, dora, ia3, lora, oft, pissa
from ws.adapters.peft.side import Kept, PeftSide, Settings
from ws.errors import MismatchError, ShapeError

if TYPE_CHECKING:
    import peft

SIDES: dict[str, PeftSide] = {
    name: module.SIDE
    for name, module in {
        "lora": lora,
        "dora": dora,
        "pissa": pissa,
        "delora": delora,
        "oft": oft,
        "boft": boft,
        "ia3": ia3,
    }.items()
}
"""The families that PEFT has too. One that is not listed has no PEFT counterpart: it trains, but has no PEFT files."""


def to_peft(layer: "peft.tuners.tuners_utils.BaseTunerLayer", params: Params, *, config: AdapterConfig) -> None:
    """Copies parameters into a live PEFT layer (adapter "default") that `peft_config` made of the same weight.

    For PiSSA only A and B are copied, since s B0 A0 is already subtracted from the layer's frozen weight. An SVD on
    another machine may give another A0 and B0, but the same product, and only the product matters.

    Raises: MismatchError if the family has no PEFT counterpart or the layer was made with another configuration;
        ShapeError if a shape differs.
    """
    side = peft_side(config.family)
    # Reading the layer with this configuration checks that it can be written to. A PiSSA layer is read as a LoRA: its
    # own reader would need the original weight, which the layer no longer has.
    reader = SIDES["lora"] if config.family == "pissa" else side
    reader.from_peft(layer, W=layer.get_base_layer().weight.detach(), config=config)
    for name, kept in side.tensors(layer).items():
        _put(params[name], into=kept)


def family_of(settings: Settings) -> str | None:
    """The family that PEFT settings describe; None if it is none of ours."""
    return next((name for name, side in SIDES.items() if side.describes(settings)), None)


def shape_of(settings: Settings, kept: Kept | None = None) -> AdapterConfig:
    """The family and configuration that PEFT settings describe, for one layer if `kept` is given.

    Settings that no family has are ignored.
    Raises: MismatchError if the settings describe no family of ours, or a number is missing.
    """
    name = family_of(settings)
    if name is not None:
        side = SIDES[name]
        return side.shape(settings) if side.layer is None or kept is None else side.layer(settings, kept)
    seen = {name: settings.get(name) for name in ("peft_type", "use_dora", "init_lora_weights")}
    types = sorted({side.peft_type for side in SIDES.values()})
    raise MismatchError(
        f"the PEFT settings {seen} are of none of the families {', '.join(SIDES)}; expected a peft_type of "
        f"{', '.join(types)}: ws.delta.folders.delta.folder_delta gives dW of other types"
    )


def peft_side(name: str) -> PeftSide:
    """How PEFT keeps a family.

    Raises: UnknownNameError listing the known families; MismatchError if this one has no PEFT counterpart.
    """
    family(name)
    if name not in SIDES:
        raise MismatchError(
            f"family {name!r} has no PEFT counterpart, which PEFT's engine and files need; expected one of "
            f"{', '.join(SIDES)}: train it with engine 'native', or add it to ws.adapters.peft.layers.SIDES"
        )
    return SIDES[name]


def _put(value: Tensor, *, into: Tensor) -> None:
    if value.shape != into.shape:
        raise ShapeError(
            f"a parameter of shape {tuple(value.shape)} does not fit the PEFT layer's, of shape {tuple(into.shape)}; "
            "inject the layer with the configuration that the parameters were made with"
        )
    with torch.no_grad():
        into.copy_(value)
