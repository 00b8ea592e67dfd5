"""Directions along which steering moves the residual stream, and dW's residual writes cut along them.

The journal's activation oracle (2026-04-27, v9 and v10): singular directions of how steering changes the stream at a
prompt's last token, either by all blocks up to this one (cumulative) or by this block alone (block). As in the public
code of the journal (nbs/functional_projection_v10.py), every change is scaled to norm 1, so that no prompt counts more
than another, and changes are not centred: their mean is the push that steers, and centring would remove just that.

The same recipe serves TaskDiff: changes between personas of opposite signs, or by dW on a part of the prompts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ws.behaviors import Behavior
from ws.behaviors.base import Claim, ask
from ws.delta.update import Spectrum
from ws.delta.weight_delta import WeightDelta
from ws.errors import DataError, MismatchError, ShapeError, UnknownNameError
from ws.lenses.bases import LayerBases
from ws.lenses.cuts import WritesCut
from ws.lenses.modules import layer_of
from ws.lenses.shared import Bases
from ws.models.language import LanguageModel, Placed
from ws.steering.states import Prompt, States, read_states
from ws.store import Recipe, Store
from ws.training.direction import Direction

SCOPES = ("cumulative", "block")
"""Change of the stream by all blocks up to and including one, or by that block alone."""

MOST = 128
"""Most directions kept for a layer: as many as the sweep over K asks for."""


class Contrast(NamedTuple):
    """Two recordings of states at the same questions, whose difference a basis is made of."""

    high: States
    low: States


@dataclass(frozen=True)
class ActivationBasis(Recipe):
    """`basis.safetensors`: by scope and layer, orthonormal directions [d_model, k <= MOST] and singular values.

    A layer whose states do not change has none. Since every change has norm 1, the squared singular values sum to the
    number of samples.
    Raises: MismatchError for states of different models or questions; ShapeError if `first` exceeds the prompts.
    """

    contrasts: tuple[Contrast, ...]
    first: int | None = None
    """How many prompts of each contrast to use, from the first on; None uses all."""

    def __post_init__(self) -> None:
        if not self.contrasts or len({states.on for pair in self.contrasts for states in pair}) != 1:
            raise MismatchError(
                f"a basis of {len(self.contrasts)} contrasts; expected one or more, all read from one model"
            )
        for high, low in self.contrasts:
            _check_same_questions(high, low)
            if self.first is not None and not 1 <= self.first <= len(high.prompts):
                raise ShapeError(f"the first {self.first} of {len(high.prompts)} prompts; choose 1 or more of them")

    @property
    def on(self) -> Placed:
        """The model whose states these are."""
        return self.contrasts[0].high.on

    @property
    def samples(self) -> int:
        """The changes of states that a basis is made of."""
        return sum(len(high.prompts[: self.first]) for high, _ in self.contrasts)

    def describe(self) -> str:
        return f"activation directions, {self.contrasts[0].high.describe()}"

    def build(self, out: Path, store: Store) -> None:
        from safetensors.torch import save_file

        moved = [read_states(store, high) - read_states(store, low) for high, low in self.contrasts]
        found = bases_of(torch.cat([states[:, : self.first] for states in moved], dim=1))
        if not found:
            raise ShapeError("steering moves no state: no directions; use a direction that is not zero")
        save_file(found, out / "basis.safetensors")


def read_directions(store: Store, recipe: ActivationBasis, scope: str) -> dict[int, Float[Tensor, "d_model _"]]:
    """The directions of each layer that has any, largest singular value first.

    Raises: UnknownNameError for an unknown scope.
    """
    return _read(store, recipe, scope, "directions")


def read_values(store: Store, recipe: ActivationBasis, scope: str) -> dict[int, Float[Tensor, " _"]]:
    """The singular values of a scope's directions, falling. Raises: UnknownNameError for an unknown scope."""
    return _read(store, recipe, scope, "values")


def bases_of(moved: Float[Tensor, "depth sample d_model"]) -> dict[str, Float[Tensor, "..."]]:
    """Directions and values of both scopes by "scope.layer.what"; `moved` holds changes of the states of
    `ws.steering.states`.

    The change by one block alone is the change of its output minus the change of its input. That is exact where the
    input does not change; elsewhere it also holds what the block makes of its changed input.
    """
    found = {}
    for scope, samples in zip(SCOPES, (moved[1:], moved.diff(dim=0)), strict=True):
        for layer, of_layer in enumerate(samples):
            if of_layer.any():
                spectrum = directions(of_layer)
                found[f"{scope}.{layer}.directions"] = spectrum.right.T.contiguous()
                found[f"{scope}.{layer}.values"] = spectrum.values
    return found


def directions(samples: Float[Tensor, "sample d_model"]) -> Spectrum:
    """The leading singular directions of samples scaled to norm 1: at most MOST, and only values above rounding."""
    norms = samples.norm(dim=1, keepdim=True)
    unit = torch.where(norms > 0, samples / norms, samples)
    spectrum = Spectrum(*torch.linalg.svd(unit, full_matrices=False))
    kept = min(spectrum.rank, MOST)
    return Spectrum(spectrum.left[:, :kept], spectrum.values[:kept].clone(), spectrum.right[:kept])


def leading(layers: LayerBases, layer: int, k: int) -> Float[Tensor, "d_model _"]:
    """The first k directions of a layer.

    Raises: MismatchError if the layer has none; ShapeError if it has fewer than k.
    """
    if layer not in layers:
        raise MismatchError(
            f"layer {layer} has no activation directions, layers {sorted(layers)} have; cut dW to those with Layers, "
            "or read states under the dW that is cut"
        )
    width, found = layers[layer].shape
    if not 1 <= k <= found:
        raise ShapeError(
            f"K = {k} activation directions of layer {layer}, which has {found} in a width of {width}; choose K from "
            f"1 to {found}, or read states of more prompts"
        )
    return layers[layer][:, :k]


@dataclass(frozen=True)
class ActivationCut(WritesCut):
    """Along the first k activation directions of each layer, or all where the states of a layer change along fewer.

    Raises: UnknownNameError for another scope; ShapeError for k < 1; MismatchError for a basis from another model.
    """

    direction: Direction
    basis: ActivationBasis
    k: int
    scope: str = "block"
    keep: bool = True
    matched: bool = False

    def __post_init__(self) -> None:
        _check_scope(self.scope)
        if self.k < 1:
            raise ShapeError(f"K = {self.k} activation directions; choose 1 or more")
        if self.basis.on != self.direction.on:
            raise MismatchError(
                f"activation directions of {self.basis.on.describe()} cannot cut {self.direction.describe()}; "
                "read states of the model that this dW was trained on"
            )

    def bases(self, writes: WeightDelta, lm: LanguageModel, store: Store) -> Bases:
        layers = read_directions(store, self.basis, self.scope)
        return {path: self._leading(layers, layer_of(path)).to(lm.device) for path in writes.tensors}

    def _leading(self, layers: LayerBases, layer: int) -> Float[Tensor, "d_model _"]:
        """The first k directions of a layer, or all of them if its k or more samples span fewer.

        A block whose input does not change writes along no more directions than the rank of dW in it.
        """
        width, found = layers[layer].shape if layer in layers else (0, 0)
        return leading(layers, layer, min(self.k, found) if self.k <= min(width, self.basis.samples) else self.k)

    def directions(self) -> str:
        return f"activation directions ({self.scope})"


def fit_prompts(behavior: Behavior) -> tuple[Prompt, ...]:
    """Training and validation claims in every evaluation phrasing, claim by claim: never what a claim test scores.

    Raises: DataError if no training entry is a claim that the phrasings fit.
    """
    claims = [entry for entry in behavior.training if isinstance(entry, Claim)]
    if not claims:
        raise DataError(
            f"no training entry of behavior {behavior.name!r} is a claim; expected some to ask in its phrasings: add "
            "claims, or read states of prompts of your own"
        )
    asked = [ask(claim, phrasing) for claim in (*claims, *behavior.validation) for phrasing in behavior.phrasings]
    return tuple(Prompt(question.text, prefill=behavior.prefill) for question in asked)


def steered_basis(direction: Direction, prompts: tuple[Prompt, ...]) -> ActivationBasis:
    """The activation oracle: the changes by steering with +1 and with -1, two samples for every prompt."""
    plus, base, minus = _readings(direction, prompts)
    return ActivationBasis((Contrast(plus, base), Contrast(base, minus)))


def task_basis(direction: Direction, prompts: tuple[Prompt, ...]) -> ActivationBasis:
    """TaskDiff with dW: +1 minus -1 on the first half of the prompts, so that the basis can be judged on the rest."""
    plus, _, minus = _readings(direction, prompts)
    return ActivationBasis((Contrast(plus, minus),), first=max(1, len(prompts) // 2))


def persona_basis(on: Placed, behavior: Behavior, prompts: tuple[Prompt, ...]) -> ActivationBasis:
    """TaskDiff with personas: the unchanged model under a positive persona minus under its negative counterpart.

    The pairs of personas take turns over the prompts.
    """
    high, low = (
        States(on, tuple(prompt._replace(system=side[i % len(side)]) for i, prompt in enumerate(prompts)))
        for side in (behavior.positive, behavior.negative)
    )
    return ActivationBasis((Contrast(high, low),))


def _readings(direction: Direction, prompts: tuple[Prompt, ...]) -> tuple[States, States, States]:
    on = direction.on
    return States(on, prompts, direction, 1.0), States(on, prompts), States(on, prompts, direction, -1.0)


def _read(store: Store, recipe: ActivationBasis, scope: str, what: str) -> dict[int, Float[Tensor, "..."]]:
    from safetensors.torch import load_file

    _check_scope(scope)
    found: Mapping[str, Tensor] = load_file(store.get(recipe) / "basis.safetensors")
    named: list[tuple[Any, ...]] = [(*name.split("."), value) for name, value in found.items()]
    return {int(layer): value for of_scope, layer, kind, value in named if (of_scope, kind) == (scope, what)}


def _check_scope(scope: str) -> None:
    if scope not in SCOPES:
        raise UnknownNameError("scope of activation directions", scope, SCOPES)


def _check_same_questions(high: States, low: States) -> None:
    if [prompt.user for prompt in high.prompts] != [prompt.user for prompt in low.prompts]:
        raise MismatchError(
            f"{high.describe()} and {low.describe()} are of different questions; read both on the same, in one order"
        )
