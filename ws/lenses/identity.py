"""How far the parts of a direction are from summing to the whole; stored, so that a claim needs no model for it."""

import json
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from ws.delta.weight_delta import WeightDelta
from ws.engine.loading import loaded
from ws.errors import MismatchError
from ws.lenses.base import joined
from ws.lenses.cuts import Cut
from ws.store import Recipe, Store


@dataclass(frozen=True)
class Identity(Recipe):
    """`gap.json`: the largest |sum of parts - whole| of any tensor as a share of |whole|, for cuts of one direction.

    Raises: MismatchError if there are less than two parts, or if they are cut from another direction than the whole.
    """

    parts: tuple[Cut, ...]
    whole: Cut

    def __post_init__(self) -> None:
        if len(self.parts) < 2 or any(part.direction != self.whole.direction for part in self.parts):
            raise MismatchError(
                f"{len(self.parts)} cuts as parts of {self.whole.direction.describe()}; expected two or more cuts of "
                "that very direction"
            )

    def describe(self) -> str:
        parts = " + ".join(part.cut() for part in self.parts)
        return f"identity of {parts} with {self.whole.cut()}, {self.whole.direction.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.whole.direction.on, store)
        whole = self.whole.delta(lm, store)
        together = reduce(joined, (part.delta(lm, store) for part in self.parts))
        (out / "gap.json").write_text(json.dumps({"gap": largest_gap(together, whole) / whole.norm}))


def largest_gap(one: WeightDelta, other: WeightDelta) -> float:
    """The largest norm of any tensor's difference, in base-weight units; a missing tensor counts as zero.

    Computed on dense matrices: in factors a tiny difference is that of two long products, and would drown in their
    rounding.
    """
    return max(value.dense().norm().item() for value in joined(one, -1.0 * other).tensors.values())


def read_gap(store: Store, recipe: Identity) -> float:
    """The largest |sum of parts - whole| of any tensor, as a share of |whole|."""
    return json.loads((store.get(recipe) / "gap.json").read_text())["gap"]
