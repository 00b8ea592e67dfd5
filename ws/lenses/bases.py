"""Directions of the residual stream that the pretrained model itself names, a basis per decoder layer.

The journal names them without formulas (2026-04-26, made notebook; 2026-04-27, v9 and v10); these are the formulas of
its public code (github.com/wassname/weight-steering: nbs/hypothesis_sweep_v9.py, docs/hypothesis_ablation_catalog.md).
The gains of norms are not folded into the readers, as there. W_o and W_down write; W_q, W_k, W_v, W_up, W_gate read.

    write           top left directions of [W_o | W_down] of the layer
    lm_head_read    top right directions of the unembedding
    weak_readout    its bottom right ones (`logits_null`; the first of `ws.delta.weak_readout`)
    write_not_read  top left directions of (I - P) [W_o | W_down], P onto what is read most after the layer:
                    by later layers and the unembedding
    suppressed      principal components of min(sum of rises, sum of falls) of |h| over the depth, one for all layers
    churn           principal components of h after the next block less h after this one
    random          uniform

Suppressed and churn look at states h of texts, which the caller gives: nothing here runs the model.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from ws.errors import ShapeError
from ws.lenses.spectrum import orthonormal
from ws.models import LanguageModel
from ws.targets import targeted

LayerBases = Mapping[int, Float[Tensor, "d_model k"]]
"""Orthonormal directions of the residual stream by decoder layer."""

READ_SHARE = 16
"""One direction in this many counts as read: 64 of the 1024 of Qwen3-0.6B in the journal's code."""


def static_bases(
    lm: LanguageModel, layers: Sequence[int], k: int, *, seed: int = 0
) -> dict[str, dict[int, Float[Tensor, "d_model k"]]]:
    """All bases that weights alone name, and a random one, by name and layer.

    Raises: ShapeError if k is more than half the width, or the model does not have these layers.
    """
    generator = torch.Generator().manual_seed(seed)
    return {
        "write": {layer: write(lm, layer, k) for layer in layers},
        "lm_head_read": dict.fromkeys(layers, lm_head_read(lm, k)),
        "weak_readout": dict.fromkeys(layers, weakly_read(lm, k)),
        "write_not_read": {layer: write_not_read(lm, layer, k) for layer in layers},
        "random": {layer: orthonormal(lm.d_model, k, generator).to(lm.device) for layer in layers},
    }


def state_bases(
    states: Float[Tensor, "layer prompt d_model"], layers: Sequence[int], k: int
) -> dict[str, dict[int, Float[Tensor, "d_model k"]]]:
    """The bases that residual states after each block name, by name and layer.

    Raises: ShapeError if there are fewer than k + 1 prompts or no block after one of the layers.
    """
    return {
        "suppressed": dict.fromkeys(layers, suppressed(states, k)),
        "churn": {layer: churn(states, layer, k) for layer in layers},
    }


def write(lm: LanguageModel, layer: int, k: int) -> Float[Tensor, "d_model k"]:
    """What the writers of a layer write most easily."""
    return _top(_written(lm, layer), k)


def lm_head_read(lm: LanguageModel, k: int) -> Float[Tensor, "d_model k"]:
    """What the unembedding reads most."""
    return _top(_unembedding(lm), k)


def weakly_read(lm: LanguageModel, k: int) -> Float[Tensor, "d_model k"]:
    """What the unembedding reads least."""
    check_width(k, lm.d_model // 2)
    return _eigenvectors(_unembedding(lm))[:, :k]


def write_not_read(lm: LanguageModel, layer: int, k: int) -> Float[Tensor, "d_model k"]:
    """What a layer writes outside the directions that all later layers and the unembedding together read most."""
    read_later = _unembedding(lm)
    for later in range(layer + 1, lm.n_layers):
        read_later = read_later + _read(lm, later)
    read = _top(read_later, lm.d_model // READ_SHARE)
    outside = torch.eye(lm.d_model, device=lm.device, dtype=torch.float64) - (read @ read.T).double()
    return _top(outside @ _written(lm, layer) @ outside, k)


def suppressed(states: Float[Tensor, "layer prompt d_model"], k: int) -> Float[Tensor, "d_model k"]:
    """Where magnitudes rise and fall again over the depth: what is written and later erased."""
    steps = states.abs().diff(dim=0)
    return principal(torch.minimum(steps.relu().sum(0), (-steps).relu().sum(0)), k)


def churn(states: Float[Tensor, "layer prompt d_model"], layer: int, k: int) -> Float[Tensor, "d_model k"]:
    """What the block after a layer changes. Raises: ShapeError if there is none."""
    if not 0 <= layer < len(states) - 1:
        raise ShapeError(f"no block after layer {layer} in states of {len(states)}; choose 0 to {len(states) - 2}")
    return principal(states[layer + 1] - states[layer], k)


def principal(samples: Float[Tensor, "prompt d_model"], k: int) -> Float[Tensor, "d_model k"]:
    """The k principal components of centred samples. Raises: ShapeError if they have fewer."""
    check_width(k, min(len(samples) - 1, samples.shape[1]))
    return torch.linalg.svd(samples - samples.mean(0), full_matrices=False).Vh[:k].T


def check_width(k: int, width: int) -> None:
    """Raises: ShapeError if k directions are not to be had."""
    if not 1 <= k <= width:
        raise ShapeError(f"K = {k} directions where there are {width}; choose K from 1 to {width}")


def _top(gram: Float[Tensor, "d_model d_model"], k: int) -> Float[Tensor, "d_model k"]:
    check_width(k, len(gram))
    return _eigenvectors(gram)[:, -k:].flip(1)


def _eigenvectors(gram: Float[Tensor, "d_model d_model"]) -> Float[Tensor, "d_model d_model"]:
    return torch.linalg.eigh(gram.double()).eigenvectors.float()


@lru_cache(maxsize=2)
def _unembedding(lm: LanguageModel) -> Float[Tensor, "d_model d_model"]:
    head = lm.model.get_output_embeddings().weight.detach().float()
    return (head.T @ head).double()


def _written(lm: LanguageModel, layer: int) -> Float[Tensor, "d_model d_model"]:
    return sum((W @ W.T for W in _weights(lm, layer, "writers")), _nothing(lm))


def _read(lm: LanguageModel, layer: int) -> Float[Tensor, "d_model d_model"]:
    return sum((W.T @ W for W in _weights(lm, layer, "readers")), _nothing(lm))


def _nothing(lm: LanguageModel) -> Float[Tensor, "d_model d_model"]:
    return torch.zeros(lm.d_model, lm.d_model, dtype=torch.float64, device=lm.device)


def _weights(lm: LanguageModel, layer: int, targets: str) -> list[Float[Tensor, "_ _"]]:
    return [
        linear.weight.detach().double()
        for path, linear in lm.linears(layer, layer + 1).items()
        if targeted(path, tuple(linear.weight.shape), d_model=lm.d_model, targets=targets)
    ]
