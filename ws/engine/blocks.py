"""The residual stream between a model's blocks, watched or changed by hooks, whatever else a block returns."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ws.errors import MismatchError
from ws.models.language import LanguageModel

Output = Tensor | tuple[Any, ...]
"""What a block returns: the stream, or the stream and something else."""


def stream(output: Output) -> Float[Tensor, "batch seq d_model"]:
    """The stream that a block leaves."""
    return output[0] if isinstance(output, tuple) else output


def with_stream(output: Output, changed: Float[Tensor, "batch seq d_model"]) -> Output:
    """What a block returned, with another stream."""
    return (changed, *output[1:]) if isinstance(output, tuple) else changed


@contextmanager
def watched(lm: LanguageModel, *, start: int) -> Iterator[list[Float[Tensor, "1 seq d_model"]]]:
    """A list that fills while the model runs: the stream that enters block `start`, then what each block leaves.

    Raises: MismatchError, on leaving, if a block did not run exactly once.
    """
    seen: list[Tensor] = []
    handles = [lm.layers[start].register_forward_pre_hook(partial(_entered, seen), with_kwargs=True)]
    handles += [layer.register_forward_hook(partial(_left, seen)) for layer in lm.layers[start:]]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
    if len(seen) != (expected := lm.n_layers - start + 1):
        raise MismatchError(
            f"{len(seen)} states of {lm.name} where {expected} were expected: it does not run each of its "
            f"{lm.n_layers} blocks once, so states by depth have no meaning; score it without them"
        )


def _entered(seen: list[Tensor], _: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> None:
    seen.append(inputs[0] if inputs else named["hidden_states"])


def _left(seen: list[Tensor], _: nn.Module, inputs: tuple[Tensor, ...], output: Output) -> None:
    seen.append(stream(output))
