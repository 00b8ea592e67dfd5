"""What PEFT needs of a family: its configuration, its names of tensors and settings, the way back from its layers.

`ws.adapters.peft.layers.SIDES` lists the families that PEFT has too. Training and dW need nothing of this.
"""

import math
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from ws.adapters.base import AdapterConfig, Params
from ws.errors import MismatchError

if TYPE_CHECKING:
    from peft import PeftConfig
    from peft.tuners.tuners_utils import BaseTunerLayer

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


def no_preparation(config: AdapterConfig) -> AbstractContextManager[None]:
    """What most families need around PEFT's way into a model: nothing."""
    return nullcontext()


@dataclass(frozen=True)
class PeftSide:
    """How PEFT keeps a family."""

    peft_type: str
    peft_config: Callable[..., "PeftConfig"]
    """`peft_config(config, targets=..., feedforward=...)`: PEFT's configuration of the same adapter.

    targets and feedforward are regular expressions on module names; feedforward are the targets that IA3 scales at the
    input.
    """
    from_peft: Callable[..., Params]
    """`from_peft(layer, W=..., config=...)`: parameters from a live PEFT layer (adapter "default").

    W is the original frozen weight. Raises: MismatchError if the layer was made for another family or configuration, or
    does to W what no update of a weight can do.
    """
    tensors: Callable[["BaseTunerLayer"], Mapping[str, Tensor]]
    """A live layer's own tensors (adapter "default") under the family's symbols."""
    shape: Callable[[Settings], AdapterConfig]
    """The configuration that settings of this type describe."""
    start: str | None = None
    """The `init_lora_weights` that tells this family from others of its type, where one does."""
    dora: bool = False
    """The `use_dora` that does."""
    free: frozenset[str] = frozenset()
    """Settings that change nothing when a trained adapter is used, or that `layer` has heeded."""
    layer: "OfLayer | None" = None
    """The configuration in one layer, where settings say less than its tensors, or something else for each layer."""
    building: Callable[[AdapterConfig], AbstractContextManager[None]] = no_preparation
    """What has to be around PEFT's putting the adapter into a model."""

    def describes(self, settings: Settings) -> bool:
        """Whether settings are this family's."""
        kind = (settings.get("use_dora", False), settings.get("init_lora_weights") == "pissa")
        return settings.get("peft_type") == self.peft_type and kind == (self.dora, self.start == "pissa")


def whole(settings: Settings, name: str) -> int:
    """A whole number among settings. Raises: MismatchError if there is none of that name."""
    value = settings.get(name)
    if type(value) is not int:
        raise MismatchError(f"the PEFT setting {name} is {value!r}, expected a whole number; save the adapter anew")
    return value


def number(settings: Settings, name: str) -> float:
    """A finite number among settings. Raises: MismatchError if there is none of that name."""
    value = settings.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise MismatchError(f"the PEFT setting {name} is {value!r}, expected a finite number; save the adapter anew")
    return float(value)


def of_layer(settings: Settings, path: str, **patterns: str) -> Settings:
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
