"""Specificity: whether a direction moves what it was trained on further than it moves anything else.

A direction that makes every answer more decided moves unrelated traits too, each towards its own label. Movements of
different sets of rows share seeds and no rows, so they are means over members of one common table: the pairing over
seeds is kept, and each draw of clusters reweighs both.
"""

from collections.abc import Iterable
from functools import reduce
from operator import and_

import pandas as pd

from ws.errors import DataError
from ws.stats.estimate import Estimate
from ws.stats.hypothesis import Hypothesis

TARGET = "target"
"""The group of the rows that the behavior is measured on."""


def movements(target: pd.DataFrame, axes: pd.DataFrame, *, steered: float = 1.0) -> pd.DataFrame:
    """How far each row's log-ratio moved towards its label: columns seed, cluster, row, group, value (nats).

    target, axes: rows of one arm at coefficients 0 and `steered`, with a seed column; rows of sign 0 are left out. The
    group of an axis row is its topic. Statements 2k - 1 and 2k of an axis, one of each sign, are one cluster, so that a
    push towards Yes does not blow up the interval.
    Raises: DataError if a row was scored at one of the coefficients only.
    """
    on_target = _moved(target[target["sign"] != 0], steered).assign(group=TARGET)
    off_target = _moved(axes, steered)
    off_target = off_target.assign(group=off_target["topic"], cluster=_twins(off_target))
    both = pd.concat([on_target, off_target], ignore_index=True)
    return both.rename(columns={"question_id": "row"})[["seed", "cluster", "row", "group", "value"]]


def group_means(moved: pd.DataFrame, *, sources: Iterable[str] = ()) -> dict[str, Estimate]:
    """The mean movement of each group, all on the same index, so that they can be subtracted.

    sources: the store's keys of what the table was made of.
    Source: a ratio of two means over the union of the rows, of the values that are in the group and of their share.
    """
    groups, keys = dict.fromkeys(moved["group"]), tuple(sources)
    return {group: _mean(moved, moved["group"] == group).noting(sources=keys) for group in groups}


def is_specific(means: dict[str, Estimate]) -> Hypothesis:
    """That the target moves further than every other group, whichever way that one moves.

    Raises: DataError if there is no target or nothing beside it.
    """
    others = [mean for group, mean in means.items() if group != TARGET]
    if TARGET not in means or not others:
        raise DataError(f"groups {sorted(means)}; expected {TARGET!r} and one or more others; score the axes too")
    return reduce(and_, _beyond(means[TARGET], others))


def largest_other(means: dict[str, Estimate]) -> str:
    """The group beside the target that moves most, whichever way."""
    return max((group for group in means if group != TARGET), key=lambda group: abs(means[group].value))


def _beyond(target: Estimate, others: Iterable[Estimate]) -> list[Hypothesis]:
    return [hypothesis for other in others for hypothesis in (target - other > 0, target + other > 0)]


def _moved(rows: pd.DataFrame, steered: float) -> pd.DataFrame:
    at = {
        coeff: rows[rows["coeff"] == coeff].set_index(["seed", "question_id"]).sort_index() for coeff in (0.0, steered)
    }
    if not at[0.0].index.equals(at[steered].index) or at[0.0].empty:
        raise DataError(
            f"{len(at[0.0])} rows at coefficient 0 and {len(at[steered])} at {steered:+g} are not the same rows; "
            "score both on one set of questions and seeds"
        )
    change = at[steered]["sign"] * (at[steered]["log_ratio"] - at[0.0]["log_ratio"])
    return at[0.0].assign(value=change).reset_index()


def _twins(rows: pd.DataFrame) -> pd.Series:
    """The name of the two statements that a statement belongs to, from the number at the end of its id."""
    place = rows["question_id"].str.extract(r"(\d+)$")[0].astype(int)
    return rows["topic"] + "-" + ((place + 1) // 2).astype(str)


def _mean(moved: pd.DataFrame, member: pd.Series) -> Estimate:
    inside = Estimate.of(moved.assign(value=member * moved["value"]))
    share = Estimate.of(moved.assign(value=member.astype(float)))
    return inside / share
