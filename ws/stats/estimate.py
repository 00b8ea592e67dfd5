"""Numbers with doubt: arithmetic and comparisons on paired tables of seeds, clusters and rows.

A table has one line per seed and row, and its estimate is the mean over all lines. What that mean would have
been with other seeds and other clusters is told by a two-way bootstrap. Every table with the same seeds and
clusters is reweighted by the same draws, so arithmetic works draw by draw and keeps the arms paired.

Source: Owen 2007, "The pigeonhole bootstrap" (two-way); Rao & Wu 1988, "Resampling inference with complex
survey data" (n - 1 out of n); Satterthwaite 1946, "An approximate distribution of estimates of variance
components" (degrees of freedom).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from ws.errors import EstimateError

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
Number = int | float | np.integer | np.floating

COLUMNS = ("seed", "cluster", "row", "value")
# The spread of normal draws, and with it an interval's half width, then carries a Monte Carlo error of 1%.
RESAMPLES = 4000
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number computed from the means of paired tables, and what it would have been on other draws."""

    index: pd.MultiIndex
    """The (seed, cluster, row) of every line, sorted."""
    numbers: Floats
    """The number under every reweighting: as measured, then RESAMPLES draws, then each seed alone."""
    gates: tuple[str, ...]
    """Why the number cannot be trusted, in words, sorted; empty when it can."""
    sources: tuple[str, ...] = ()
    """The store's keys of everything the number was computed from, in the order in which it came in."""
    notes: tuple[str, ...] = ()
    """What a reader should see below the number, a line each, in the same order."""

    @staticmethod
    def of(
        table: pd.DataFrame,
        *,
        gates: tuple[str, ...] = (),
        sources: Iterable[str] = (),
        notes: Iterable[str] = (),
    ) -> Estimate:
        """The mean of a table with columns seed, cluster, row and value, each row once under each seed.

        A value that is not finite trips a gate; so does a table of one seed and one cluster, without spread.
        sources, notes: what the table was made of, and what a reader should see; both stay with all that is computed
        from the estimate.

        Raises: EstimateError if a column is missing, the table is empty, a label is empty, a row comes twice
            under a seed or is absent under one.
        """
        _check_columns(table)
        index, order = _index(table)
        seeds, clusters, _ = index.codes
        shape = index.levshape[:2]
        values = table["value"].to_numpy(dtype=np.float64)[order]
        values = np.where(np.isfinite(values), values, np.nan)
        sums = np.zeros(shape)
        np.add.at(sums, (seeds, clusters), values)
        counts = np.bincount(clusters[seeds == 0])
        means, tripped = _means(sums, counts), _sorted_union(gates, _gates_of(values, shape))
        return Estimate(index, means, tripped, union(sources), union(notes))

    def noting(self, *notes: str, sources: Iterable[str] = ()) -> Estimate:
        """The same number with further lines below it, and with the keys of what these say."""
        return replace(self, sources=union(self.sources, sources), notes=union(self.notes, notes))

    @property
    def value(self) -> float:
        """The number as measured."""
        return float(self.numbers[0])

    @property
    def resampled(self) -> Floats:
        """The number on each of the RESAMPLES draws of seeds and clusters."""
        return self.numbers[1 : 1 + RESAMPLES]

    @property
    def by_seed(self) -> pd.Series:
        """The number computed from each seed's lines alone."""
        return pd.Series(self.numbers[1 + RESAMPLES :], index=self.index.levels[0], name="value")

    @property
    def n_seeds(self) -> int:
        """How many seeds were measured."""
        return len(self.numbers) - 1 - RESAMPLES

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
        """The standard deviation between seeds (n - 1); NaN with one seed, which shows none."""
        if self.n_seeds == 1:
            return math.nan
        with np.errstate(invalid="ignore", over="ignore"):
            return float(np.std(self.numbers[1 + RESAMPLES :], ddof=1))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The number plus and minus Student's t times the spread of its draws; NaN where the draws are.

        Percentiles of the draws would end at the lowest and the highest seed, and the range of 3 seeds covers
        the truth 75% of the time where 95% was asked for.

        Raises: EstimateError if the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise EstimateError(f"an interval at level {level} was asked for; expected a level between 0 and 1")
        with np.errstate(invalid="ignore", over="ignore"):
            spread = float(np.std(self.resampled))
        if not spread > 0:
            return self.value - spread, self.value + spread
        # The quantile of scipy.stats.t, whose import takes a second.
        half = float(stdtrit(self._degrees_of_freedom(spread), (1 + level) / 2)) * spread
        return self.value - half, self.value + half

    def _degrees_of_freedom(self, spread: float) -> float:
        """Satterthwaite's: those of seeds and clusters, weighed by their shares of the variance."""
        if 1 in (self.n_seeds, self.n_clusters):
            # The spread of one seed and one cluster is rounding, and 1 degree keeps it finite.
            return float(max(self.n_seeds - 1, self.n_clusters - 1, 1))
        # Shares of the variance, because its fourth powers leave the range of floats long before it does.
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
        """The ratio of means, never the mean of ratios; a denominator whose interval holds 0 trips a gate.

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
        return replace(self, numbers=-self.numbers)

    def __gt__(self, other: Estimate | Number) -> Hypothesis:
        """That this number lies above another; against a plain number the estimate itself is shown."""
        shown, threshold = _against(self, other)
        return Hypothesis((Part(shown, (self - other,), threshold, f"> {threshold:.6g}"),))

    def __lt__(self, other: Estimate | Number) -> Hypothesis:
        """That this number lies below another; against a plain number the estimate itself is shown."""
        shown, threshold = _against(self, other)
        return Hypothesis((Part(shown, (other - self,), threshold, f"< {threshold:.6g}"),))

    def approx(self, other: Estimate | Number, *, within: Estimate | Number) -> Hypothesis:
        """That the difference from another number is negligible."""
        return (self - other).is_negligible(within=within)

    def is_negligible(self, *, within: Estimate | Number) -> Hypothesis:
        """That this number lies inside (-within, within); an estimated margin that lies below 0 trips a gate.

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


@dataclass(frozen=True, eq=False)
class Part:
    """One comparison: it is true when every one of its sides is above 0."""

    shown: Estimate
    """What a reader sees: the difference of two estimates, or the estimate that a number is compared with."""
    sides: tuple[Estimate, ...]
    """One estimate for a one-sided comparison, two for a margin."""
    threshold: float | None
    """The number that `shown` is compared with; None if that is an estimate."""
    relation: str
    """The comparison in signs, such as `> 0`."""

    @property
    def gates(self) -> tuple[str, ...]:
        """The gates of everything compared."""
        return _sorted_union(*(estimate.gates for estimate in self.estimates))

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Everything compared, what is shown first."""
        return self.shown, *self.sides


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A statement about estimates that `ws.stats.verdict.judge` decides: that all of its parts are true."""

    parts: tuple[Part, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """The keys of everything that any part was computed from."""
        return union(*(estimate.sources for part in self.parts for estimate in part.estimates))

    @property
    def notes(self) -> tuple[str, ...]:
        """The lines of every part, each once."""
        return union(*(estimate.notes for part in self.parts for estimate in part.estimates))

    def __and__(self, other: Hypothesis) -> Hypothesis:
        """That both are true."""
        return Hypothesis(self.parts + other.parts) if isinstance(other, Hypothesis) else NotImplemented

    def __bool__(self) -> bool:
        """Raises: EstimateError, always: `and`, `a < b < c`, `max` or `assert` would lose a comparison."""
        relations = " & ".join(part.relation for part in self.parts)
        raise EstimateError(
            f"the hypothesis '{relations}' was used as true or false; join with & and decide with judge(...)"
        )


def _check_columns(table: pd.DataFrame) -> None:
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise EstimateError(f"the table has {list(table.columns)}, not {missing}; expected {list(COLUMNS)}")
    if table.empty:
        raise EstimateError("the table is empty; expected one line for each row under each seed")
    if not pd.api.types.is_numeric_dtype(table["value"]):
        raise EstimateError(f"the column value holds {table['value'].dtype}; expected numbers, so convert it")


def _index(table: pd.DataFrame) -> tuple[pd.MultiIndex, Ints]:
    """The (seed, cluster, row) of every line in sorted order, and the lines' positions in that order."""
    return _indexed(*(tuple(table[name]) for name in COLUMNS[:3]))


@lru_cache(maxsize=64)
def _indexed(*columns: tuple[Hashable, ...]) -> tuple[pd.MultiIndex, Ints]:
    """The same of three columns of labels; arms of one claim have equal ones."""
    named = zip(COLUMNS[:3], columns, strict=True)
    codes, labels = zip(*(_factorized(labels, name) for name, labels in named), strict=True)
    order = np.lexsort(codes[::-1])
    index = pd.MultiIndex(labels, [one[order] for one in codes], names=COLUMNS[:3])
    _check_lines(index, *(one[order] for one in codes))
    return index, order


def _factorized(column: tuple[Hashable, ...], name: str) -> tuple[Ints, pd.Index]:
    """Each line's position among the sorted labels of a column, and those labels."""
    codes, labels = pd.factorize(pd.Series(column, dtype=object), sort=True)
    if (codes < 0).any():
        raise EstimateError(f"{(codes < 0).sum()} lines have no {name}; expected a label in every line")
    return codes, labels.infer_objects()


def _check_lines(index: pd.MultiIndex, seeds: Ints, clusters: Ints, rows: Ints) -> None:
    n_seeds, _, n_rows = index.levshape
    repeated = np.ones(len(index), dtype=bool)
    repeated[np.unique(seeds * n_rows + rows, return_index=True)[1]] = False
    if repeated.any():
        raise EstimateError(
            f"{repeated.sum()} lines repeat a row under the same seed ({_examples(index[repeated])}); "
            "expected each row once under each seed, so give every row its own name"
        )
    _, place, measured = np.unique(clusters * n_rows + rows, return_inverse=True, return_counts=True)
    partly = measured[place] < n_seeds
    if partly.any():
        raise EstimateError(
            f"{partly.sum()} lines are of rows that lack one of {n_seeds} seeds or change their cluster "
            f"({_examples(index[partly])}); expected the same rows in the same clusters under every seed"
        )


def _examples(index: pd.MultiIndex) -> str:
    return f"(seed, cluster, row) such as {', '.join(map(str, index[:3]))}"


def _gates_of(values: Floats, shape: tuple[int, int]) -> tuple[str, ...]:
    broken = int(np.isnan(values).sum())
    nan = (f"NaN or infinite in {broken} of {len(values)} values",) if broken else ()
    few = ("too few rows: one seed and one cluster show no spread",) if shape == (1, 1) else ()
    return nan + few


@lru_cache(maxsize=4)
def _weights(n_seeds: int, n_clusters: int) -> tuple[Floats, Floats]:
    """How often each seed and each cluster counts: once each, then RESAMPLES draws, then each seed alone."""
    generator = np.random.default_rng(0)
    seeds = np.vstack([np.ones(n_seeds), _draws(generator, n_seeds), np.eye(n_seeds)])
    clusters = np.vstack([np.ones(n_clusters), _draws(generator, n_clusters), np.ones((n_seeds, n_clusters))])
    return seeds, clusters


def _draws(generator: np.random.Generator, n: int) -> Floats:
    """Counts of n - 1 draws out of n: their mean has variance s^2 / n, and n draws give (n - 1) / n of it.

    The only member of a set stays as it is.
    """
    if n == 1:
        return np.ones((RESAMPLES, 1))
    return generator.multinomial(n - 1, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)


def _means(sums: Floats, counts: Ints) -> Floats:
    """The mean under every reweighting, from the sum of each seed and cluster and each cluster's rows."""
    seeds, clusters = _weights(*sums.shape)
    return ((seeds @ sums) * clusters).sum(axis=1) / (seeds.sum(axis=1) * (clusters @ counts))


def _combined(
    function: Callable[[Floats, Floats | float], Floats], left: Estimate, right: Estimate | Number
) -> Estimate:
    """A function of two numbers, draw by draw."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if isinstance(right, Estimate):
            _check_same_rows(left.index, right.index)
            numbers, gates = function(left.numbers, right.numbers), _sorted_union(left.gates, right.gates)
            return Estimate(
                left.index, numbers, gates, union(left.sources, right.sources), union(left.notes, right.notes)
            )
        if not isinstance(right, Number) or not math.isfinite(right):
            raise EstimateError(f"an estimate met {right!r}; expected another estimate or a finite number")
        return replace(left, numbers=function(left.numbers, float(right)))


def _reversed_sub(left: Floats, right: Floats | float) -> Floats:
    return right - left


def _reversed_div(left: Floats, right: Floats | float) -> Floats:
    return right / left


def _check_same_rows(left: pd.MultiIndex, right: pd.MultiIndex) -> None:
    if left is right or left.equals(right):
        return
    only_left, only_right = left.difference(right, sort=False), right.difference(left, sort=False)
    if len(only_left) + len(only_right):
        examples = _examples(only_left.append(only_right))
        raise EstimateError(
            f"cannot combine these estimates: {len(only_left)} rows only left, {len(only_right)} only right "
            f"({examples}); score both arms on the same seeds and rows"
        )


def _denominator(estimate: Estimate) -> Estimate:
    low, high = estimate.interval()
    return _gated(estimate, "denominator near 0") if low <= 0 <= high else estimate


def _margin(estimate: Estimate) -> Estimate:
    _, high = estimate.interval()
    return _gated(estimate, "margin not above 0") if high <= 0 else estimate


def _gated(estimate: Estimate, gate: str) -> Estimate:
    low, high = estimate.interval()
    return replace(estimate, gates=_sorted_union(estimate.gates, (f"{gate} (interval [{low:.3g}, {high:.3g}])",)))


def _against(left: Estimate, right: Estimate | Number) -> tuple[Estimate, float]:
    """What to show for a comparison, and the number it is compared with."""
    return (left - right, 0.0) if isinstance(right, Estimate) else (left, float(right))


def union(*lines: Iterable[str]) -> tuple[str, ...]:
    """All of these, each once, in the order in which they first appear."""
    return tuple(dict.fromkeys(chain(*lines)))


def _sorted_union(*gates: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(union(*gates)))
