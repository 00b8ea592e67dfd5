"""PEFT's OFT."""

from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from ws.adapters.base import AdapterConfig, Params
from ws.adapters.oft import NAME, count_blocks
from ws.adapters.peft.side import Kept, PeftSide, Settings, whole
from ws.errors import MismatchError

if TYPE_CHECKING:
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer


def peft_config(config: AdapterConfig, *, targets: str, feedforward: str) -> "peft.PeftConfig":
    """PEFT's OFT with the exact Cayley map, no bound on Q and no sharing of blocks."""
    from peft import OFTConfig

    return OFTConfig(
        r=0,
        oft_block_size=config.block,
        target_modules=targets,
        use_cayley_neumann=False,
        coft=False,
        block_share=False,
    )


def from_peft(layer: "BaseTunerLayer", *, W: Float[Tensor, "d_out d_in"], config: AdapterConfig) -> Params:
    """{"Q": ...} of a live PEFT OFT layer.

    Raises: ShapeError if the block does not divide d_in.
        MismatchError if the layer's blocks or Cayley map are not those of `config`.
    """
    n = count_blocks(W, block=config.block)
    rotation = layer.oft_R["default"]
    if rotation.block_size != config.block or rotation.block_share or rotation.use_cayley_neumann:
        raise MismatchError(
            f"this PEFT layer has blocks of side {rotation.block_size}, block_share={rotation.block_share}, "
            f"use_cayley_neumann={rotation.use_cayley_neumann}; expected {n} blocks of side {config.block}, "
            "False, False: build the layer from oft.peft_config"
        )
    return {"Q": rotation.weight.detach().float().clone()}


def tensors(layer: "BaseTunerLayer") -> dict[str, Tensor]:
    """Q of a live layer."""
    return {"Q": layer.oft_R["default"].weight}


def shape(settings: Settings) -> AdapterConfig:
    """The side of a block."""
    return AdapterConfig(NAME, block=whole(settings, "oft_block_size"))


def shape_in_layer(settings: Settings, kept: Kept) -> AdapterConfig:
    """PEFT gives the number of blocks or their side, and changes either until it fits the layer."""
    blocks, _ = kept.sizes("oft_R.weight", 2)
    return AdapterConfig(NAME, block=kept.d_in // max(blocks, 1))


SIDE = PeftSide(
    "OFT",
    peft_config,
    from_peft,
    tensors,
    shape,
    free=frozenset({"r", "oft_block_size", "module_dropout", "eps", "num_cayley_neumann_terms"}),
    layer=shape_in_layer,
)
