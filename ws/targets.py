"""Which linear layers an adapter or a lens touches, by a rule on shapes.

A layer whose input has the residual stream's width reads the stream, one whose output has it writes to it. Shapes
decide wherever they can; a square layer of that width could do either, and only there the name does.
"""

from typing import Literal, get_args

from ws.errors import ShapeError, UnknownNameError

Targets = Literal["all", "readers", "writers"]

WRITERS, READERS = ("o_proj", "down_proj"), ("q_proj", "k_proj", "v_proj", "up_proj", "gate_proj")
"""Names of square layers in Llama, Qwen and Gemma."""


def writes_residual(path: str, shape: tuple[int, int], *, d_model: int) -> bool:
    """Whether a linear layer of shape (d_out, d_in) writes the residual stream; otherwise it reads it.

    Raises: ShapeError if neither shape nor name tells.
    """
    d_out, d_in = shape
    name = path.rpartition(".")[-1]
    if (d_out == d_model) != (d_in == d_model):
        return d_out == d_model
    if d_out == d_in == d_model and name in (*WRITERS, *READERS):
        return name in WRITERS
    raise ShapeError(
        f"cannot tell whether {path} of shape {shape} reads or writes the residual stream of width {d_model}: "
        f"expected one side of that width, or one of the names {', '.join((*READERS, *WRITERS))}"
    )


def targeted(path: str, shape: tuple[int, int], *, d_model: int, targets: str) -> bool:
    """Whether a rule takes this linear layer.

    Raises: UnknownNameError for an unknown rule; ShapeError if neither shape nor name tells.
    """
    if targets == "all":
        return True
    if targets not in get_args(Targets):
        raise UnknownNameError("target rule", targets, get_args(Targets))
    return writes_residual(path, shape, d_model=d_model) == (targets == "writers")
