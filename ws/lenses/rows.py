"""Rows scored under a cut of a direction: the same rows for every cut, an artifact each."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ws.behaviors import Question
from ws.engine.loading import loaded
from ws.errors import MismatchError
from ws.lenses.variants import Variant
from ws.models.language import Placed
from ws.scoring.rows import swept
from ws.store import Recipe, Store
from ws.store.progress import track


@dataclass(frozen=True)
class CutRows(Recipe):
    """`rows.parquet`, as `ws.scoring.rows.Rows` has them: a line per coefficient and question."""

    on: Placed
    questions: tuple[Question, ...]
    prefill: str
    variant: Variant
    coeffs: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.variant.direction.plus.pairs.on != self.on:
            raise MismatchError(
                f"cannot score {self.variant.direction.describe()} on {self.on.describe()}: adapter for another model"
            )

    def describe(self) -> str:
        what = f"{self.variant.direction.describe()}: {self.variant.cut()}"
        return f"{len(self.questions)} rows x {len(self.coeffs)}, {what}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        delta = self.variant.delta(lm, store)
        coeffs = track(self.coeffs, f"score {self.describe()}")
        rows = swept(lm, self.questions, delta, coeffs=coeffs, prefill=self.prefill)
        rows.assign(cut_norm=delta.norm).to_parquet(out / "rows.parquet")


def read_cut_rows(store: Store, recipe: CutRows) -> pd.DataFrame:
    """The columns of `ws.scoring.rows.read_rows`, and cut_norm, the norm of what was added, in base-weight units."""
    return pd.read_parquet(store.get(recipe) / "rows.parquet")
