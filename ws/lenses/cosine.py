"""The angle between two updates: inner products and squared norms, tensor by tensor."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ws.engine.loading import loaded
from ws.errors import MismatchError
from ws.store import Recipe, Store
from ws.store.tables import read_table
from ws.training.direction import Direction, direction_delta


@dataclass(frozen=True)
class InnerProducts(Recipe):
    """`products.parquet`: a row per tensor that two directions of one model change."""

    first: Direction
    second: Direction

    def __post_init__(self) -> None:
        if self.first.on != self.second.on:
            raise MismatchError(
                f"no angle between {self.first.describe()} and {self.second.describe()}: their weights are of two "
                "models; give two directions of one"
            )

    def describe(self) -> str:
        return f"angle of {self.first.describe()} with {self.second.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.first.on, store)
        first, second = (direction_delta(one, lm, store).tensors for one in (self.first, self.second))
        if first.keys() != second.keys():
            raise MismatchError(
                f"no {self.describe()}: {sorted(first.keys() ^ second.keys())[:3]} are changed by one of them only; "
                "train both from one recipe"
            )
        rows = [
            {
                "tensor": name,
                "dot": first[name].dot(second[name]),
                "first_sq": first[name].dot(first[name]),
                "second_sq": second[name].dot(second[name]),
            }
            for name in first
        ]
        pd.DataFrame(rows).to_parquet(out / "products.parquet")


def read_products(store: Store, recipe: InnerProducts) -> pd.DataFrame:
    """Columns tensor, dot, first_sq and second_sq, in squared base-weight units."""
    return read_table(store.get(recipe) / "products.parquet")
