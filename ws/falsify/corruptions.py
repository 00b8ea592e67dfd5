"""How tables are spoilt, each time the trace of an error that somebody could make."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from ws.falsify.kinds import Kind

SHARE_MISSING = 10
"""One row of so many is left out."""
FACTOR = 3.0

Beside = Literal["base", "other", "elsewhere"]
"""A table that a mistake could put in a table's place, by its name in `Evidence`."""


@dataclass(frozen=True)
class Evidence:
    """A table that a case reads, and the tables that a mistake could put in its place; None where there is none."""

    kind: Kind
    table: pd.DataFrame
    base: pd.DataFrame | None = None
    """The same rows of the unchanged model."""
    other: pd.DataFrame | None = None
    """The same rows of another arm."""
    elsewhere: pd.DataFrame | None = None
    """The same rows of this arm at another coefficient."""
    is_base: bool = False
    """Whether this is the unchanged model's table."""

    @property
    def steered(self) -> bool:
        """Whether the numbers are an effect of steering."""
        return self.kind.steered and not self.is_base


Corrupt = Callable[[Evidence], pd.DataFrame | None]


def corrupted(name: str, evidence: Evidence) -> pd.DataFrame | None:
    """The spoilt table; None if the corruption has no meaning for the table, or leaves its numbers as they are."""
    table = SPOILS[name].corrupt(evidence)
    if table is None:
        return None
    table = evidence.kind.derived(table).reset_index(drop=True)
    return None if table.equals(evidence.table.reset_index(drop=True)) else table


def _flipped(evidence: Evidence) -> pd.DataFrame | None:
    if evidence.kind.turned is not None:
        return evidence.kind.turned(evidence.table)
    return _moved(evidence, -1.0) if evidence.steered else None


def _shuffled(evidence: Evidence) -> pd.DataFrame | None:
    kind, table = evidence.kind, evidence.table
    if not kind.within:
        return None
    rng, order = np.random.default_rng(0), np.arange(len(table))
    for places in table.groupby([*kind.within, *_coeff(table)]).indices.values():
        order[places] = rng.permutation(places)
    return _with_numbers(evidence, table.iloc[order])


def _zeroed(evidence: Evidence) -> pd.DataFrame | None:
    return _moved(evidence, 0.0) if evidence.steered else None


def _tripled(evidence: Evidence) -> pd.DataFrame | None:
    return _moved(evidence, FACTOR) if evidence.steered else None


def _moved(evidence: Evidence, factor: float) -> pd.DataFrame:
    """The numbers with their distance from those of the unchanged model, or from 0, multiplied."""
    table, measured = evidence.table, list(evidence.kind.measured)
    base = 0.0 if evidence.base is None else evidence.base[measured].to_numpy()
    moved = base + factor * (table[measured].to_numpy() - base)
    return table.assign(**dict(zip(measured, moved.T, strict=True)))


def _at_another_coefficient(evidence: Evidence) -> pd.DataFrame | None:
    table = evidence.table
    if not evidence.steered or "coeff" not in table:
        return None
    coeffs = list(table["coeff"].unique())
    if len(coeffs) == 1:
        return None if evidence.elsewhere is None else _with_numbers(evidence, evidence.elsewhere)
    own, rotated = (
        pd.concat([table[table["coeff"] == coeff] for coeff in order]) for order in (coeffs, [*coeffs[1:], coeffs[0]])
    )
    return _with_numbers(replace(evidence, table=own), rotated)


def _exchanged(evidence: Evidence) -> pd.DataFrame | None:
    names, table = evidence.kind.names, evidence.table
    if not names:
        return None if evidence.other is None else _with_numbers(evidence, evidence.other)
    arms = list(table[names].unique())
    return table.assign(**{names: table[names].map(dict(zip(arms, [*arms[1:], arms[0]], strict=True)))})


def _with_a_nan(evidence: Evidence) -> pd.DataFrame:
    """A NaN in the first row that has numbers, of every group that a claim may select."""
    kind, table = evidence.kind, evidence.table.copy()
    measured, by = list(kind.measured), [*kind.groups, *_coeff(table)]
    whole = table[table[measured].notna().all(axis=1)]
    first = whole.groupby(by).head(1).index if by else whole.index[:1]
    table[measured] = table[measured].astype(float)
    table.loc[first, measured] = np.nan
    return table


def _short(evidence: Evidence) -> pd.DataFrame | None:
    """Every tenth row of each group left out, and one at least, at all coefficients."""
    kind, table = evidence.kind, evidence.table
    if not kind.can_lack_rows:
        return None
    named = [*kind.groups, *kind.row]
    names = table[table[list(kind.measured)].notna().all(axis=1)][named].drop_duplicates()
    place = names.groupby(list(kind.groups)).cumcount() if kind.groups else pd.Series(range(len(names)), names.index)
    gone = pd.MultiIndex.from_frame(names[place % SHARE_MISSING == 0])
    return table[~pd.MultiIndex.from_frame(table[named]).isin(gone)]


def _doubled(evidence: Evidence) -> pd.DataFrame | None:
    return pd.concat([evidence.table, evidence.table]) if evidence.kind.can_lack_rows else None


def _with_numbers(evidence: Evidence, source: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table with the numbers of as many other rows."""
    return evidence.table.assign(**{name: source[name].to_numpy() for name in evidence.kind.measured})


def _coeff(table: pd.DataFrame) -> list[str]:
    return ["coeff"] if "coeff" in table else []


class Corruption(NamedTuple):
    """How a table is spoilt."""

    corrupt: Corrupt
    beside: tuple[Beside, ...] = ()
    """The other tables that it takes."""


SPOILS: Mapping[str, Corruption] = {
    "sides": Corruption(_flipped, ("base",)),
    "labels": Corruption(_shuffled),
    "zero": Corruption(_zeroed, ("base",)),
    "swapped": Corruption(_exchanged, ("other",)),
    "tripled": Corruption(_tripled, ("base",)),
    "coefficient": Corruption(_at_another_coefficient, ("elsewhere",)),
    "nan": Corruption(_with_a_nan),
    "missing": Corruption(_short),
    "doubled": Corruption(_doubled),
}
"""By the names in `ws.falsify.names`, which say what each does."""
