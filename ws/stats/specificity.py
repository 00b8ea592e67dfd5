"""Specificity: whether a direction moves what it was trained on further than it moves anything else.

A direction that makes every answer more decided moves unrelated traits too, each towards its own label. The target and
the other axes share seeds, but no rows. To keep them paired by seed they go into one table, and the movement of each is
the mean over its own rows there; every draw of seeds and clusters then reweights all of them.
"""

from collections.abc import Iterable, Mapping
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
    group of an axis row is its topic. Statements 2k - 1 and 2k of an axis, which have opposite signs, are one cluster,
    so that a push towards Yes does not widen the interval.
    Raises: DataError if a row was scored at one of the coefficients only.
    """
    on_target = _moved(target[target["sign"] != 0], steered).assign(group=TARGET)
    off_target = _moved(axes, steered)
    off_target = off_target.assign(group=off_target["topic"], cluster=_twins(off_target))
    both = pd.concat([on_target, off_target], ignore_index=True)
    return both.rename(columns={"question_id": "row"})[["seed", "cluster", "row", "group", "value"]]


def text_movements(target: pd.DataFrame, others: Mapping[str, pd.DataFrame], *, steered: float = 1.0) -> pd.DataFrame:
    """How far each answer moved towards its side: columns seed, cluster, row, group, value (nats per token).

    target: answers of the behavior's two sides under one arm at coefficients 0 and `steered`, with a seed column;
    others: those of other behaviors, by name. The mean of a group is the effect of the measure text.
    Raises: DataError if an answer was scored at one of the coefficients only.
    """
    groups = {TARGET: target, **others}
    tables = [
        _moved(rows.assign(log_ratio=2.0 * rows["log_p"]), steered).assign(group=group)
        for group, rows in groups.items()
    ]
    both = pd.concat(tables, ignore_index=True).rename(columns={"question_id": "row"})
    return both[["seed", "cluster", "row", "group", "value"]]


def group_means(moved: pd.DataFrame, *, sources: Iterable[str] = ()) -> dict[str, Estimate]:
    """The mean movement of each group, all on the same index, so that they can be subtracted.

    sources: the store's keys of what the table was made of. The mean of a group is a ratio of two means over all rows:
    of the values with zeros outside the group, and of an indicator of the group.
    """
    groups, keys = dict.fromkeys(moved["group"]), tuple(sources)
    return {group: _mean(moved, moved["group"] == group).noting(sources=keys) for group in groups}


def is_specific(means: dict[str, Estimate]) -> Hypothesis:
    """The hypothesis that the target moves further than every other group, in whichever direction that group moves.

    Raises: DataError if there is no target or no other group.
    """
    others = [mean for group, mean in means.items() if group != TARGET]
    if TARGET not in means or not others:
        raise DataError(f"groups {sorted(means)}; expected {TARGET!r} and one or more others; score the axes too")
    return reduce(and_, _beyond(means[TARGET], others))


def largest_other(means: dict[str, Estimate]) -> str:
    """The group other than the target that moves most, in either direction."""
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
    """The name of the pair that a statement belongs to, from the number at the end of its id."""
    place = rows["question_id"].str.extract(r"(\d+)$")[0].astype(int)
    return rows["topic"] + "-" + ((place + 1) // 2).astype(str)


def _mean(moved: pd.DataFrame, member: pd.Series) -> Estimate:
    inside = Estimate.of(moved.assign(value=member * moved["value"]))
    share = Estimate.of(moved.assign(value=member.astype(float)))
    return inside / share
