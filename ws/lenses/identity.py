"""That what a lens keeps and what it drops are the whole, on a real direction; kept, so that a claim can look it up."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from ws.delta import Direction, direction_delta
from ws.errors import MismatchError
from ws.lenses.base import Lens, joined
from ws.models import loaded
from ws.store import Recipe, Store


@dataclass(frozen=True)
class Identity(Recipe):
    """`gap.json`: the largest tensor's |keep + drop - dW| as a share of |dW|, for a lens that has `keep`.

    Raises: MismatchError for a lens without it.
    """

    direction: Direction
    lens: Lens

    def __post_init__(self) -> None:
        if not hasattr(self.lens, "keep"):
            raise MismatchError(f"{self.lens.describe()} has no rest; expected a lens with the field keep")

    def describe(self) -> str:
        return f"identity of {self.lens.describe()}, {self.direction.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.direction.plus.pairs.on, store)
        delta = direction_delta(self.direction, lm, store)
        kept, dropped = (replace(self.lens, keep=keep).apply(delta, lm) for keep in (True, False))
        together = joined(kept, dropped).tensors
        gap = max((value.dense() - together[path].dense()).norm().item() for path, value in delta.tensors.items())
        (out / "gap.json").write_text(json.dumps({"gap": gap / delta.norm}))


def read_gap(store: Store, recipe: Identity) -> float:
    """The largest tensor's |keep + drop - dW|, as a share of |dW|."""
    return json.loads((store.get(recipe) / "gap.json").read_text())["gap"]
