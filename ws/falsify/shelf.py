"""The artifacts that cases read, and the spoilt ones that stand in for them."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ws.falsify.arms import Arm, Recipes, arms_of, replicate
from ws.falsify.corruptions import SPOILS, Beside, Evidence, corrupted
from ws.falsify.files import read_table, write_tables
from ws.falsify.kinds import Kind, kinds_of
from ws.store import Store
from ws.store.recipes import values_of

ALIKE = 1e-4
"""Share of a column's largest number by which two builds of one artifact may differ."""


@dataclass(frozen=True, eq=False)
class Shelf:
    """All artifacts that some cases read, with their recipes and the store that they are in."""

    store: Store
    recipes: Recipes

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that the artifacts make up, by name."""
        return arms_of(self.recipes)

    @cached_property
    def arm_of(self) -> dict[str, Arm]:
        """The arm of each artifact."""
        return {key: arm for arm in self.arms for key in arm.keys}

    def spoil(self, arm: Arm, corruption: str, folder: Path) -> dict[str, Path]:
        """Folders with the corrupted tables of an arm, by key; empty if the corruption has no meaning for them."""
        made = {key: self._spoilt(key, arm, corruption) for key in arm.keys}
        return {key: write_tables(folder / key, tables) for key, tables in made.items() if tables}

    def _spoilt(self, key: str, arm: Arm, corruption: str) -> dict[str, pd.DataFrame]:
        """All tables of an artifact; none if none of them can be corrupted."""
        tables, changed = {}, False
        for kind in kinds_of(self.recipes[key]):
            evidence = self.evidence(key, arm, kind, SPOILS[corruption].beside)
            spoilt = corrupted(corruption, evidence)
            changed |= spoilt is not None
            tables[kind.file] = evidence.table if spoilt is None else spoilt
        return tables if changed else {}

    def evidence(self, key: str, arm: Arm, kind: Kind, beside: Collection[Beside]) -> Evidence:
        """One of an artifact's tables, with some of those that a mistake could put in its place."""
        table = self._table(key, kind)
        found = {name: self._beside(name, key, arm, table, kind) for name in beside}
        return Evidence(kind, table, is_base=arm.is_base, **found)

    def _beside(self, name: Beside, key: str, arm: Arm, table: pd.DataFrame, kind: Kind) -> pd.DataFrame | None:
        """A table's rows as the first artifact that could take its place and has all of them has them.

        Another arm is one with other numbers: two arms may be two names of one adapter.
        """
        match name:
            case "base":
                keys = self._unsteered(key, arm)
            case "other":
                keys = self._in_circle(key, arm)
            case "elsewhere":
                keys = self._at_other_coefficients(key, arm)
        found = (in_place_of(table, self._table(other, kind), kind, by_coeff=name == "other") for other in keys)
        fit = (one for one in found if one is not None)
        return next((one for one in fit if name != "other" or _differ(one, table, kind)), None)

    def _in_circle(self, key: str, arm: Arm) -> list[str]:
        """Artifacts of the arms that follow an arm in the circle of all, those of its seed and coefficients first."""
        circle, mine = self._alike(arm), replicate(self.recipes[key])
        place = circle.index(arm)

        def shared(other: str) -> int:
            return len(mine & replicate(self.recipes[other]))

        arms = (*circle[place + 1 :], *circle[:place])
        return [other for one in arms for other in sorted(one.keys, key=shared, reverse=True)]

    def _unsteered(self, key: str, arm: Arm) -> list[str]:
        """Artifacts of the unchanged model, those first that share most of a recipe's fields, such as its seed."""
        mine = values_of(self.recipes[key])
        keys = [other for one in self._alike(arm) if one.is_base for other in one.keys]

        def shared(other: str) -> int:
            return sum(mine[name] == value for name, value in values_of(self.recipes[other]).items())

        return sorted(keys, key=shared, reverse=True)

    def _alike(self, arm: Arm) -> list[Arm]:
        """The arms of the same kind of artifact."""
        return [one for one in self.arms if self._class(one) is self._class(arm)]

    def _class(self, arm: Arm) -> type:
        return type(self.recipes[arm.keys[0]])

    def _at_other_coefficients(self, key: str, arm: Arm) -> list[str]:
        """The same seed's artifacts of an arm."""
        mine: Any = self.recipes[key]
        if not hasattr(mine, "coeffs"):
            return []
        others: dict[str, Any] = {other: self.recipes[other] for other in arm.keys if other != key}
        return [other for other, recipe in others.items() if replace(recipe, coeffs=mine.coeffs) == mine]

    def _table(self, key: str, kind: Kind) -> pd.DataFrame:
        return _read(self.store.get(self.recipes[key]) / kind.file)


def in_place_of(table: pd.DataFrame, source: pd.DataFrame, kind: Kind, *, by_coeff: bool) -> pd.DataFrame | None:
    """The rows of `source` that have the names of a table's rows, in their order; None if it lacks one.

    by_coeff: take the rows of the same coefficients; of a table that has one, which `source` lacks, any other will do.
    """
    names = [*kind.groups, *kind.row]
    if (
        by_coeff
        and "coeff" in table
        and "coeff" in source
        and (table["coeff"].nunique() > 1 or table["coeff"].isin(source["coeff"]).all())
    ):
        names.append("coeff")
    elif "coeff" in source:
        source = source[source["coeff"] == source["coeff"].iloc[0]]
    wanted, there = (pd.MultiIndex.from_frame(one[names]) for one in (table, source))
    places = there.get_indexer(wanted) if there.is_unique else None
    return None if places is None or (places < 0).any() else source.iloc[places].reset_index(drop=True)


def _differ(one: pd.DataFrame, other: pd.DataFrame, kind: Kind) -> bool:
    """Whether two tables have other numbers than two builds of one artifact may have."""
    mine, theirs = (np.nan_to_num(table[list(kind.measured)].to_numpy(dtype=float)) for table in (one, other))
    return bool((np.abs(mine - theirs) > ALIKE * np.abs(theirs).max(axis=0)).any())


@lru_cache(maxsize=1024)
def _read(path: Path) -> pd.DataFrame:
    return read_table(path)
