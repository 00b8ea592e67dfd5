"""An arm of the contest: a way to steer, how strongly each seed applies it, and the rows that it is read by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import pandas as pd

from ws.scoring.scored import read_scored
from ws.steering.interventions import Intervention, Nothing
from ws.store import Recipe, Store

Side = Literal[1, -1]


@runtime_checkable
class RecipeOf(Protocol):
    """The recipe of what is read of an intervention, such as `Contest.rows`."""

    def __call__(self, intervention: Intervention, *, coeffs: tuple[float, ...]) -> Recipe: ...


RecipesOf = Callable[[int], RecipeOf]
"""Of each seed the recipe of what is read, where the rows depend on the seed, as text does."""


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
        return self.table_by_seed(store, lambda _: recipe_of)

    def table_by_seed(self, store: Store, recipes_of: RecipesOf) -> pd.DataFrame:
        """`table` of rows that depend on the seed."""
        tables = [
            read_scored(store, recipe).assign(seed=seed, coeff=coeff)
            for seed, steered, still in self._recipes(recipes_of)
            for coeff, recipe in ((0.0, still), (float(self.side), steered))
        ]
        return pd.concat(tables, ignore_index=True)

    def keys(self, store: Store, recipe_of: RecipeOf) -> tuple[str, ...]:
        """The keys of the artifacts that `table` reads."""
        return self.keys_by_seed(store, lambda _: recipe_of)

    def keys_by_seed(self, store: Store, recipes_of: RecipesOf) -> tuple[str, ...]:
        """The keys of the artifacts that `table_by_seed` reads."""
        recipes = self._recipes(recipes_of)
        bases = dict.fromkeys(still for _, _, still in recipes)
        return tuple(store.key(recipe) for recipe in (*(steered for _, steered, _ in recipes), *bases))

    def _recipes(self, recipes_of: RecipesOf) -> list[tuple[int, Recipe, Recipe]]:
        """Each seed, what is read of the arm, and what is read of the unchanged model."""
        return [
            (seed, recipes_of(seed)(intervention, coeffs=(coeff,)), recipes_of(seed)(Nothing(), coeffs=(0.0,)))
            for seed, intervention, coeff in self.doses
        ]
