"""Constructions: updates of weights that are made from base weights and base activations alone, without training.

The journal's goal B (2026-04-27, "two-goal frame and coverage gaps"): predict dW' before any trained dW is read. Every
construction writes a contrast of activations, between personas that show a behavior and their counterparts, into
weights. A weight acts at every token and knows its input alone, so what an activation method adds as a constant has to
be tied to an input: `written` adds it where the input is the mean input of the training messages.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ws.adapters.targets import writes_residual
from ws.constructed.independence import check_untrained
from ws.constructed.inputs import MeanInputs, read_means
from ws.delta.update import LowRank
from ws.delta.weight_delta import WeightDelta, random_like
from ws.engine.loading import loaded
from ws.errors import MismatchError, ShapeError
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel, Placed
from ws.steering.interventions import WeightIntervention
from ws.store import Recipe, Store

SHARE = 0.01
"""The norm of every construction, as a share of the norm of the base weights that it changes. Claims compare at equal
KL, where it has no part; it only says what a coefficient of 1 is."""

UPDATE = "update.safetensors"

Weights = Mapping[str, Float[Tensor, "d_out d_in"]]
"""Base weights by the path of their linear map."""


@dataclass(frozen=True)
class Contrast:
    """Mean inputs of all linear maps under personas that show a behavior, under their counterparts, and under none."""

    plus: MeanInputs
    minus: MeanInputs
    plain: MeanInputs

    def __post_init__(self) -> None:
        sides = self.plus, self.minus, self.plain
        if len({(side.on, side.layers) for side in sides}) > 1 or len(self.plus.prompts) != len(self.minus.prompts):
            raise MismatchError(
                f"a contrast of {', '.join(side.describe() for side in sides)}; expected one model, the same layers "
                "and as many prompts under personas for as against the behavior"
            )


@dataclass(frozen=True)
class Construction(Recipe, ABC):
    """`update.safetensors`: an update in factors, with SHARE of the norm of the weights that it changes.

    A subclass says which update, at any scale.
    Raises: MismatchError if it is made of what was trained.
    """

    contrast: Contrast

    def __post_init__(self) -> None:
        check_untrained(self)

    @property
    def on(self) -> Placed:
        """The model that it is made of and for."""
        return self.contrast.plain.on

    @property
    def layers(self) -> tuple[float, float]:
        """The blocks that it may change, as fractions of the depth."""
        return self.contrast.plain.layers

    @abstractmethod
    def construct(self, lm: LanguageModel, store: Store) -> WeightDelta:
        """The update, at any scale: all of it is multiplied by one factor before it is kept."""

    def build(self, out: Path, store: Store) -> None:
        from safetensors.torch import save_file

        lm = loaded(self.on, store)
        delta = at_share(self.construct(lm, store), weights_of(lm))
        factors = {
            f"{side}.{path}": getattr(update, side).float().cpu().contiguous()
            for path, update in delta.tensors.items()
            for side in ("left", "right")
        }
        save_file(factors, out / UPDATE)


def read_update(store: Store, recipe: Construction, *, device: torch.device) -> WeightDelta:
    """The update of a construction."""
    from safetensors.torch import load_file

    factors = {name: value.to(device) for name, value in load_file(store.get(recipe) / UPDATE).items()}
    paths = [name.removeprefix("left.") for name in factors if name.startswith("left.")]
    return WeightDelta({path: LowRank(factors[f"left.{path}"], factors[f"right.{path}"]) for path in paths})


@dataclass(frozen=True)
class Constructed(WeightIntervention):
    """The intervention of adding a construction's update."""

    construction: Construction
    random_seed: int | None = None
    """None for the update itself; a seed for the control: random values with its norm and rank in every tensor."""

    @property
    def on(self) -> Placed:
        return self.construction.on

    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        delta = read_update(store, self.construction, device=lm.device)
        return delta if self.random_seed is None else random_like(delta, seed=self.random_seed)

    def describe(self) -> str:
        return f"{'random as ' if self.random_seed is not None else ''}{self.construction.describe()}"


def written(shift: Float[Tensor, " d_out"], at: Float[Tensor, " d_in"]) -> LowRank:
    """The update of rank 1 that adds `shift` to what a linear map gives for the input `at`: shift at^T / |at|^2.

    It adds shift (x . at) / |at|^2 for another input x: nothing where x is orthogonal to `at`.
    Raises: ShapeError if `at` is zero, since a weight gives nothing for it.
    Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT", arXiv:2202.05262, eq. 2, with the
        identity in place of the covariance of inputs.
    """
    if not at.any():
        raise ShapeError("an update cannot write where the input is zero; read inputs of other prompts or blocks")
    return LowRank(shift[:, None], (at / at.square().sum())[None])


def at_share(delta: WeightDelta, weights: Weights, *, share: float = SHARE) -> WeightDelta:
    """The update scaled, with one factor, to a share of the norm of the weights that it changes.

    Raises: ShapeError for an update of zero.
    """
    norm = delta.norm
    if not norm:
        raise ShapeError("the construction is zero: both personas leave the same activations; sharpen the personas")
    base = sum(weights[path].double().square().sum().item() for path in delta.tensors) ** 0.5
    return (share * base / norm) * delta


def weights_of(lm: LanguageModel) -> dict[str, Float[Tensor, "d_out d_in"]]:
    """Every base weight by the path of its linear map."""
    return {path: matrix(linear).detach() for path, linear in lm.linears(0, lm.n_layers).items()}


def writers(weights: Weights, *, d_model: int) -> dict[str, Float[Tensor, "d_out d_in"]]:
    """Of some weights those that write the residual stream."""
    return {path: W for path, W in weights.items() if writes_residual(path, tuple(W.shape), d_model=d_model)}


def read_contrast(
    contrast: Contrast, lm: LanguageModel, store: Store
) -> tuple[dict[str, Float[Tensor, " _"]], dict[str, Float[Tensor, " _"]]]:
    """By path the mean inputs under + minus those under - personas, and the mean inputs without a persona."""
    plus, minus, plain = (
        read_means(store, side, device=lm.device) for side in (contrast.plus, contrast.minus, contrast.plain)
    )
    return {path: plus[path] - minus[path] for path in plus}, plain
