"""Lenses on what an update writes into given output directions, and the directions that several updates share.

The journal's T6 ("fork_plan T1-T8 status check", 2026-04-27) puts the families' dW side by side, takes the top K left
singular directions B, and compares keeping B B^T dW and dropping it, (I - B B^T) dW, with doing so for a random B. Its
public code (cross_adapter_ablation.py) has one B a layer, for both residual writers together, and a dW with a larger
norm counts more. That is `shared_basis(..., per="layer")` of updates cut by `Modules("writers")`, then `Projected` on
each update after the same cut.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ws.delta.update import LowRank, Spectrum, Update
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ShapeError, UnknownNameError
from ws.lenses.base import Lens, some, unwritten, written
from ws.lenses.modules import layer_of
from ws.lenses.spectrum import decomposed, orthonormal
from ws.models.language import LanguageModel

Bases = Mapping[str, Float[Tensor, "_ k"]]
"""Orthonormal output directions by the path of a weight."""

SCOPES = ("tensor", "layer")


@dataclass(frozen=True, eq=False)
class Projected(Lens):
    """What dW writes into the span of each tensor's basis; keep=False gives what it writes elsewhere.

    It holds tensors, so it can be used inside a recipe's `build`, but cannot be a field of a recipe.
    Raises: MismatchError if a tensor has no basis, or a basis of another width.
    """

    bases: Bases
    keep: bool = True

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        part = written if self.keep else unwritten
        return some({path: part(value, self._basis(path, value)) for path, value in delta.tensors.items()}, self)

    def _basis(self, path: str, value: Update) -> Float[Tensor, "d_out k"]:
        if path not in self.bases:
            raise MismatchError(
                f"no basis for {path}; expected one for every tensor of dW: cut dW to the tensors of the basis first, "
                "as Then(Modules('writers'), ...) does, or take a basis of this model"
            )
        basis = self.bases[path]
        if basis.shape[0] != value.shape[0]:
            raise MismatchError(
                f"the basis of {path} has width {basis.shape[0]}, dW has outputs of width {value.shape[0]}; "
                "take a basis of this model"
            )
        return basis

    def describe(self) -> str:
        return "dW inside given directions" if self.keep else "dW outside given directions"


@dataclass(frozen=True)
class RandomBasis(Lens):
    """What dW writes into k random directions of each tensor's outputs: the control of a shared basis.

    Raises: ShapeError if k is more than a tensor's width.
    """

    k: int
    seed: int
    keep: bool = True

    def apply(self, delta: WeightDelta, lm: LanguageModel) -> WeightDelta:
        return Projected(random_bases(delta, self.k, seed=self.seed), self.keep).apply(delta, lm)

    def describe(self) -> str:
        return f"dW {'inside' if self.keep else 'outside'} {self.k} random directions (seed {self.seed})"


def random_bases(delta: WeightDelta, k: int, *, seed: int) -> dict[str, Float[Tensor, "_ k"]]:
    """k random orthonormal output directions for each tensor. Raises: ShapeError if k is more than a width."""
    generator = torch.Generator().manual_seed(seed)
    return {path: orthonormal(value.shape[0], k, generator).to(columns(value)) for path, value in delta.tensors.items()}


def shared_basis(
    deltas: Sequence[WeightDelta], k: int, *, per: str = "tensor", equal: bool = False
) -> dict[str, Float[Tensor, "_ k"]]:
    """The k output directions that hold most of several updates together, by the path of a weight.

    Raises: as `shared_directions`; ShapeError if k is more than a width or than the rank of the updates together.
    """
    return first(shared_directions(deltas, per=per, equal=equal), k)


def first(directions: Mapping[str, Float[Tensor, "_ _"]], k: int) -> dict[str, Float[Tensor, "_ k"]]:
    """The first k of each tensor's directions. Raises: ShapeError if a tensor has fewer."""
    for path, (width, rank) in ((path, basis.shape) for path, basis in directions.items()):
        if not 1 <= k <= rank:
            raise ShapeError(
                f"K = {k} directions at {path}, whose updates together have rank {rank} in a width of {width}; "
                f"choose K from 1 to {rank}, or share more updates"
            )
    return {path: basis[:, :k] for path, basis in directions.items()}


def shared_directions(
    deltas: Sequence[WeightDelta], *, per: str = "tensor", equal: bool = False
) -> dict[str, Float[Tensor, "_ _"]]:
    """The left singular directions of several updates put side by side, largest singular value first.

    per="layer" puts the tensors of a layer side by side too; with a single update, that is the journal's weight oracle
    (v9). equal=True first scales every tensor to norm 1; otherwise the dW with the largest norm dominates. If the dW
    that is to be cut is among the updates, the basis has been fitted on it: leave it out to ask what others share with
    it.
    Raises: MismatchError for no updates, updates of different tensors, or a layer of several widths; UnknownNameError
    for another scope.
    """
    if per not in SCOPES:
        raise UnknownNameError("scope of a shared basis", per, SCOPES)
    if not deltas or any(delta.tensors.keys() != deltas[0].tensors.keys() for delta in deltas):
        raise MismatchError(
            f"a shared basis of {len(deltas)} updates; expected one or more of the same tensors: train them from one "
            "recipe, on one model"
        )
    together: dict[str | int, list[str]] = {}
    for path in deltas[0].tensors:
        together.setdefault(path if per == "tensor" else layer_of(path), []).append(path)
    bases = {key: _left(_stacked(deltas, paths, equal=equal)) for key, paths in together.items()}
    return {path: bases[key] for key, paths in together.items() for path in paths}


def _stacked(deltas: Sequence[WeightDelta], paths: Sequence[str], *, equal: bool) -> Float[Tensor, "d_out c"]:
    updates = [delta.tensors[path] for path in paths for delta in deltas]
    if len({update.shape[0] for update in updates}) > 1:
        raise MismatchError(
            f"{paths} write to widths {[deltas[0].tensors[path].shape[0] for path in paths]}; tensors that share a "
            "basis need one width: keep Modules('writers') first, or use per='tensor'"
        )
    blocks = [columns(update) for update in updates]
    return torch.cat([block / block.norm() if equal and block.any() else block for block in blocks], dim=1)


def columns(update: Update) -> Float[Tensor, "d_out c"]:
    """A matrix with an update's left singular directions and singular values: left * S if it is in factors, else dW."""
    if not isinstance(update, LowRank):
        return update.dense()
    spectrum = decomposed(update)
    return spectrum.weighted


def _left(stack: Float[Tensor, "d_out c"]) -> Float[Tensor, "d_out rank"]:
    """The left singular directions; if there are more columns than rows, a QR makes the matrix square first."""
    if stack.shape[1] > stack.shape[0]:
        stack = torch.linalg.qr(stack.T).R.T
    spectrum = Spectrum(*torch.linalg.svd(stack, full_matrices=False))
    return spectrum.left[:, : spectrum.rank]
