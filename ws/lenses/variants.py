"""What a lens claim steers with: a direction cut one way, described so that a recipe can hold it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ws.delta import Direction, WeightDelta, direction_delta
from ws.errors import MismatchError
from ws.lenses.base import Lens
from ws.lenses.modules import Modules
from ws.lenses.parts import keep_part, part_deltas
from ws.lenses.shared import Projected, random_bases, shared_basis
from ws.models import LanguageModel
from ws.store import Store
from ws.train import read_adapter


class Variant(ABC):
    """A cut of one direction; a small frozen dataclass with the field `direction`."""

    direction: Direction

    @abstractmethod
    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        """The update that is added to the model."""

    @abstractmethod
    def cut(self) -> str:
        """The cut as one short human phrase, without the direction."""


@dataclass(frozen=True)
class Cut(Variant):
    """A direction seen through a lens."""

    direction: Direction
    lens: Lens

    def __post_init__(self) -> None:
        if reason := self.lens.applies(self.direction.plus.shape.family):
            raise MismatchError(f"{self.lens.describe()} has no meaning here: {reason}; choose another family or lens")

    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        return self.lens.apply(direction_delta(self.direction, lm, store), lm)

    def cut(self) -> str:
        return self.lens.describe()


@dataclass(frozen=True)
class SharedCut(Variant):
    """A direction's residual writes inside (or outside) k output directions that several directions share.

    The directions of the basis are given; the cut direction may be one of them, as in the journal's T6 (2026-04-27).
    random_seed: as many random directions in the basis's place, the control.
    """

    direction: Direction
    basis: tuple[Direction, ...]
    k: int
    keep: bool = True
    random_seed: int | None = None

    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        writes = Modules("writers")
        mine = writes.apply(direction_delta(self.direction, lm, store), lm)
        if self.random_seed is not None:
            bases = random_bases(mine, self.k, seed=self.random_seed)
        else:
            them = [writes.apply(direction_delta(one, lm, store), lm) for one in self.basis]
            bases = shared_basis(them, self.k, per="layer", equal=True)
        return Projected(bases, self.keep).apply(mine, lm)

    def cut(self) -> str:
        side = "inside" if self.keep else "outside"
        what = "random" if self.random_seed is not None else f"shared by {len(self.basis)} families"
        return f"writes {side} {self.k} directions, {what}"


@dataclass(frozen=True)
class PartCut(Variant):
    """One native part of a direction, or all others: `ws.lenses.parts`."""

    direction: Direction
    part: str
    keep: bool = True

    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        plus, minus = (read_adapter(store, sign) for sign in (self.direction.plus, self.direction.minus))
        return keep_part(part_deltas(lm, plus, minus, self.direction.plus.shape), self.part, keep=self.keep)

    def cut(self) -> str:
        return f"{'' if self.keep else 'all but '}its {self.part}"
