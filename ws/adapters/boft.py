"""BOFT: rotate the inputs of a layer by a product of butterfly factors, block rotations of shuffled inputs.

Source: Liu et al. 2024, "Parameter-Efficient Orthogonal Finetuning via Butterfly Factorization",
arXiv:2311.06243.

    y = s * (x R W^T)        R = F_m ... F_1        F_i = P_i diag(R_i1, ..., R_in) P_i^T

Each R_ij is the Cayley map of a skew-symmetric block, as in OFT. P_i moves half blocks at a distance of 2^(i-1)
half blocks next to each other, so that m factors mix groups of 2^(m-1) block inputs; one factor is OFT.
dW = s * W R^T - W. Identity at the start: Q = 0 gives R = I, and s = 1.

Deviations: PEFT's layer also learns a scale s per output, which is no rotation; this module has it too, as a
part of its own (`parts`). PEFT stores each block as a free matrix of which only the skew-symmetric half
(Q - Q^T) / 2 acts. PEFT's Cayley map is the transpose of the paper's (see OFT). PEFT runs more than one factor
only with its compiled CUDA extension (`ws.adapters.peft.boft`). The functions here have no such limit.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from ws.adapters.base import AdapterConfig, Factors, Params, linear
from ws.adapters.oft import cayley_turn, count_blocks, turned
from ws.errors import ShapeError

NAME = "boft"
TRAINABLE = ("Q", "s")


def check(W: Float[Tensor, "d_out d_in"], *, config: AdapterConfig) -> None:
    """Raises: ShapeError if the butterfly does not fit d_in."""
    butterfly_shape(W, config=config)


def init(
    W: Float[Tensor, "d_out d_in"],
    *,
    config: AdapterConfig,
    generator: torch.Generator,
    feedforward: bool = False,
) -> Params:
    """{"Q": zeros [m, n, block, block], "s": ones [d_out, 1]}.

    Raises: ShapeError if the butterfly does not fit d_in.
    """
    dtype = torch.promote_types(W.dtype, torch.float32)
    return {
        "Q": torch.zeros(butterfly_shape(W, config=config), dtype=dtype, device=W.device),
        "s": torch.ones(len(W), 1, dtype=dtype, device=W.device),
    }


def delta(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Float[Tensor, "d_out d_in"]:
    """s * W R^T - W, computed as a sum of small changes, so that no digits cancel.

    Raises: ShapeError if the butterfly does not fit d_in.
    """
    rotation = rotated_by(W, params, config=config)
    return (rotation + (params["s"] - 1) * (W + rotation)).to(W.dtype)


def forward(
    x: Float[Tensor, "*batch d_in"], W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
) -> Float[Tensor, "*batch d_out"]:
    """s * ((x R) W^T), with rotation and scale in the parameters' dtype and the product with W in that of x.

    Raises: ShapeError if the butterfly does not fit d_in.
    """
    rotated = x
    for stage, turn in reversed(list(enumerate(turns_of(W, params, config=config)))):
        rotated = rotated + butterfly_turned(rotated, turn, stage=stage)
    product = linear(rotated.to(x.dtype), W)
    return (product * rearrange(params["s"], "d_out 1 -> d_out")).to(x.dtype)


def factors(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Factors | None:
    """None: the update has full rank."""
    return None


def parts(
    W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
) -> dict[str, Float[Tensor, "d_out d_in"]]:
    """{"rotation": W R^T - W, "scale": (s - 1) * W R^T}.

    Raises: ShapeError if the butterfly does not fit d_in.
    """
    rotation = rotated_by(W, params, config=config)
    return {"rotation": rotation.to(W.dtype), "scale": ((params["s"] - 1) * (W + rotation)).to(W.dtype)}


def butterfly_shape(W: Float[Tensor, "d_out d_in"], *, config: AdapterConfig) -> tuple[int, int, int, int]:
    """The shape of Q: number of factors, blocks in each factor, and the side of a block, twice.

    Raises: ShapeError if d_in is no multiple of the block, or of the group of inputs that m factors mix.
    """
    n, m = count_blocks(W, block=config.block), config.butterfly
    if m < 1 or (m > 1 and (config.block % 2 or n % 2 ** (m - 1))):
        raise ShapeError(
            f"{m} butterfly factors do not fit {n} blocks of side {config.block}; choose butterfly=1, "
            "or more with an even side and 2^(butterfly - 1) dividing the number of blocks"
        )
    return m, n, config.block, config.block


def turns_of(
    W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig
) -> Float[Tensor, "m n block block"]:
    """R_ij - I for each factor and block.

    Raises: ShapeError if the butterfly does not fit d_in or Q was made for another one.
    """
    Q, expected = params["Q"], butterfly_shape(W, config=config)
    if Q.shape != expected:
        raise ShapeError(
            f"Q has shape {tuple(Q.shape)}; this layer needs {expected}: "
            "use the configuration that the parameters were made with"
        )
    return cayley_turn((Q - rearrange(Q, "m n i j -> m n j i")) / 2)


def butterfly_turned(
    x: Float[Tensor, "*batch d"], turn: Float[Tensor, "n block block"], *, stage: int
) -> Float[Tensor, "*batch d"]:
    """x (F - I) for the factor F of this stage, counted from 0: shuffle, turn the blocks, shuffle back."""
    if stage == 0:
        return turned(x, turn)
    sizes = {"pair": 2, "apart": 2**stage, "half": turn.shape[-1] // 2}
    shuffled = rearrange(x, "... (group pair apart half) -> ... (group apart pair half)", **sizes)
    return rearrange(turned(shuffled, turn), "... (group apart pair half) -> ... (group pair apart half)", **sizes)


def rotated_by(W: Float[Tensor, "d_out d_in"], params: Params, *, config: AdapterConfig) -> Float[Tensor, "d_out d_in"]:
    """W R^T - W as the sum of the changes that one factor after the other makes, so that no digits cancel."""
    step = torch.zeros_like(W)
    for stage, turn in enumerate(turns_of(W, params, config=config)):
        step = step + butterfly_turned(W + step, rearrange(turn, "n i j -> n j i"), stage=stage)
    return step
