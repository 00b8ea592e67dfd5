"""Directions of the residual stream that follow from the pretrained model itself, a basis for each decoder layer.

The journal names these bases without formulas (2026-04-26, made notebook; 2026-04-27, v9 and v10). The formulas are
those of its public code (github.com/wassname/weight-steering: nbs/hypothesis_sweep_v9.py,
docs/hypothesis_ablation_catalog.md), which like this one does not fold the gains of norms into the readers. W_o and
W_down write the stream; W_q, W_k, W_v, W_up and W_gate read it.

    write           top left singular directions of [W_o | W_down] of the layer
    lm_head_read    top right singular directions of the unembedding
    weak_readout    bottom right ones of the unembedding (`logits_null`; the first of
                    `ws.training.direction.weak_readout`)
    write_not_read  top left singular directions of (I - P) [W_o | W_down], where P projects onto the directions that
                    later layers and the unembedding read most
    suppressed      principal components of min(sum of rises, sum of falls) of |h| over the depth, one for all layers
    churn           principal components of h after the next block minus h after this one
    random          uniform

Suppressed and churn need states h at some texts, which the caller gives: nothing here runs the model.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ws.adapters.targets import targeted
from ws.engine.loading import loaded
from ws.errors import MismatchError, ShapeError
from ws.lenses.spectrum import orthonormal
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel, layer_range
from ws.steering.states import States, read_states
from ws.store import Recipe, Store

LayerBases = Mapping[int, Float[Tensor, "d_model k"]]
"""Orthonormal directions of the residual stream by decoder layer."""

READ_SHARE = 16
"""One direction in this many counts as read most: 64 of the 1024 of Qwen3-0.6B in the journal's code."""


@dataclass(frozen=True)
class Bases(Recipe):
    """`bases.safetensors`: every basis but the random one, at each decoder layer between two fractions of the depth.

    Tensors are named `<basis>.<layer>`. Raises: MismatchError if the texts' states are of a steered model.
    """

    texts: States
    """States of the unchanged model at the texts that the bases `suppressed` and `churn` are computed from."""
    layers: tuple[float, float]
    k: int = 8

    def __post_init__(self) -> None:
        if self.texts.direction is not None:
            raise MismatchError(f"bases from {self.texts.describe()}; expected states of the unchanged model")

    def describe(self) -> str:
        return f"bases of {self.k} directions of {self.texts.on.describe()}"

    def build(self, out: Path, store: Store) -> None:
        from safetensors.torch import save_file

        lm = loaded(self.texts.on, store)
        layers = layer_range(lm.n_layers, *self.layers)
        # The first state enters block 0; without it, state l is the one that leaves block l.
        states = read_states(store, self.texts)[1:]
        found = weight_bases(lm, layers, self.k) | state_bases(states, layers, self.k)
        named = {f"{name}.{layer}": basis for name, by_layer in found.items() for layer, basis in by_layer.items()}
        save_file(
            {name: basis.cpu().clone(memory_format=torch.contiguous_format) for name, basis in named.items()},
            out / "bases.safetensors",
        )


def read_bases(store: Store, recipe: Bases, *, seed: int = 0) -> dict[str, dict[int, Float[Tensor, "d_model k"]]]:
    """The kept bases and a random one, by name and layer."""
    from safetensors.torch import load_file

    found: dict[str, dict[int, Tensor]] = {}
    for key, basis in load_file(store.get(recipe) / "bases.safetensors").items():
        name, layer = key.split(".")
        found.setdefault(name, {})[int(layer)] = basis
    layers = sorted(found["write"])
    return found | {"random": random_layers(layers, width=len(found["write"][layers[0]]), k=recipe.k, seed=seed)}


def static_bases(
    lm: LanguageModel, layers: Sequence[int], k: int, *, seed: int = 0
) -> dict[str, dict[int, Float[Tensor, "d_model k"]]]:
    """All bases that depend on weights alone, and a random one, by name and layer.

    Raises: ShapeError if k is more than half the width, or the model does not have these layers.
    """
    drawn = random_layers(layers, width=lm.d_model, k=k, seed=seed)
    return weight_bases(lm, layers, k) | {"random": {layer: basis.to(lm.device) for layer, basis in drawn.items()}}


def weight_bases(lm: LanguageModel, layers: Sequence[int], k: int) -> dict[str, dict[int, Float[Tensor, "d_model k"]]]:
    """The bases that depend on weights alone, by name and layer. Raises: as `static_bases`."""
    return {
        "write": {layer: write(lm, layer, k) for layer in layers},
        "lm_head_read": dict.fromkeys(layers, lm_head_read(lm, k)),
        "weak_readout": dict.fromkeys(layers, weakly_read(lm, k)),
        "write_not_read": writes_not_read(lm, layers, k),
    }


def random_layers(layers: Sequence[int], *, width: int, k: int, seed: int) -> dict[int, Float[Tensor, "d_model k"]]:
    """Random directions, drawn independently for each layer, uniform over all subspaces."""
    generator = torch.Generator().manual_seed(seed)
    return {layer: orthonormal(width, k, generator) for layer in layers}


def state_bases(
    states: Float[Tensor, "layer prompt d_model"], layers: Sequence[int], k: int
) -> dict[str, dict[int, Float[Tensor, "d_model k"]]]:
    """The bases computed from residual states after each block, by name and layer.

    Raises: ShapeError if there are fewer than k + 1 prompts or no block after one of the layers.
    """
    return {
        "suppressed": dict.fromkeys(layers, suppressed(states, k)),
        "churn": {layer: churn(states, layer, k) for layer in layers},
    }


def write(lm: LanguageModel, layer: int, k: int) -> Float[Tensor, "d_model k"]:
    """The directions to which the writers of a layer write most."""
    return _top(_written(lm, layer), k)


def lm_head_read(lm: LanguageModel, k: int) -> Float[Tensor, "d_model k"]:
    """The directions that the unembedding reads most."""
    return _top(_unembedding(lm), k)


def weakly_read(lm: LanguageModel, k: int) -> Float[Tensor, "d_model k"]:
    """The directions that the unembedding reads least."""
    check_width(k, lm.d_model // 2)
    return _eigenvectors(_unembedding(lm))[:, :k]


def write_not_read(lm: LanguageModel, layer: int, k: int) -> Float[Tensor, "d_model k"]:
    """The directions a layer writes most, outside those that later layers and the unembedding together read most."""
    return writes_not_read(lm, [layer], k)[layer]


def writes_not_read(lm: LanguageModel, layers: Collection[int], k: int) -> dict[int, Float[Tensor, "d_model k"]]:
    """`write_not_read` of several layers, computed from the last one down, adding up the readers above on the way."""
    read_later, found = _unembedding(lm), {}
    for layer in reversed(range(min(layers), lm.n_layers)):
        if layer in layers:
            found[layer] = _unread(_written(lm, layer), read_later, k)
        read_later = read_later + _read(lm, layer)
    return {layer: found[layer] for layer in layers}


def suppressed(states: Float[Tensor, "layer prompt d_model"], k: int) -> Float[Tensor, "d_model k"]:
    """Directions whose magnitude rises and falls again over the depth: they are written and later erased."""
    steps = states.abs().diff(dim=0)
    return principal(torch.minimum(steps.relu().sum(0), (-steps).relu().sum(0)), k)


def churn(states: Float[Tensor, "layer prompt d_model"], layer: int, k: int) -> Float[Tensor, "d_model k"]:
    """The directions along which the next block changes the stream. Raises: ShapeError if there is no next block."""
    if not 0 <= layer < len(states) - 1:
        raise ShapeError(f"no block after layer {layer} in states of {len(states)}; choose 0 to {len(states) - 2}")
    return principal(states[layer + 1] - states[layer], k)


def principal(samples: Float[Tensor, "prompt d_model"], k: int) -> Float[Tensor, "d_model k"]:
    """The first k principal components (of the centred samples). Raises: ShapeError if there are fewer."""
    check_width(k, min(len(samples) - 1, samples.shape[1]))
    return torch.linalg.svd(samples - samples.mean(0), full_matrices=False).Vh[:k].T


def check_width(k: int, width: int) -> None:
    """Raises: ShapeError if a basis cannot have k directions."""
    if not 1 <= k <= width:
        raise ShapeError(f"K = {k} directions where there are {width}; choose K from 1 to {width}")


def _unread(
    written: Float[Tensor, "d_model d_model"], read: Float[Tensor, "d_model d_model"], k: int
) -> Float[Tensor, "d_model k"]:
    """The top directions of `written` outside the span of the top directions of `read`."""
    width = len(read)
    readers = _top(read, width // READ_SHARE)
    outside = torch.eye(width, device=read.device, dtype=torch.float64) - (readers @ readers.T).double()
    return _top(outside @ written @ outside, k)


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
        matrix(linear).detach().double()
        for path, linear in lm.linears(layer, layer + 1).items()
        if targeted(path, tuple(matrix(linear).shape), d_model=lm.d_model, targets=targets)
    ]
