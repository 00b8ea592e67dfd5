"""Which linear layers an adapter or a lens touches, by a rule on shapes.

A layer whose input has the residual stream's width reads the stream; a layer whose output has that width writes to it;
a layer with neither lies inside (such as the second half of a factored projection). A square layer of that width could
do either, so for it, and only for it, the name decides.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from ws.errors import ShapeError, UnknownNameError

Targets = Literal["all", "readers", "writers"]
Side = Literal["reads", "writes", "inside"]

WRITERS = frozenset(
    {
        *("o_proj", "down_proj", "out_proj", "c_proj", "dense", "dense_4h_to_h", "fc2", "fc_out", "w2", "Wo"),
        *("attention_out", "output", "linear_out", "linear", "proj_down", "w_out"),
    }
)
"""Names of layers that write the stream, in the decoders of transformers."""
READERS = frozenset(
    {
        *("q_proj", "k_proj", "v_proj", "kv_proj", "r_proj", "g_proj", "f_proj", "in_proj_z", "output_gate"),
        *("up_proj", "gate_proj", "dense_h_to_4h", "fc1", "c_fc", "fc_in", "w1", "w3"),
        *("query", "key", "value", "query_key", "query_proj", "key_proj", "value_proj"),
        *("Wq", "Wk", "Wv", "project_q", "project_k", "project_v"),
        *("linear_x", "linear_y", "receptance", "q", "k", "v", "ogate_preact"),
    }
)
"""Names of layers that read the stream."""
FEEDFORWARD = frozenset({"mlp", "ffn", "feed_forward", "feedforward"})
"""What a block calls its MLP."""
FEEDFORWARD_OUTPUTS = frozenset({"down_proj", "dense_4h_to_h", "fc2", "fc_out", "w2", "proj_down"})
"""Names of an MLP's last layer that no other layer has."""


def side(path: str, shape: Sequence[int], *, d_model: int) -> Side:
    """What a linear layer of shape (d_out, d_in) does to the residual stream.

    Raises: ShapeError if neither shape nor name tells.
    """
    d_out, d_in = shape
    if d_model not in shape:
        return "inside"
    if d_out != d_in:
        return "writes" if d_out == d_model else "reads"
    # Some projections are modules with the linear layer inside, so the name may be the second to last of the path.
    for name in reversed(path.split(".")[-2:]):
        if name in READERS or (name in WRITERS and name != "linear"):
            return "reads" if name in READERS else "writes"
    if path.endswith(".linear"):
        return "writes"
    raise ShapeError(
        f"cannot tell whether {path} of shape {shape} reads or writes the residual stream of width {d_model}: "
        f"expected one side of that width, or one of the names {', '.join(sorted(READERS | WRITERS))}"
    )


def writes_residual(path: str, shape: Sequence[int], *, d_model: int) -> bool:
    """Whether a linear layer of shape (d_out, d_in) writes the residual stream.

    Raises: ShapeError if neither shape nor name tells.
    """
    return side(path, shape, d_model=d_model) == "writes"


def targeted(path: str, shape: Sequence[int], *, d_model: int, targets: str) -> bool:
    """Whether a rule takes this linear layer.

    Raises: UnknownNameError for an unknown rule; ShapeError if neither shape nor name tells.
    """
    if targets == "all":
        return True
    if targets not in get_args(Targets):
        raise UnknownNameError("target rule", targets, get_args(Targets))
    return side(path, shape, d_model=d_model) == {"readers": "reads", "writers": "writes"}[targets]


def is_feedforward_output(path: str) -> bool:
    """Whether a layer writes an MLP's output, by its name; IA3 scales that layer's input."""
    *within, name = path.split(".")
    inside = not FEEDFORWARD.isdisjoint(within)
    return name in FEEDFORWARD_OUTPUTS or (inside and name in WRITERS | {"value"})
