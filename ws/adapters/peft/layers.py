"""The inverse of `from_peft`: our parameters into PEFT's layers, PEFT's settings into our configuration.

`SIDES` lists, for each family that PEFT has too, what PEFT calls its tensors and settings; a family that is not listed
has no PEFT counterpart. Training and dW do not need this module.
"""

import math
import re
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
class Kept:
    """The part of an adapter's file that belongs to one layer."""

    path: str
    d_in: int
    tensors: Mapping[str, Tensor]
    """Tensors by PEFT's names within the layer."""

    def sizes(self, name: str, axes: int) -> tuple[int, ...]:
        """The shape of a tensor. Raises: MismatchError if it is not there or has another number of axes."""
        seen = tuple(self.tensors[name].shape) if name in self.tensors else None
        if seen is None or len(seen) != axes:
            raise MismatchError(
                f"the adapter has {name} of shape {seen} for {self.path}, expected {axes} axes (None: no such tensor); "
                "copy or save it anew, with all of its files"
            )
        return seen


OfLayer = Callable[[Settings, Kept], AdapterConfig]


@dataclass(frozen=True)
class PeftSide:
    """How PEFT keeps a family."""

    peft_type: str
    tensors: Callable[["peft.tuners.tuners_utils.BaseTunerLayer"], Mapping[str, Tensor]]
    """A live layer's own tensors (adapter "default") under the family's symbols."""
    shape: Callable[[Settings], AdapterConfig]
    """The configuration that settings of this type describe."""
    start: str | None = None
    """The value of `init_lora_weights` that tells this family from others with its `peft_type`, if one does."""
    dora: bool = False
    """The value of `use_dora` that tells this family from others with its `peft_type`."""
    free: frozenset[str] = frozenset()
    """Settings that change nothing when a trained adapter is used, or that `layer` takes into account."""
    layer: "OfLayer | None" = None
    """Gives the configuration of one layer, for families whose settings alone do not determine it."""

    def describes(self, settings: Settings) -> bool:
        """Whether settings describe an adapter of this family."""
        kind = (settings.get("use_dora", False), settings.get("init_lora_weights") == "pissa")
        return settings.get("peft_type") == self.peft_type and kind == (self.dora, self.start == "pissa")


def to_peft(layer: "peft.tuners.tuners_utils.BaseTunerLayer", params: Params, *, config: AdapterConfig) -> None:
    """Copies parameters into a live PEFT layer (adapter "default") that `peft_config` made of the same weight.

    For PiSSA only A and B are copied, since s B0 A0 is already subtracted from the layer's frozen weight. An SVD on
    another machine may give another A0 and B0, but the same product, and only the product matters.

    Raises: MismatchError if the family has no PEFT counterpart or the layer was made with another configuration;
        ShapeError if a shape differs.
    """
    peft_family(config.family)
    # Reading the layer with this configuration checks that it can be written to. A PiSSA layer is read as a LoRA: its
    # own reader would need the original weight, which the layer no longer has.
    reader = lora if config.family == pissa.NAME else family(config.family)
    reader.from_peft(layer, W=layer.get_base_layer().weight.detach(), config=config)
    for name, kept in SIDES[config.family].tensors(layer).items():
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


def peft_family(name: str) -> Family:
    """The module of a family that PEFT has too.

    Raises: UnknownNameError listing the known families; MismatchError if this one has no PEFT counterpart.
    """
    if name in FAMILIES and name not in SIDES:
        raise MismatchError(
            f"family {name!r} has no PEFT counterpart, which PEFT's engine and files need; expected one of "
            f"{', '.join(SIDES)}: train it with engine 'native', or add it to ws.adapters.peft.layers.SIDES"
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


def _of_layer(settings: Settings, path: str, **patterns: str) -> Settings:
    """The settings for one layer: a value from these patterns, if there is one, replaces the value for all layers."""
    special = {name: _pattern(settings, pattern, path) for name, pattern in patterns.items()}
    return {**settings, **{name: value for name, value in special.items() if value is not None}}


def _pattern(settings: Settings, name: str, path: str) -> object:
    """The value of a setting such as rank_pattern for one layer, read as PEFT reads it; None if it has none."""
    from peft.utils.other import get_pattern_key

    pattern = settings.get(name) or {}
    if not isinstance(pattern, Mapping):
        raise MismatchError(
            f"the PEFT setting {name} is {pattern!r}, expected names with numbers; save the adapter anew"
        )
    try:
        return pattern.get(get_pattern_key(pattern, path))
    except re.error as wrong:
        raise MismatchError(f"the PEFT setting {name} has a pattern that is none ({wrong}); save it anew") from wrong


def _lora_layer(name: str) -> OfLayer:
    """For the kinds of LoRA: rank and alpha of a layer; a rank-stabilised alpha / sqrt(r) becomes another alpha."""

    def layer(settings: Settings, kept: Kept) -> AdapterConfig:
        own = _of_layer(settings, kept.path, r="rank_pattern", lora_alpha="alpha_pattern")
        rank, alpha = _whole(own, "r"), _number(own, "lora_alpha")
        stabilised = settings.get("use_rslora") and rank > 0
        return AdapterConfig(name, rank=rank, alpha=alpha * math.sqrt(rank) if stabilised else alpha)

    return layer


def _lora_kind(name: str, *, start: str | None = None, use_dora: bool = False) -> PeftSide:
    """One of PEFT's kinds of LoRA."""

    def tensors(layer: "peft.tuners.tuners_utils.BaseTunerLayer") -> dict[str, Tensor]:
        pair = {"A": layer.lora_A["default"].weight, "B": layer.lora_B["default"].weight}
        return pair | ({"m": layer.lora_magnitude_vector["default"].weight} if use_dora else {})

    def shape(settings: Settings) -> AdapterConfig:
        return AdapterConfig(name, rank=_whole(settings, "r"), alpha=_number(settings, "lora_alpha"))

    scales = {"r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern"}
    # PEFT sets fan_in_fan_out by how the layer stores its weight; the others matter only for training.
    training = {"lora_dropout", "fan_in_fan_out", "eva_config", "corda_config", "lora_ga_config"}
    free = frozenset(scales | training)
    return PeftSide("LORA", tensors, shape, start=start, dora=use_dora, free=free, layer=_lora_layer(name))


def _delora_layer(settings: Settings, kept: Kept) -> AdapterConfig:
    """The configuration of a layer; the bound is only lambda's start value, since the file has the trained lambda."""
    own = _of_layer(settings, kept.path, r="rank_pattern")
    return AdapterConfig(delora.NAME, rank=_whole(own, "r"), bound=_number(own, "delora_lambda"))


def _oft_layer(settings: Settings, kept: Kept) -> AdapterConfig:
    """The configuration of a layer, by its tensors: settings give the number of blocks or their side, and PEFT changes
    either until it fits the layer."""
    blocks, _ = kept.sizes("oft_R.weight", 2)
    return AdapterConfig(oft.NAME, block=kept.d_in // max(blocks, 1))


def _boft_layer(settings: Settings, kept: Kept) -> AdapterConfig:
    """The configuration of a layer, by its tensors: without its CUDA code PEFT computes one factor, not as set."""
    factors, _, side, _ = kept.sizes("boft_R", 4)
    return AdapterConfig(boft.NAME, block=side, butterfly=factors)


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
        free=frozenset({"r", "delora_lambda", "module_dropout", "rank_pattern", "lambda_pattern"}),
        layer=_delora_layer,
    ),
    oft.NAME: PeftSide(
        "OFT",
        lambda layer: {"Q": layer.oft_R["default"].weight},
        lambda settings: AdapterConfig(oft.NAME, block=_whole(settings, "oft_block_size")),
        free=frozenset({"r", "oft_block_size", "module_dropout", "eps", "num_cayley_neumann_terms"}),
        layer=_oft_layer,
    ),
    boft.NAME: PeftSide(
        "BOFT",
        lambda layer: {"Q": layer.boft_R["default"], "s": layer.boft_s["default"]},
        lambda settings: AdapterConfig(
            boft.NAME,
            block=_whole(settings, "boft_block_size"),
            butterfly=_whole(settings, "boft_n_butterfly_factor"),
        ),
        free=frozenset({"boft_block_size", "boft_block_num", "boft_n_butterfly_factor", "boft_dropout"}),
        layer=_boft_layer,
    ),
    ia3.NAME: PeftSide("IA3", lambda layer: {"l": layer.ia3_l["default"]}, lambda settings: AdapterConfig(ia3.NAME)),
}
"""The families that PEFT has too."""
