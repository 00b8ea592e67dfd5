"""(IA)^3: one learnt gain per channel.

Source: Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context
Learning", arXiv:2205.05638, sec. 3.3.

    output gate   y = l * (x W^T)      l [d_out, 1]      keys, values and every other layer
    input gate    y = (l * x) W^T      l [1, d_in]       the layer that reads the feed-forward hidden state

Both are dW = W * (l - 1); the shape of l decides along which axis it is broadcast, and so where the gate is.
Identity at the start: l = 1.

Deviations: the paper gates keys, values and the feed-forward hidden state only; here `targets` decides.
PEFT's output gate scales the bias too, which no weight update can hold: `ws.adapters.peft.ia3` refuses such a layer.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from ws.adapters.base import AdapterConfig, Factors, Params, linear
from ws.errors import ShapeError

NAME = "ia3"
TRAINABLE = ("l",)


def check(W: Float[Tensor, "d_out d_in"], *, config: AdapterConfig) -> None:
    """Does nothing: a gate fits every layer."""


def init(
    W: Float[Tensor, "d_out d_in"],
    *,
    config: AdapterConfig,
    generator: torch.Generator,
    feedforward: bool = False,
) -> Params:
    """{"l": ones}: an input gate [1, d_in] of a feed-forward layer, else an output gate [d_out, 1]."""
    d_out, d_in = W.shape
    shape = (1, d_in) if feedforward else (d_out, 1)
    return {"l": torch.ones(shape, dtype=torch.promote_types(W.dtype, torch.float32), device=W.device)}


def delta(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Float[Tensor, "d_out d_in"]:
    """W * (l - 1).

    Raises: ShapeError if the gate fits neither side of the layer.
    """
    check_gate(W, params["l"])
    return (W * (params["l"] - 1)).to(W.dtype)


def forward(
    x: Float[Tensor, "*batch d_in"], W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
) -> Float[Tensor, "*batch d_out"]:
    """(l * x) W^T or l * (x W^T), with the gain in the parameters' dtype and the product with W in that of x.

    Raises: ShapeError if the gate fits neither side of the layer.
    """
    check_gate(W, params["l"])
    gain = rearrange(params["l"], "rows columns -> (rows columns)")
    if at_input(params["l"]):
        return linear((x * gain).to(x.dtype), W)
    return (linear(x, W) * gain).to(x.dtype)


def factors(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Factors | None:
    """None: the update has full rank."""
    return None


def parts(
    W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
) -> dict[str, Float[Tensor, "d_out d_in"]]:
    """{"gate": delta}: a layer has one gate."""
    return {"gate": delta(W, params, config=config)}


def at_input(gate: Float[Tensor, "rows columns"]) -> bool:
    """Whether the gate scales the layer's inputs (a row) instead of its outputs (a column)."""
    return gate.shape[0] == 1 and gate.shape[1] > 1


def check_gate(W: Float[Tensor, "d_out d_in"], gate: Tensor) -> None:
    """Raises: ShapeError if the gate fits neither side of the layer."""
    d_out, d_in = W.shape
    if gate.shape not in ((d_out, 1), (1, d_in)):
        raise ShapeError(
            f"gate of shape {tuple(gate.shape)} on a layer of shape {(d_out, d_in)}; expected ({d_out}, 1) "
            f"at its output or (1, {d_in}) at its input: use the gate of this very layer"
        )
