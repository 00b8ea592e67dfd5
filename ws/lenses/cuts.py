"""Interventions that steer with a part of a direction: cut by a lens, a shared basis, or a family's own parameters."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from ws.delta.weight_delta import WeightDelta
from ws.engine.loading import loaded
from ws.errors import MismatchError
from ws.lenses.base import Lens, NormMatched
from ws.lenses.modules import Modules, layer_of
from ws.lenses.parts import keep_part, part_deltas
from ws.lenses.shared import Bases, Projected, first, shared_directions
from ws.models.language import LanguageModel, Placed
from ws.steering.interventions import WeightIntervention
from ws.store import Recipe, Store
from ws.training.direction import Direction, direction_delta
from ws.training.train import read_adapter

WRITES = Modules("writers")
"""The tensors that write the residual stream, on which directions can share a basis."""

BASIS = "basis.safetensors"


class Cut(WeightIntervention):
    """A part of one direction; its dataclasses have the field `direction`."""

    direction: Direction

    @property
    def on(self) -> Placed:
        return self.direction.on

    @abstractmethod
    def cut(self) -> str:
        """The cut as one short human phrase, without the direction."""

    def describe(self) -> str:
        return f"{self.direction.describe()}: {self.cut()}"


@dataclass(frozen=True)
class LensCut(Cut):
    """A direction seen through a lens."""

    direction: Direction
    lens: Lens

    def __post_init__(self) -> None:
        if reason := self.lens.applies(self.direction.plus.shape.family):
            raise MismatchError(f"{self.lens.describe()} has no meaning here: {reason}; choose another family or lens")

    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        return self.lens.apply(whole_delta(self.direction, lm, store), lm)

    def cut(self) -> str:
        return self.lens.describe()


@dataclass(frozen=True)
class SharedBasis(Recipe):
    """`basis.safetensors`: for each layer the directions in which several dW write the stream, most energy first.

    Each dW counts alike, whatever its norm; `ws.lenses.shared` has the formula.
    """

    directions: tuple[Direction, ...]

    def describe(self) -> str:
        return f"basis shared by {len(self.directions)}: {', '.join(one.describe() for one in self.directions)}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.directions[0].on, store)
        writes = [WRITES.apply(direction_delta(one, lm, store), lm) for one in self.directions]
        bases = shared_directions(writes, per="layer", equal=True)
        save_file({str(layer_of(path)): basis.cpu().contiguous() for path, basis in bases.items()}, out / BASIS)


def read_shared_basis(
    store: Store, recipe: SharedBasis, delta: WeightDelta, lm: LanguageModel
) -> dict[str, Float[Tensor, "_ _"]]:
    """The shared directions at each tensor of an update. Raises: MismatchError if its layer has none."""
    layers = {int(name): basis.to(lm.device) for name, basis in load_file(store.get(recipe) / BASIS).items()}
    if missing := sorted({layer_of(path) for path in delta.tensors} - layers.keys()):
        raise MismatchError(
            f"layer {missing[0]} has no shared basis, layers {sorted(layers)} have one; share directions that are in "
            "all layers of the one that is cut"
        )
    return {path: layers[layer_of(path)] for path in delta.tensors}


class WritesCut(Cut):
    """A direction's residual writes along k output directions of each layer, or all others.

    matched: scaled to the norm of all residual writes, with one factor for all tensors.
    """

    k: int
    keep: bool
    matched: bool

    @abstractmethod
    def bases(self, writes: WeightDelta, lm: LanguageModel, store: Store) -> Bases:
        """The k directions at each tensor of the residual writes."""

    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        writes = WRITES.apply(whole_delta(self.direction, lm, store), lm)
        lens = Projected(self.bases(writes, lm, store), self.keep)
        return (NormMatched(lens) if self.matched else lens).apply(writes, lm)

    @abstractmethod
    def directions(self) -> str:
        """Which directions they are, as one short human phrase."""

    def cut(self) -> str:
        side, norm = "inside" if self.keep else "outside", " at full norm" if self.matched else ""
        return f"writes {side} {self.k} {self.directions()}{norm}"


@dataclass(frozen=True)
class SharedCut(WritesCut):
    """Along the output directions that several directions share.

    The direction that is cut may be one of those that the basis is made of, as in the journal's T6 (2026-04-27).
    Raises: MismatchError if a direction of the basis is on another model.
    """

    direction: Direction
    basis: tuple[Direction, ...]
    k: int
    keep: bool = True
    matched: bool = False

    def __post_init__(self) -> None:
        on = self.direction.on
        for its in (one.on for one in self.basis):
            if its != on:
                raise MismatchError(
                    f"a basis of {its.describe()} for a direction on {on.describe()}; share directions on one model"
                )

    def bases(self, writes: WeightDelta, lm: LanguageModel, store: Store) -> Bases:
        return first(read_shared_basis(store, SharedBasis(self.basis), writes, lm), self.k)

    def directions(self) -> str:
        return f"directions shared by {len(self.basis)} families"


@dataclass(frozen=True)
class PartCut(Cut):
    """One native part of a direction, or all others: `ws.lenses.parts`."""

    direction: Direction
    part: str
    keep: bool = True

    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        plus, minus = (read_adapter(store, sign) for sign in (self.direction.plus, self.direction.minus))
        return keep_part(part_deltas(lm, plus, minus, self.direction.plus.shape), self.part, keep=self.keep)

    def cut(self) -> str:
        return f"{'' if self.keep else 'all but '}its {self.part}"


@lru_cache(maxsize=3)
def whole_delta(direction: Direction, lm: LanguageModel, store: Store) -> WeightDelta:
    """`direction_delta`, kept for the last three directions: the seeds of one family, whose cuts are made in turn.

    On SmolLM2-135M a direction of full rank takes 0.2 GB, and 0.3 GB more once its spectrum is known.
    """
    return direction_delta(direction, lm, store)
