"""An arm of the contest: a way to steer, how strongly each seed applies it, and the rows that it is read by."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import pandas as pd

from ws.scoring.rows import Rows, read_rows
from ws.scoring.thought import ThoughtRows, read_thought_rows
from ws.steering.interventions import Intervention, Nothing
from ws.store import Recipe, Store

Side = Literal[1, -1]


@runtime_checkable
class RecipeOf(Protocol):
    """The recipe of what is read of an intervention, such as `Contest.rows`."""

    def __call__(self, intervention: Intervention, *, coeffs: tuple[float, ...]) -> Recipe: ...


class Dose(NamedTuple):
    """What one seed steers by."""

    seed: int
    intervention: Intervention
    coeff: float


@dataclass(frozen=True)
class Arm:
    """A way to steer, and how strongly each seed applies it."""

    name: str
    doses: tuple[Dose, ...]
    side: Side = 1
    """The coefficient that tables give its rows, whatever they were scored at; -1 for an arm turned round."""
    ranked: bool = True
    """Whether it competes; a control, dW of another behavior and an arm turned round do not."""

    def table(self, store: Store, recipe_of: RecipeOf) -> pd.DataFrame:
        """The arm's rows as coefficient `side`, and the unchanged model's as 0, seed by seed."""
        base = rows_read(store, _still(recipe_of))
        tables = [
            table.assign(seed=seed, coeff=coeff)
            for (seed, *_), recipe in zip(self.doses, self._recipes(recipe_of), strict=True)
            for coeff, table in ((0.0, base), (float(self.side), rows_read(store, recipe)))
        ]
        return pd.concat(tables, ignore_index=True)

    def keys(self, store: Store, recipe_of: RecipeOf) -> tuple[str, ...]:
        """The keys of the artifacts that `table` reads."""
        return tuple(store.key(recipe) for recipe in (*self._recipes(recipe_of), _still(recipe_of)))

    def _recipes(self, recipe_of: RecipeOf) -> list[Recipe]:
        return [recipe_of(intervention, coeffs=(coeff,)) for _, intervention, coeff in self.doses]


def _still(recipe_of: RecipeOf) -> Recipe:
    return recipe_of(Nothing(), coeffs=(0.0,))


@lru_cache(maxsize=512)
def rows_read(store: Store, recipe: Rows | ThoughtRows) -> pd.DataFrame:
    """The rows of a recipe, read once a process."""
    return read_rows(store, recipe) if isinstance(recipe, Rows) else read_thought_rows(store, recipe)
