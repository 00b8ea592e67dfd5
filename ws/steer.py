"""Steering in weight space: the model with `coeff * dW` added, and the very same model again afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ws.delta import WeightDelta
from ws.errors import MismatchError
from ws.models import LanguageModel


@contextmanager
def steered(lm: LanguageModel, delta: WeightDelta, *, coeff: float) -> Iterator[LanguageModel]:
    """The model with `coeff * delta` added to its weights; restores them bit for bit, also after an exception.

    Saved weights are copied back: (w + d) - d is not w in floating point.
    Raises: MismatchError if a tensor has no counterpart of its shape, or the weights are not fp32, where adding a
    small update would round most of it away.
    """
    linears = lm.linears(0, lm.n_layers)
    for name, value in delta.tensors.items():
        if name not in linears or linears[name].weight.shape != value.shape:
            seen = tuple(linears[name].weight.shape) if name in linears else "no such layer"
            raise MismatchError(
                f"dW has {name} of shape {tuple(value.shape)}, {lm.name} has {seen}; this dW is for another model"
            )
        if linears[name].weight.dtype != torch.float32:
            raise MismatchError(
                f"{lm.name} holds {name} in {linears[name].weight.dtype}; effects are measured in float32: load it so"
            )
    saved = {name: linears[name].weight.detach().clone() for name in delta.tensors}
    try:
        with torch.no_grad():
            for name, value in delta.tensors.items():
                linears[name].weight.add_(value, alpha=coeff)
        yield lm
    finally:
        with torch.no_grad():
            for name, weight in saved.items():
                linears[name].weight.copy_(weight)
