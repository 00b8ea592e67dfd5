"""The way back from `from_peft`: our parameters into PEFT's layers, PEFT's settings into our configuration.

A family that PEFT has too is listed in `SIDES` by what PEFT calls its tensors and settings; one that is not listed has
no PEFT counterpart. Training and dW need nothing of this.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ws.adapters import FAMILIES, AdapterConfig, Family, Params, boft, delora, dora, family, ia3, lora, oft, pissa
from ws.errors import MismatchError, ShapeError

if TYPE_CHECKING:
    import peft

Settings = Mapping[str, object]
"""A PEFT configuration as adapter_config.json has it."""


@dataclass(frozen=True)
class PeftSide:
    """How PEFT keeps a family."""

    peft_type: str
    tensors: Callable[["peft.tuners.tuners_utils.BaseTunerLayer"], Mapping[str, Tensor]]
    """A live layer's own tensors (adapter "default") under the family's symbols."""
    shape: Callable[[Settings], AdapterConfig]
    """The configuration that settings of this type describe."""
    start: str | None = None
    """The `init_lora_weights` that tells this family from others of its type, where one does."""
    dora: bool = False
    """The `use_dora` that does."""

    def describes(self, settings: Settings) -> bool:
        """Whether settings are this family's."""
        kind = (settings.get("use_dora", False), settings.get("init_lora_weights") == "pissa")
        return settings.get("peft_type") == self.peft_type and kind == (self.dora, self.start == "pissa")


def to_peft(layer: "peft.tuners.tuners_utils.BaseTunerLayer", params: Params, *, config: AdapterConfig) -> None:
    """Copies parameters into a live PEFT layer (adapter "default") that `peft_config` made of the same weight.

    PiSSA copies A and B alone: the layer's frozen weight lacks its own s B0 A0 already. Another machine's SVD may turn
    A0 and B0 against each other, but not their product, which is all that counts.

    Raises: MismatchError if the family has no PEFT counterpart or the layer was made with another configuration;
        ShapeError if a shape differs.
    """
    peft_family(config.family)
    # A layer that can be read with this configuration can be written to. PiSSA's frozen weight is not the original
    # one, which its own reader would ask for; otherwise the layer is a LoRA.
    reader = lora if config.family == pissa.NAME else family(config.family)
    reader.from_peft(layer, W=layer.get_base_layer().weight.detach(), config=config)
    for name, kept in SIDES[config.family].tensors(layer).items():
        _put(params[name], into=kept)


def shape_of(settings: Settings) -> AdapterConfig:
    """The family and configuration that PEFT settings describe; settings that no family has are not looked at.

    Raises: MismatchError if no family of ours is meant, or a number is missing.
    """
    for side in SIDES.values():
        if side.describes(settings):
            return side.shape(settings)
    seen = {name: settings.get(name) for name in ("peft_type", "use_dora", "init_lora_weights")}
    types = sorted({side.peft_type for side in SIDES.values()})
    raise MismatchError(
        f"the PEFT settings {seen} are of none of the families {', '.join(SIDES)}; expected a peft_type of "
        f"{', '.join(types)}: merge this adapter into the model with PEFT instead"
    )


def peft_family(name: str) -> Family:
    """The module of a family that PEFT has too.

    Raises: UnknownNameError listing the known families; MismatchError if this one has no PEFT counterpart.
    """
    if name in FAMILIES and name not in SIDES:
        raise MismatchError(
            f"family {name!r} has no PEFT counterpart, which PEFT's engine and files need; expected one of "
            f"{', '.join(SIDES)}: train it with engine 'native', or add it to ws.adapters.peft_layers.SIDES"
        )
    return family(name)


def _whole(settings: Settings, name: str) -> int:
    value = settings.get(name)
    if type(value) is not int:
        raise MismatchError(f"the PEFT setting {name} is {value!r}, expected a whole number; save the adapter anew")
    return value


def _number(settings: Settings, name: str) -> float:
    value = settings.get(name)
    if type(value) not in (int, float) or not math.isfinite(value):
        raise MismatchError(f"the PEFT setting {name} is {value!r}, expected a finite number; save the adapter anew")
    return float(value)


def _put(value: Tensor, *, into: Tensor) -> None:
    if value.shape != into.shape:
        raise ShapeError(
            f"a parameter of shape {tuple(value.shape)} does not fit the PEFT layer's, of shape {tuple(into.shape)}; "
            "inject the layer with the configuration that the parameters were made with"
        )
    with torch.no_grad():
        into.copy_(value)


def _lora_kind(name: str, *, start: str | None = None, use_dora: bool = False) -> PeftSide:
    """One of PEFT's kinds of LoRA."""

    def tensors(layer: "peft.tuners.tuners_utils.BaseTunerLayer") -> dict[str, Tensor]:
        pair = {"A": layer.lora_A["default"].weight, "B": layer.lora_B["default"].weight}
        return pair | ({"m": layer.lora_magnitude_vector["default"].weight} if use_dora else {})

    def shape(settings: Settings) -> AdapterConfig:
        return AdapterConfig(name, rank=_whole(settings, "r"), alpha=_number(settings, "lora_alpha"))

    return PeftSide("LORA", tensors, shape, start=start, dora=use_dora)


SIDES = {
    lora.NAME: _lora_kind(lora.NAME),
    dora.NAME: _lora_kind(dora.NAME, use_dora=True),
    pissa.NAME: _lora_kind(pissa.NAME, start="pissa"),
    delora.NAME: PeftSide(
        "DELORA",
        lambda layer: {
            "A": layer.delora_A["default"],
            "B": layer.delora_B["default"],
            "lambda": layer.delora_lambda["default"],
            "w": layer.delora_w_norm["default"],
        },
        lambda settings: AdapterConfig(
            delora.NAME, rank=_whole(settings, "r"), bound=_number(settings, "delora_lambda")
        ),
    ),
    oft.NAME: PeftSide(
        "OFT",
        lambda layer: {"Q": layer.oft_R["default"].weight},
        lambda settings: AdapterConfig(oft.NAME, block=_whole(settings, "oft_block_size")),
    ),
    boft.NAME: PeftSide(
        "BOFT",
        lambda layer: {"Q": layer.boft_R["default"], "s": layer.boft_s["default"]},
        lambda settings: AdapterConfig(
            boft.NAME,
            block=_whole(settings, "boft_block_size"),
            butterfly=_whole(settings, "boft_n_butterfly_factor"),
        ),
    ),
    ia3.NAME: PeftSide("IA3", lambda layer: {"l": layer.ia3_l["default"]}, lambda settings: AdapterConfig(ia3.NAME)),
}
"""The families that PEFT has too."""
