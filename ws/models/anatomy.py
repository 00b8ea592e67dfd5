"""Where a decoder keeps what steering needs: its blocks, the linear maps inside them, the width of its stream.

Architectures agree on no name for any of these, so they are found by their type and by what they compute. A linear map
computes W x + b and nothing else, with W of shape [d_out, d_in]. transformers' `Conv1D` is one that keeps W transposed;
a subclass of `nn.Linear` that routes, groups or scales is none.
"""

import inspect
import math
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ws.errors import ModelError, ShapeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TRIED = range(5, 21)
"""Token ids for trying what a model does with its layers: in every vocabulary, and seldom special."""


def blocks(model: "PreTrainedModel") -> nn.ModuleList:
    """The decoder's blocks, first to last: its outermost list of modules, or the largest of several outermost ones.

    Raises: ModelError if it has no list of modules.
    """
    # `get_decoder` may return the head, which has no blocks, or the whole model.
    for root in (model.get_decoder(), model.base_model):
        level = [root]
        while level:
            within = [child for module in level for child in module.children()]
            lists = [child for child in within if isinstance(child, nn.ModuleList) and len(child)]
            if lists:
                return max(lists, key=_entries)
            level = within
    raise ModelError(
        f"{type(model).__name__} has no list of blocks, so no layers to steer; use a decoder built from blocks"
    )


def width(model: "PreTrainedModel") -> int:
    """Width of the residual stream."""
    stream = getattr(model.config.get_text_config(decoder=True), "hidden_size", None)
    return model.get_input_embeddings().weight.shape[1] if stream is None else stream


def linears(model: "PreTrainedModel", start: int, stop: int) -> dict[str, nn.Module]:
    """Every linear map inside the blocks start, ..., stop - 1, by its full path in `model`.

    A map that several blocks share counts only in the first of them, and so does a weight that several maps share.
    Raises: ShapeError if the model does not have these blocks.
    """
    layers = blocks(model)
    if not 0 <= start < stop <= len(layers):
        raise ShapeError(
            f"{type(model).__name__} has layers 0 to {len(layers) - 1}, but layers {start} to {stop - 1} are asked "
            "for; give 0 <= start < stop <= n_layers"
        )
    [prefix] = [path for path, module in model.named_modules() if module is layers]
    found, seen = {}, set()
    for path, module in layers.named_modules():
        if is_linear(module) and id(module.weight) not in seen:
            seen.add(id(module.weight))
            if start <= int(path.partition(".")[0]) < stop:
                found[f"{prefix}.{path}"] = module
    return found


def matrix(linear: nn.Module) -> Float[Tensor, "d_out d_in"]:
    """W of a linear map W x + b: a view, so that what is written into it is written into the model."""
    return as_matrix(linear, linear.weight)


def as_matrix(linear: nn.Module, weight: Tensor) -> Float[Tensor, "d_out d_in"]:
    """A tensor in the layout of this map's weight, as [d_out, d_in]: a view, like `matrix`."""
    return weight.T if _transposed(linear) else weight


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a linear map."""
    if type(module) is nn.Linear or _transposed(module):
        return True
    return isinstance(module, nn.Linear) and _maps_linearly(module)


def check_alone(model: "PreTrainedModel") -> None:
    """Raises: ModelError for the decoder of an encoder-decoder, whose logits mean nothing without its encoder."""
    if getattr(type(model.config), "is_encoder_decoder", False):
        raise ModelError(
            f"{type(model).__name__} is half of an encoder-decoder ({model.config.model_type}) and was not trained to "
            "go on from token ids alone; use a decoder-only model"
        )


@lru_cache(maxsize=2)
def multiplied(model: "PreTrainedModel") -> frozenset[str]:
    """Linear maps whose weight the model multiplies by itself instead of calling the layer, by their full paths.

    Mamba does so with its time steps, and some routers do. A hook on such a layer sees nothing. They are found as the
    layers that are never called while the model reads a few tokens, although their weights get a gradient.
    """
    maps = linears(model, 0, len(blocks(model)))
    uncalled = dict(maps)
    handles = [linear.register_forward_hook(partial(_called, uncalled, path)) for path, linear in maps.items()]
    try:
        with torch.no_grad():
            _read(model)
    finally:
        for handle in handles:
            handle.remove()
    weights = {path: linear.weight for path, linear in uncalled.items()}
    if not weights:
        return frozenset()
    with torch.enable_grad(), _with_gradients(weights.values()):
        summed = _read(model).float().sum()
        if not summed.requires_grad:
            return frozenset()
        gradients = torch.autograd.grad(summed, list(weights.values()), allow_unused=True)
    return frozenset(path for path, gradient in zip(weights, gradients, strict=True) if gradient is not None)


def _read(model: "PreTrainedModel") -> Float[Tensor, "1 seq vocab"]:
    """The logits after each of TRIED; without a cache, since some models cannot make one by themselves."""
    ids = torch.tensor([list(TRIED)], device=model.get_input_embeddings().weight.device)
    how = {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}
    return model(input_ids=ids, **how).logits


def _called(uncalled: dict[str, nn.Module], path: str, *_: object) -> None:
    uncalled.pop(path, None)


@contextmanager
def _with_gradients(weights: Collection[Tensor]) -> Iterator[None]:
    before = [weight.requires_grad for weight in weights]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        yield
    finally:
        for weight, required in zip(weights, before, strict=True):
            weight.requires_grad_(required)


def block_of(path: str) -> int | None:
    """The block that a path of `linears` lies in, counted from 0; None for a path outside of all blocks."""
    found = re.search(r"\.(\d+)\.", path)
    return None if found is None else int(found.group(1))


def left_out(model: "PreTrainedModel", start: int, stop: int) -> dict[str, tuple[int, ...]]:
    """Weights of two or more axes inside these blocks that belong to no linear map: their shapes, by path.

    Examples are experts in one tensor, routers, convolutions and states. Adapters and dW do not reach them.
    """
    reached = {id(module.weight) for module in linears(model, start, stop).values()}
    inside = {id(parameter) for block in blocks(model)[start:stop] for parameter in block.parameters()} - reached
    named = ((path, parameter) for path, parameter in model.named_parameters() if parameter.ndim >= 2)
    return {path: tuple(parameter.shape) for path, parameter in named if id(parameter) in inside}


def leaving_out(model: "PreTrainedModel", start: int, stop: int) -> str:
    """What `left_out` finds in these blocks, as text for people; empty if it finds nothing."""
    sizes = {path: math.prod(shape) for path, shape in left_out(model, start, stop).items()}
    if not sizes:
        return ""
    share = sum(sizes.values()) / sum(p.numel() for block in blocks(model)[start:stop] for p in block.parameters())
    return (
        f"{share:.0%} of the weights of blocks {start} to {stop - 1} are no linear layers (experts in one tensor, "
        f"routers, convolutions) and stay as they are, such as {max(sizes, key=sizes.__getitem__)}"
    )


def _transposed(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return type(module) is Conv1D


def _maps_linearly(module: nn.Linear) -> bool:
    """Whether a subclass of nn.Linear computes what nn.Linear does; tried on random numbers if it has its own code."""
    if type(module).forward is nn.Linear.forward:
        return True
    x = torch.randn(2, 3, module.in_features, generator=torch.Generator().manual_seed(0)).to(module.weight)
    with torch.no_grad():
        try:
            expected, seen = nn.functional.linear(x, module.weight, module.bias), module(x)
        except (RuntimeError, TypeError, IndexError):
            return False  # It needs more than x, or x of another shape.
    # bf16 rounds by 4e-3 of a result; another function is off by about as much as the result.
    same = isinstance(seen, Tensor) and seen.shape == expected.shape
    return same and bool(torch.dist(seen, expected) <= 0.02 * expected.norm())


def _entries(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
