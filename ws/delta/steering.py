"""Steering in weight space: the model with `coeff * dW` added, and the very same model again afterwards."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from ws.delta.update import Dense, Update
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ModelError
from ws.models.anatomy import matrix, multiplied
from ws.models.language import LanguageModel


@contextmanager
def steered(
    lm: LanguageModel, delta: WeightDelta, *, coeff: float, tokens: int | None = None
) -> Iterator[LanguageModel]:
    """The model with `coeff * delta` added to its weights; restored bit for bit afterwards, also after an exception.

    An update in factors is multiplied beside the weight if that is cheaper for the `tokens` that will run (None: many),
    else it is merged. Nothing is merged into weights of less than fp32, since rounding would lose most of the update.
    Raises: MismatchError if a tensor has no counterpart of its shape; ModelError for a weight of less than fp32 that
        the model multiplies by itself, so that nothing can be added beside it.
    """
    linears, silent = lm.linears(0, lm.n_layers), multiplied(lm.model)
    for name, value in delta.tensors.items():
        if name not in linears or matrix(linears[name]).shape != value.shape:
            seen = tuple(matrix(linears[name]).shape) if name in linears else "no such layer"
            raise MismatchError(
                f"dW has {name} of shape {value.shape}, {lm.name} has {seen}; this dW is for another model"
            )
        if name in silent and linears[name].weight.dtype != torch.float32:
            raise ModelError(
                f"{lm.name} multiplies by {name} without calling that layer, and rounding to "
                f"{linears[name].weight.dtype} would take most of dW; load the model in float32"
            )
    with ExitStack() as restored:
        for name, value in delta.tensors.items():
            if merges(value, linears[name].weight, tokens=None if name in silent else tokens):  # type: ignore[arg-type]  # a linear map's weight
                restored.enter_context(_merged(linears[name], value, coeff))
            else:
                restored.enter_context(_beside(linears[name], value, coeff))
        yield lm


def merges(update: Update, weight: Tensor, *, tokens: int | None) -> bool:
    """Whether an update is merged into its weight: only into fp32, and only if its factors are not cheaper."""
    if weight.dtype != torch.float32:
        return False
    d_out, d_in = update.shape
    return tokens is None or isinstance(update, Dense) or tokens * (d_out + d_in) > d_out * d_in


@contextmanager
def _merged(linear: nn.Module, update: Update, coeff: float) -> Iterator[None]:
    # The weight itself stays as it is, for (w + d) - d is not w in floating point, and its pages may be shared: what
    # several processes read of one file is in memory once, until somebody writes into it.
    weight: nn.Parameter = linear.weight  # type: ignore[assignment]  # a linear map's weight
    before = weight.data
    try:
        weight.data = before.clone()
        update.add_to(matrix(linear).detach(), coeff=coeff)
        yield
    finally:
        weight.data = before


@contextmanager
def _beside(linear: nn.Module, update: Update, coeff: float) -> Iterator[None]:
    handle = linear.register_forward_hook(partial(_added, update, coeff))
    try:
        yield
    finally:
        handle.remove()


def _added(update: Update, coeff: float, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return (output.float() + coeff * update.apply(inputs[0])).to(output.dtype)
