"""Putting a fresh adapter into a model for training, and taking it out again without a trace.

Two engines train the same adapter. "native" runs each family's own `forward` on plain tensors; recipes use it. "peft"
runs the PEFT library, as a reference to compare "native" with.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ws.adapters import RANKED, AdapterConfig, Params, family
from ws.adapters.peft.layers import peft_side, to_peft
from ws.adapters.targets import Targets, is_feedforward_output, targeted
from ws.errors import MismatchError
from ws.models.anatomy import leaving_out, matrix
from ws.models.language import LanguageModel
from ws.store.progress import say

Engine = Literal["native", "peft"]

PREFIX = "adapter_"
"""Start of the name of an adapter's parameter, after the full path of its layer."""


@contextmanager
def injected(
    lm: LanguageModel,
    shape: AdapterConfig,
    *,
    layers: range,
    seed: int,
    targets: Targets = "all",
    engine: Engine = "native",
) -> Iterator[Callable[[], dict[str, Params]]]:
    """The model with a fresh adapter in the targeted linears of `layers`; yields a function that reads its parameters.

    Only the adapter's trainable parameters require gradients inside, and "native" never writes into a weight. On
    leaving, the model has the very modules and weights it had before. Both signs of a seed start from the same values.
    A layer with fewer rows or columns than the rank, such as a gate of one output, stays as it is, and a line says so.
    Raises: ShapeError if the rank fits no layer, or the block does not fit one.
    """
    _tell(lm, layers)
    linears = _wide_enough(
        lm.name,
        {
            name: linear
            for name, linear in lm.linears(layers.start, layers.stop).items()
            if targeted(name, tuple(matrix(linear).shape), d_model=lm.d_model, targets=targets)
        },
        shape,
    )
    for linear in linears.values():
        family(shape.family).check(matrix(linear), config=shape)
    inject = _native if engine == "native" else _peft
    try:
        with inject(lm, shape, linears, seed=seed) as parameters:
            yield parameters
    finally:
        for name, linear in linears.items():
            lm.model.set_submodule(name, linear)
        lm.model.requires_grad_(False)


@lru_cache(maxsize=2)
def _tell(lm: LanguageModel, layers: range) -> None:
    """Print, once, which weights of these blocks no adapter reaches."""
    if left := leaving_out(lm.model, layers.start, layers.stop):
        say(f"{lm.name}: {left}")


def _wide_enough(model: str, linears: Mapping[str, nn.Module], shape: AdapterConfig) -> Mapping[str, nn.Module]:
    """The layers that the rank fits; all of them, for an error to tell, if it fits none."""
    if shape.family not in RANKED:
        return linears
    wide = {name: linear for name, linear in linears.items() if min(matrix(linear).shape) >= shape.rank}
    if wide and len(wide) < len(linears):
        narrow = next(name for name in linears if name not in wide)
        say(
            f"{model}: {len(linears) - len(wide)} of {len(linears)} layers are narrower than rank {shape.rank} and "
            f"stay as they are, such as {narrow} of shape {tuple(matrix(linears[narrow]).shape)}"
        )
    return wide or linears


class AdaptedLinear(nn.Module):
    """A frozen linear layer with a family's parameters beside it."""

    def __init__(self, linear: nn.Module, params: Params, shape: AdapterConfig) -> None:
        super().__init__()
        self.linear, self.shape, self.family = linear, shape, family(shape.family)
        self.names = tuple(params)
        for name, value in params.items():
            if name in self.family.TRAINABLE:
                self.register_parameter(PREFIX + name, nn.Parameter(value.detach().clone()))
            else:
                self.register_buffer(PREFIX + name, value.detach().clone())

    @property
    def params(self) -> dict[str, Tensor]:
        """The family's parameters under the paper's symbols."""
        return {name: getattr(self, PREFIX + name) for name in self.names}

    @property
    def weight(self) -> Float[Tensor, "_ _"]:
        """The layer's weight with the update in it, for a model that multiplies by it instead of calling the layer."""
        W = matrix(self.linear)
        updated = W + self.family.delta(W, self.params, config=self.shape)
        return updated if W is self.linear.weight else updated.T

    @property
    def bias(self) -> Float[Tensor, " d_out"] | None:
        """The bias of the layer itself."""
        return self.linear.bias  # type: ignore[return-value]  # to torch any attribute may be a module

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        y = self.family.forward(x, matrix(self.linear), self.params, config=self.shape)
        return y if self.bias is None else y + self.bias


def _start(shape: AdapterConfig, weights: Iterable[tuple[str, Tensor]], *, seed: int) -> Iterator[tuple[str, Params]]:
    """The values that every layer's parameters start from, layer by layer; the same for both engines."""
    generator = torch.Generator().manual_seed(seed)
    for name, W in weights:
        yield (
            name,
            family(shape.family).init(W, config=shape, generator=generator, feedforward=is_feedforward_output(name)),
        )


def _weight(linear: nn.Module) -> Float[Tensor, "d_out d_in"]:
    """Its weight, without gradients; contiguous, so that the transposed one of a Conv1D is laid out like any other."""
    return matrix(linear).detach().contiguous()


@contextmanager
def _native(
    lm: LanguageModel, shape: AdapterConfig, linears: Mapping[str, nn.Module], *, seed: int
) -> Iterator[Callable[[], dict[str, Params]]]:
    adapted = {}
    weights = ((name, _weight(linear)) for name, linear in linears.items())
    for name, params in _start(shape, weights, seed=seed):
        adapted[name] = AdaptedLinear(linears[name], params, shape).to(lm.device)
        lm.model.set_submodule(name, adapted[name])
    yield lambda: {name: _kept(module.params) for name, module in adapted.items()}


@contextmanager
def _peft(
    lm: LanguageModel, shape: AdapterConfig, linears: Mapping[str, nn.Module], *, seed: int
) -> Iterator[Callable[[], dict[str, Params]]]:
    """PEFT writes into the weights of some families, such as PiSSA's, so they are copied, and put back."""
    originals = {name: _weight(linear).clone() for name, linear in linears.items()}
    try:
        yield _injected_by_peft(lm, shape, linears, originals, seed=seed)
    finally:
        for name, linear in linears.items():
            matrix(linear).data.copy_(originals[name])
        vars(lm.model).pop("peft_config", None)


def _injected_by_peft(
    lm: LanguageModel,
    shape: AdapterConfig,
    linears: Mapping[str, nn.Module],
    originals: Mapping[str, Tensor],
    *,
    seed: int,
) -> Callable[[], dict[str, Params]]:
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer

    side = peft_side(shape.family)
    config = side.peft_config(
        shape, targets=_matching(linears), feedforward=_matching(filter(is_feedforward_output, linears))
    )
    with side.building(shape):
        peft.inject_adapter_in_model(config, lm.model)
    tuners = {name: module for name, module in lm.model.named_modules() if isinstance(module, BaseTunerLayer)}
    if tuners.keys() != linears.keys():
        raise MismatchError(
            f"PEFT adapted {len(tuners)} layers where {len(linears)} were named, such as {min(linears)}; "
            "this release of PEFT reads target names differently: install the pinned one"
        )
    for name, params in _start(shape, originals.items(), seed=seed):
        to_peft(tuners[name], params, config=shape)
    return lambda: {
        name: _kept(side.from_peft(tuner, W=originals[name], config=shape)) for name, tuner in tuners.items()
    }


def _kept(params: Params) -> Params:
    return {name: value.detach().float().cpu().contiguous().clone() for name, value in params.items()}


def _matching(paths: Iterable[str]) -> str:
    """A regular expression that matches exactly these module paths."""
    return "|".join(path.replace(".", r"\.") for path in paths)
