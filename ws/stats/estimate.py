"""Numbers with doubt: arithmetic and comparisons on paired tables of seeds, clusters and rows.

A table has one line per seed and row, and its estimate is the mean over all lines. The draws of `ws.stats.tables` show
how that mean would vary with other seeds and other clusters. Tables with the same seeds and clusters share these draws,
so arithmetic works draw by draw and keeps the arms paired.

Source: Satterthwaite 1946, "An approximate distribution of estimates of variance components" (degrees of freedom);
Fieller 1954, "Some problems in interval estimation" (ratios).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from ws.errors import EstimateError
from ws.stats.hypothesis import Hypothesis, Part
from ws.stats.lines import in_order, union
from ws.stats.noise import Leaf, leaf, noise_of, shaken
from ws.stats.tables import Floats, check_columns, check_same_rows, indexed, means

Number = int | float | np.integer | np.floating

LEVEL = 0.95

LITTLE = 0.1
"""The part of a number by which another one must differ from it for the difference to matter."""
SURE = 0.995
"""The level at which a number must be told from 0 for a part of it to mean something."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number computed from the means of paired tables, with its values on resampled seeds and clusters."""

    index: pd.MultiIndex
    """The (seed, cluster, row) of every line, sorted."""
    numbers: Floats
    """The number under every reweighting, in the order of `ws.stats.tables.means`."""
    gates: tuple[str, ...]
    """Why the number cannot be trusted, in words, sorted; empty when it can."""
    sources: tuple[str, ...] = ()
    """The store's keys of everything the number was computed from, in order of first use."""
    notes: tuple[str, ...] = ()
    """Lines that a reader should see below the number, in order of first use."""
    leaves: tuple[Leaf, ...] = ()
    """The means of the tables that the number was computed from, with their noise, in order of first use."""
    shaken: Floats = field(default_factory=lambda: np.zeros(0))
    """The number on tables that are shaken by their noise; empty if there are none."""
    unbounded: bool = False
    """Whether the number was divided by one that may be 0, so that no interval is wide enough (Fieller)."""

    @staticmethod
    def of(
        table: pd.DataFrame,
        *,
        gates: tuple[str, ...] = (),
        sources: Iterable[str] = (),
        notes: Iterable[str] = (),
    ) -> Estimate:
        """The mean of a table with columns seed, cluster, row and value, each row once under each seed.

        A value that is not finite trips a gate; so does a table of one seed and one cluster, which has no spread.
        sources, notes: keys of what the table was made of, and lines for the reader; everything that is computed from
        the estimate has them too.

        Raises: EstimateError if a column is missing, the table is empty, a label is empty, or a row occurs twice or
            not at all under one of the seeds.
        """
        check_columns(table)
        index, order = indexed(table)
        seeds, clusters, _ = index.codes
        shape = index.levshape[:2]
        values = table["value"].to_numpy(dtype=np.float64)[order]
        values = np.where(np.isfinite(values), values, np.nan)
        sums = np.zeros(shape)
        np.add.at(sums, (seeds, clusters), values)
        counts = np.bincount(clusters[seeds == 0])
        tripped = in_order(gates, _gates_of(values, shape))
        mean, noise = leaf(values, shape[0])
        return Estimate(
            index,
            means(sums, counts),
            tripped,
            union(sources),
            union(notes),
            leaves=((mean, noise),),
            shaken=shaken(values, mean, noise),
        )

    def noting(self, *notes: str, sources: Iterable[str] = ()) -> Estimate:
        """The same number with further lines below it, and with the keys of what these lines report."""
        return replace(self, sources=union(self.sources, sources), notes=union(self.notes, notes))

    def gated(self, *reasons: str) -> Estimate:
        """The same number with further reasons, in words, why it cannot be trusted."""
        return replace(self, gates=in_order(self.gates, reasons))

    def made_of(self, *others: Estimate) -> Estimate:
        """The same number with all that came with the estimates whose numbers its table holds.

        That is their gates, sources, notes and leaves. A number that is made of broken ones is broken, and the snapshot
        of one that hardly ever changes, such as a correlation of ranks, has to notice that they moved.
        """
        return replace(
            self,
            gates=in_order(self.gates, *(one.gates for one in others)),
            sources=union(*(one.sources for one in others), self.sources),
            notes=union(*(one.notes for one in others), self.notes),
            leaves=tuple(dict.fromkeys(leaf for one in (self, *others) for leaf in one.leaves)),
        )

    @property
    def value(self) -> float:
        """The number as measured."""
        return float(self.numbers[0])

    @property
    def resampled(self) -> Floats:
        """The number on each draw of seeds and clusters."""
        return self.numbers[1 : 1 + self._draws]

    @property
    def of_clusters(self) -> Floats:
        """The number on each draw of clusters, the same as in `resampled`, with all seeds once."""
        return self.numbers[1 + self._draws : 1 + 2 * self._draws]

    @property
    def _draws(self) -> int:
        return (len(self.numbers) - 1 - self.n_seeds) // 2

    @property
    def noise(self) -> float:
        """How far the arithmetic of another machine may move the number."""
        return noise_of(self.value, self.shaken)

    @property
    def each_seed(self) -> Floats:
        """The number computed from each seed's lines alone, in the order of the seeds."""
        return self.numbers[-self.n_seeds :]

    @property
    def by_seed(self) -> pd.Series:
        """The number computed from each seed's lines alone, by seed."""
        return pd.Series(self.each_seed, index=self.index.levels[0], name="value")

    @property
    def n_seeds(self) -> int:
        """How many seeds were measured."""
        return len(self.index.levels[0])

    @property
    def n_clusters(self) -> int:
        """How many clusters the rows fall into."""
        return len(self.index.levels[1])

    @property
    def n_rows(self) -> int:
        """How many different rows were measured, each of them under every seed."""
        return len(self.index) // self.n_seeds

    @property
    def seed_sd(self) -> float:
        """The standard deviation between seeds (n - 1); NaN if there is only one seed."""
        if self.n_seeds == 1:
            return math.nan
        with np.errstate(invalid="ignore", over="ignore"):
            return float(np.std(self.each_seed, ddof=1))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The number plus and minus Student's t times the standard deviation of its draws; NaN if draws are NaN.

        Percentiles of the draws are no substitute: they lie between the lowest and the highest seed, and the range of 3
        seeds covers the truth only 75% of the time.

        Raises: EstimateError if the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise EstimateError(f"an interval at level {level} was asked for; expected a level between 0 and 1")
        if self.unbounded:
            return -math.inf, math.inf
        with np.errstate(invalid="ignore", over="ignore"):
            spread = float(np.std(self.resampled))
        if not spread > 0:
            return self.value - spread, self.value + spread
        # The same as the quantile of scipy.stats.t, without an import that takes a second.
        half = float(stdtrit(self._degrees_of_freedom(spread), (1 + level) / 2)) * spread
        return self.value - half, self.value + half

    def _degrees_of_freedom(self, spread: float) -> float:
        """Satterthwaite's degrees of freedom: those of seeds and of clusters, weighted by shares of the variance."""
        if 1 in (self.n_seeds, self.n_clusters):
            # A spread of one seed and one cluster is only rounding; 1 degree of freedom keeps the interval finite.
            return float(max(self.n_seeds - 1, self.n_clusters - 1, 1))
        # Shares of the variance, since fourth powers of the spread itself may leave the range of floats.
        of_seeds = min(1.0, self.seed_sd / spread / math.sqrt(self.n_seeds)) ** 2
        return 1 / (of_seeds**2 / (self.n_seeds - 1) + (1 - of_seeds) ** 2 / (self.n_clusters - 1))

    def __add__(self, other: Estimate | Number) -> Estimate:
        return _combined(operator.add, self, other)

    def __radd__(self, other: Number) -> Estimate:
        return _combined(operator.add, self, other)

    def __sub__(self, other: Estimate | Number) -> Estimate:
        return _combined(operator.sub, self, other)

    def __rsub__(self, other: Number) -> Estimate:
        return _combined(_reversed_sub, self, other)

    def __mul__(self, other: Estimate | Number) -> Estimate:
        return _combined(operator.mul, self, other)

    def __rmul__(self, other: Number) -> Estimate:
        return _combined(operator.mul, self, other)

    def __truediv__(self, other: Estimate | Number) -> Estimate:
        """The ratio of means, not the mean of ratios; a denominator whose interval contains 0 trips a gate.

        Raises: EstimateError if the denominator is the number 0.
        """
        if isinstance(other, Estimate):
            return _combined(operator.truediv, self, _denominator(other))
        if other == 0:
            raise EstimateError("cannot divide an estimate by 0; expected another number or an estimate")
        return _combined(operator.truediv, self, other)

    def __rtruediv__(self, other: Number) -> Estimate:
        return _combined(_reversed_div, _denominator(self), other)

    def __neg__(self) -> Estimate:
        return replace(self, numbers=-self.numbers, shaken=-self.shaken)

    def __gt__(self, other: Estimate | Number) -> Hypothesis:
        """The hypothesis that this number is above `other`; shows the difference, or `self` if `other` is a number.

        It is refuted if this number is below `other`; beside an estimate that is not 0, if it is not LITTLE above it.
        """
        shown, threshold = _against(self, other)
        return Hypothesis((Part(shown, (self - other,), threshold, f"> {threshold:.6g}", _short(self, other)),))

    def __lt__(self, other: Estimate | Number) -> Hypothesis:
        """The hypothesis that this number is below `other`; shows the difference, or `self` if `other` is a number.

        It is refuted if this number is above `other`; beside an estimate that is not 0, if it is not LITTLE below it.
        """
        shown, threshold = _against(self, other)
        return Hypothesis((Part(shown, (other - self,), threshold, f"< {threshold:.6g}", _short(other, self)),))

    def approx(self, other: Estimate | Number, *, within: Estimate | Number) -> Hypothesis:
        """The hypothesis that the difference from `other` is negligible."""
        return (self - other).is_negligible(within=within)

    def is_negligible(self, *, within: Estimate | Number) -> Hypothesis:
        """The hypothesis that this number lies inside (-within, within); an estimated margin below 0 trips a gate.

        Raises: EstimateError if the margin is a number that is not above 0.
        """
        if isinstance(within, Estimate):
            margin = _margin(within)
            relation = f"within ±{margin.value:.3g} (estimated)"
            return Hypothesis((Part(self, (margin - self, margin + self), None, relation),))
        if not within > 0:
            raise EstimateError(f"a margin of {within} was given; expected one above 0")
        sides = within - self, within + self
        return Hypothesis((Part(self, sides, float(within), f"within ±{within:.6g}"),))

    def __repr__(self) -> str:
        low, high = self.interval()
        gates = f", gates: {'; '.join(self.gates)}" if self.gates else ""
        size = f"{self.n_seeds} seeds, {self.n_clusters} clusters, {self.n_rows} rows"
        return f"Estimate({self.value:.3g} [{low:.3g}, {high:.3g}], {size}{gates})"


def _gates_of(values: Floats, shape: tuple[int, int]) -> tuple[str, ...]:
    broken = int(np.isnan(values).sum())
    nan = (f"NaN or infinite in {broken} of {len(values)} values",) if broken else ()
    few = ("too few rows: one seed and one cluster show no spread",) if shape == (1, 1) else ()
    return nan + few


def _combined(
    function: Callable[[Floats, Floats | float], Floats], left: Estimate, right: Estimate | Number
) -> Estimate:
    """A function of two numbers, applied draw by draw."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if isinstance(right, Estimate):
            check_same_rows(left.index, right.index)
            return Estimate(
                left.index,
                function(left.numbers, right.numbers),
                in_order(left.gates, right.gates),
                union(left.sources, right.sources),
                union(left.notes, right.notes),
                leaves=tuple(dict.fromkeys(left.leaves + right.leaves)),
                shaken=function(left.shaken, right.shaken),
                unbounded=left.unbounded or right.unbounded,
            )
        if not isinstance(right, Number) or not math.isfinite(right):
            raise EstimateError(f"an estimate met {right!r}; expected another estimate or a finite number")
        other = float(right)
        return replace(left, numbers=function(left.numbers, other), shaken=function(left.shaken, other))


def _reversed_sub(left: Floats, right: Floats | float) -> Floats:
    return right - left


def _reversed_div(left: Floats, right: Floats | float) -> Floats:
    return right / left


def _denominator(estimate: Estimate) -> Estimate:
    low, high = estimate.interval()
    return replace(_gated(estimate, "denominator near 0"), unbounded=True) if low <= 0 <= high else estimate


def _margin(estimate: Estimate) -> Estimate:
    _, high = estimate.interval()
    return _gated(estimate, "margin not above 0") if high <= 0 else estimate


def _gated(estimate: Estimate, gate: str) -> Estimate:
    low, high = estimate.interval()
    return estimate.gated(f"{gate} (interval [{low:.3g}, {high:.3g}])")


def _short(more: Estimate | Number, less: Estimate | Number) -> Estimate | None:
    """How far one estimate is from being LITTLE more than another.

    None where a number is compared, and where the other estimate may be 0: a part of it would then be mere noise, and
    could refute falsely as often as chance tells it from 0.
    """
    if not isinstance(more, Estimate) or not isinstance(less, Estimate):
        return None
    low, high = less.interval(SURE)
    if low <= 0 <= high or not math.isfinite(low + high):
        return None
    return more - less - math.copysign(LITTLE, less.value) * less


def _against(left: Estimate, right: Estimate | Number) -> tuple[Estimate, float]:
    """The estimate to show for a comparison, and the number that it is compared with."""
    return (left - right, 0.0) if isinstance(right, Estimate) else (left, float(right))
