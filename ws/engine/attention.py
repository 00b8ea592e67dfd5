"""Attention over a packed sequence: each block of nodes looks at its first node's ancestors and at itself.

transformers lets one register an attention function by name; every architecture's own layers then call this one.
It is plain matrix products and a softmax: on a CPU their backward pass takes a fraction of the time that
`scaled_dot_product_attention` takes, and the work grows with the length of the prompts, not with how many are packed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from ws.errors import MismatchError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "packed"


def packed_attention(
    module: nn.Module,
    query: Float[Tensor, "1 heads nodes d_head"],
    key: Float[Tensor, "1 kv_heads nodes d_head"],
    value: Float[Tensor, "1 kv_heads nodes d_head"],
    attention_mask: Float[Tensor, "blocks 1 block keys"],
    *,
    before: Int[Tensor, "blocks depth"],
    scaling: float,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: object,
) -> tuple[Float[Tensor, "1 nodes heads d_head"], None]:
    """What each node takes from the nodes it sees; see `ws.engine.packing.Blocks` for the mask and `before`.

    Raises: MismatchError for a model that caps its scores or adds sinks to them.
    """
    if softcap is not None or s_aux is not None:
        raise MismatchError(
            f"{type(module).__name__} caps its attention scores or adds sinks to them, which packed prompts do not do; "
            "use a model without (Llama, Qwen 3 and Gemma 3 are)"
        )
    blocks, _, size, _ = attention_mask.shape
    nodes, kv_heads = query.shape[2], key.shape[1]
    query, key, value = (nn.functional.pad(x[0], (0, 0, 0, blocks * size - nodes)) for x in (query, key, value))
    query = rearrange(query, "(kv group) (blocks size) d -> blocks kv (group size) d", kv=kv_heads, blocks=blocks)
    key, value = (_seen(x, before, blocks) for x in (key, value))
    scores = rearrange(
        (query * scaling) @ key.mT, "blocks kv (group size) keys -> blocks kv group size keys", size=size
    )
    exact = torch.promote_types(scores.dtype, torch.float32)
    weights = (scores + attention_mask[:, None]).softmax(dim=-1, dtype=exact).to(value.dtype)
    taken = rearrange(weights, "blocks kv group size keys -> blocks kv (group size) keys") @ value
    out = rearrange(taken, "blocks kv (group size) d -> (blocks size) (kv group) d", size=size)
    # Contiguous, since some models call `view` on it.
    return out[None, :nodes].contiguous(), None


@contextmanager
def packed_sequences(model: "PreTrainedModel") -> Iterator[None]:
    """The model with this attention in every layer."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _seen(
    x: Float[Tensor, "kv_heads nodes d_head"], before: Int[Tensor, "blocks depth"], blocks: int
) -> Float[Tensor, "blocks kv_heads keys d_head"]:
    """For each block the entries of x at its first node's ancestors, then at its own nodes."""
    own = rearrange(x, "kv (blocks size) d -> blocks kv size d", blocks=blocks)
    # The backward pass of an embedding is deterministic on a GPU too; that of indexing is not.
    ancestors = nn.functional.embedding(before, rearrange(x, "kv nodes d -> nodes (kv d)"))
    return torch.cat([rearrange(ancestors, "blocks depth (kv d) -> blocks kv depth d", kv=len(x)), own], dim=2)
