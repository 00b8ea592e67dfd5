"""Lenses on where dW sits: layers, and kinds of linear layers.

The journal's T7 (2026-04-27): single layers, leave one out, attention and MLP, residual writers. It names the read side
as a gap ("two-goal frame and coverage gaps"). IA3's gates in attention and MLP (S15) are `Modules("attention")` and
`Modules("mlp")`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ws.adapters.targets import writes_residual
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, UnknownNameError
from ws.lenses.base import Lens, some
from ws.models.anatomy import block_of
from ws.models.language import LanguageModel

KINDS = {
    "q_proj": "q",
    "k_proj": "k",
    "v_proj": "v",
    "o_proj": "o",
    "up_proj": "up",
    "gate_proj": "gate",
    "down_proj": "down",
}
"""The last name of a module path in Llama, Qwen and Gemma, and the kind of layer that it stands for."""

GROUPS = {"attention": ("q", "k", "v", "o"), "mlp": ("up", "gate", "down"), "qkv": ("q", "k", "v")}
STREAM = ("writers", "readers")
"""Linear layers that write the residual stream, and those that read it; found by shape, see `ws.adapters.targets`."""

THIRDS = ("early", "middle", "late")


@dataclass(frozen=True)
class Modules(Lens):
    """The tensors of one kind (q, k, v, o, up, gate, down) or group; keep=False gives all the others.

    Groups: attention, mlp, qkv, writers, readers.
    Raises: UnknownNameError for another name; MismatchError if dW has no such tensor.
    """

    group: str
    keep: bool = True

    def __post_init__(self) -> None:
        known = (*KINDS.values(), *GROUPS, *STREAM)
        if self.group not in known:
            raise UnknownNameError("group of modules", self.group, known)

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        inside = {path for path, value in delta.tensors.items() if self._holds(path, value.shape, lm.d_model)}
        if not inside:
            seen = ", ".join(sorted({path.rpartition(".")[-1] for path in delta.tensors}))
            raise MismatchError(f"dW has no {self.group} tensor, it has {seen}; choose one of those, or train wider")
        return selected(delta, lambda path: path in inside, self, keep=self.keep)

    def _holds(self, path: str, shape: tuple[int, int], d_model: int) -> bool:
        if self.group in STREAM:
            return writes_residual(path, shape, d_model=d_model) == (self.group == "writers")
        return kind_of(path) in GROUPS.get(self.group, (self.group,))

    def describe(self) -> str:
        return self.group if self.keep else f"all but {self.group}"


@dataclass(frozen=True)
class Layers(Lens):
    """The tensors of these decoder layers; keep=False gives all the others.

    Raises: MismatchError if one of them has no dW.
    """

    layers: tuple[int, ...]
    keep: bool = True

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        there = layers_of(delta)
        if missing := sorted(set(self.layers) - set(there)):
            raise MismatchError(f"layer {missing[0]} has no dW; this dW is in layers {there}: choose among them")
        return selected(delta, lambda path: layer_of(path) in self.layers, self, keep=self.keep)

    def describe(self) -> str:
        noun = "layer" if len(self.layers) == 1 else "layers"
        return f"{'' if self.keep else 'all but '}{noun} {', '.join(map(str, self.layers))}"


@dataclass(frozen=True)
class Third(Lens):
    """The early, middle or late third of the layers that dW has; keep=False gives the other two.

    If their number is no multiple of three, the earlier thirds are one layer longer.
    Raises: UnknownNameError for another part; MismatchError for a dW of less than three layers.
    """

    part: str
    keep: bool = True

    def __post_init__(self) -> None:
        if self.part not in THIRDS:
            raise UnknownNameError("third", self.part, THIRDS)

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        there = layers_of(delta)
        if len(there) < len(THIRDS):
            raise MismatchError(f"dW is in layers {there} only; thirds need 3 or more: train more, or use Layers")
        length, longer = divmod(len(there), len(THIRDS))
        place = THIRDS.index(self.part)
        start = place * length + min(place, longer)
        chosen = there[start : start + length + (place < longer)]
        return selected(delta, lambda path: layer_of(path) in chosen, self, keep=self.keep)

    def describe(self) -> str:
        return f"{'' if self.keep else 'all but '}{self.part} layers"


def selected(delta: WeightDelta, holds: Callable[[str], bool], lens: Lens, *, keep: bool) -> WeightDelta:
    """The tensors that `holds` accepts (keep=False: all others). Raises: ShapeError if there are none."""
    return some(delta.select(lambda path: holds(path) == keep).tensors, lens)


def layers_of(delta: WeightDelta) -> list[int]:
    """The layers that an update touches, in order. Raises: MismatchError if a tensor is in no decoder layer."""
    return sorted({layer_of(path) for path in delta.tensors})


def layer_of(path: str) -> int:
    """The decoder layer of a module path. Raises: MismatchError if it is in none."""
    block = block_of(path)
    if block is None:
        raise MismatchError(f"{path} is in no decoder layer; expected a path such as model.layers.3.mlp.up_proj")
    return block


def kind_of(path: str) -> str:
    """q, k, v, o, up, gate or down. Raises: UnknownNameError for a linear layer of another name."""
    name = path.rpartition(".")[-1]
    if name not in KINDS:
        raise UnknownNameError("linear layer", name, KINDS)
    return KINDS[name]
