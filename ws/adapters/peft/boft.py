"""PEFT's BOFT, which warns twice where its CUDA extension is missing."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from jaxtyping import Float
from torch import Tensor

from ws.adapters.base import AdapterConfig, Params
from ws.adapters.boft import NAME, butterfly_shape
from ws.adapters.peft.side import Kept, PeftSide, Settings, whole
from ws.errors import DeviceError, MismatchError

if TYPE_CHECKING:
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer


NO_EXTENSION = "Failed to load the CUDA extension"
ONE_FACTOR = "Setting boft_n_butterfly_factor to 1"


def peft_config(config: AdapterConfig, *, targets: str, feedforward: str) -> "peft.PeftConfig":
    """PEFT's BOFT; put it into a model inside `building`."""
    from peft import BOFTConfig

    return BOFTConfig(boft_block_size=config.block, boft_n_butterfly_factor=config.butterfly, target_modules=targets)


@contextmanager
def building(config: AdapterConfig) -> Iterator[None]:
    """A context in which PEFT puts BOFT into a model without warning that its CUDA extension is missing.

    A missing extension is harmless for one butterfly factor and an error for more. PEFT leaves the environment
    variables CC and CXX changed after a failed compilation; they are restored.

    Raises: DeviceError if PEFT can run one butterfly factor only and `config` asks for more.
    """
    compilers = {name: os.environ.get(name) for name in ("CC", "CXX")}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=NO_EXTENSION, category=UserWarning)
            action: Literal["ignore", "error"] = "ignore" if config.butterfly == 1 else "error"
            warnings.filterwarnings(action, message=ONE_FACTOR, category=UserWarning)
            yield
    except UserWarning as warning:
        if not str(warning).startswith(ONE_FACTOR):
            raise
        raise DeviceError(
            f"butterfly={config.butterfly}, but PEFT's BOFT needs its CUDA extension for more than 1, and it "
            "does not load here; use butterfly=1, or a machine with CUDA, its compiler nvcc and ninja"
        ) from warning
    finally:
        for name, value in compilers.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def from_peft(layer: "BaseTunerLayer", *, W: Float[Tensor, "d_out d_in"], config: AdapterConfig) -> Params:
    """{"Q": ..., "s": ...} of a live PEFT BOFT layer.

    Raises: ShapeError if the butterfly does not fit d_in.
        MismatchError if the layer's butterfly is not that of `config`.
    """
    Q, expected = layer.boft_R["default"], butterfly_shape(W, config=config)
    if Q.shape != expected:
        raise MismatchError(
            f"this PEFT layer has a butterfly of shape {tuple(Q.shape)} (factors, blocks, side, side), "
            f"expected {expected}; PEFT falls back to one factor without its CUDA extension: "
            "build the layer from its peft_config inside building"
        )
    return {"Q": Q.detach().float().clone(), "s": layer.boft_s["default"].detach().float().clone()}


def tensors(layer: "BaseTunerLayer") -> dict[str, Tensor]:
    """Q and s of a live layer."""
    return {"Q": layer.boft_R["default"], "s": layer.boft_s["default"]}


def shape(settings: Settings) -> AdapterConfig:
    """The side of a block and the number of butterfly factors."""
    block, factors = (whole(settings, name) for name in ("boft_block_size", "boft_n_butterfly_factor"))
    return AdapterConfig(NAME, block=block, butterfly=factors)


def shape_in_layer(settings: Settings, kept: Kept) -> AdapterConfig:
    """PEFT computes one factor, whatever the settings say, where its CUDA code is missing."""
    factors, _, side, _ = kept.sizes("boft_R", 4)
    return AdapterConfig(NAME, block=side, butterfly=factors)


SIDE = PeftSide(
    "BOFT",
    peft_config,
    from_peft,
    tensors,
    shape,
    free=frozenset({"boft_block_size", "boft_block_num", "boft_n_butterfly_factor", "boft_dropout"}),
    layer=shape_in_layer,
    building=building,
)
