"""Doubt about one estimate when its seeds are few: their variance is learned from the sibling cases of its claim too.

The standard deviation between seeds of a case is taken to be log-normal around that of its siblings, as in Smyth's
moderated t. How far siblings differ is not fixed by moments but averaged over, by numerical integration: with 3 to 14
siblings of 3 seeds each, the moments are too uncertain, and a single wild sibling widens what is thought of as usual
instead of being shrunk away (the aim of Phipson et al.).

Siblings share arms (every case "delora - other" holds the seeds of delora), so their variances agree more than
independent ones would. Their evidence is discounted to that of an effective number of cases, from how far their
seeds' deviations point the same way.

The variance of seeds and that of rows are averaged over apart (Behrens and Fisher). Satterthwaite's one number of
degrees of freedom decides too often where it matters, in the tails that many cases need: when the seeds happen to
agree, it takes the variance for that of many rows.

Source: Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression"; Phipson et al.
2016, "Robust hyperparameter estimation protects against hypervariable genes"; Srivastava 2005, "Some tests concerning
the covariance matrix in high dimensional data" (unbiased squares of correlations).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from ws.errors import EstimateError
from ws.stats.spreads import Spread
from ws.stats.tables import Floats

HETEROGENEITY = (0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Standard deviations of the logarithm of the seeds' standard deviation between siblings, each as likely as the others.
Families differ by at least a third (0.3); at 2 siblings say nothing about each other."""
LEAST_CORRELATION = 0.05
"""The squared correlation that siblings' seeds have at least: with 3 seeds it cannot be estimated closely."""
ENOUGH = 3
"""With fewer cases there is no telling what is usual among them."""
STEP, BELOW, ABOVE, FAR = 0.2, 5.0, 9.0, 5.0
"""The grid of the logarithm of the seeds' standard deviation, around the case's own. A case with 3 seeds may well have
measured a hundredth of it. Siblings count as no further away than FAR."""
TINY = 1e-300
NORMAL = 1e9
"""Degrees of freedom with which Student's t is a normal distribution."""


@dataclass(frozen=True, eq=False)
class Doubt:
    """The distribution of an estimate's error: a mixture of Student's t over what its variance may be."""

    variances: Floats
    """What the variance of the estimate may be."""
    weights: Floats
    """How likely each is."""
    freedom: Floats
    """The degrees of freedom of each, which are those of rows."""

    def above(self, lead: float) -> float:
        """The probability that an error exceeds `lead`: the p-value of a number that is `lead` above 0."""
        if not self.variances.any():
            return 0.0 if lead > 0 else 1.0
        return float(self.weights @ stdtr(self.freedom, -lead / np.sqrt(self.variances)))

    def quantile(self, p: float) -> float:
        """The lead that errors exceed with probability `p`, which is below 1/2.

        Raises: EstimateError if `p` is not between 0 and 1/2.
        """
        if not 0 < p < 0.5:
            raise EstimateError(f"an error exceeded with probability {p} was asked for; expected one between 0 and 1/2")
        if not self.variances.any():
            return 0.0
        low, high = 0.0, math.sqrt(float(self.weights @ self.variances))
        while self.above(high) > p:
            low, high = high, 2 * high
        return _root(lambda lead: math.log(max(self.above(lead), TINY) / p), low, high)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function is 0 between two places, by the false position of the Illinois algorithm."""
    at_low, at_high = function(low), function(high)
    while high - low > 1e-9 * high:
        between = (low * at_high - high * at_low) / (at_high - at_low)
        found = function(between)
        if abs(found) < 1e-10:
            return between
        if found > 0:
            low, at_low, at_high = between, found, at_high / 2
        else:
            high, at_high, at_low = between, found, at_low / 2
    return high


def doubt(own: Spread, siblings: Sequence[Spread] = ()) -> Doubt:
    """The error of an estimate, whose siblings are the same estimate in the other cases."""
    row_freedom = max(own.clusters - 1, 1)
    if not own.seeds:
        return Doubt(np.array([own.rest]), np.ones(1), np.array([float(row_freedom)]))
    nodes, weights = seeds_variance(own, [one for one in siblings if one.seeds])
    variances = nodes / len(own.seeds) + own.rest
    share = own.rest / variances
    freedom = row_freedom / np.maximum(share**2, row_freedom / NORMAL)
    return Doubt(variances, weights, freedom)


def seeds_variance(own: Spread, siblings: Sequence[Spread]) -> tuple[Floats, Floats]:
    """What the variance between seeds may be, and how likely each is given those measured in this case and siblings."""
    middle, freedom = math.log(own.of_a_seed) / 2, len(own.seeds) - 1
    step = min(STEP, 1 / math.sqrt(freedom))
    nodes = np.arange(-BELOW, ABOVE, step)
    measured = _likelihood(0.0, freedom, nodes)
    if len(siblings) + 1 >= ENOUGH:
        measured = measured * _usual(own, siblings, nodes, middle)
    return np.exp(2 * (middle + nodes)), measured / measured.sum()


def _usual(own: Spread, siblings: Sequence[Spread], nodes: Floats, middle: float) -> Floats:
    """How likely siblings make each standard deviation of the seeds of another case, up to a factor."""
    usual = np.repeat(nodes[::2], len(HETEROGENEITY)), np.tile(HETEROGENEITY, len(nodes[::2]))
    among = np.exp(-0.5 * ((nodes[:, None] - usual[0]) / usual[1]) ** 2)
    among /= among.sum(axis=0)
    measured = np.stack([_likelihood(_away(one, middle), len(one.seeds) - 1, nodes) for one in siblings])
    evidence = np.log(np.maximum(measured @ among, 1e-300)).sum(axis=0)
    evidence *= (effective([own, *siblings]) - 1) / len(siblings)
    return among @ np.exp(evidence - evidence.max())


def _away(sibling: Spread, middle: float) -> float:
    return float(np.clip(math.log(sibling.of_a_seed) / 2 - middle, -FAR, FAR))


def _likelihood(measured: float, freedom: int, nodes: Floats) -> Floats:
    """The likelihood of a measured standard deviation (its logarithm) at those that it may have; 1 where they agree."""
    log_ratio = measured - nodes
    return np.exp(freedom * (log_ratio + 0.5 - 0.5 * np.exp(2 * log_ratio)))


def effective(cases: Sequence[Spread]) -> float:
    """The number of independent cases that say as much about the seeds' variance as these, which may share seeds.

    Cases with other numbers of seeds are taken for independent of each other.
    """
    n = len(cases)
    squares = [_squared_correlation(a, b) for k, a in enumerate(cases) for b in cases[:k]]
    mean = float(np.clip(np.mean(squares), 0.0, 1.0))
    mean = mean + (1 - mean) * LEAST_CORRELATION
    return n / (1 + (n - 1) * mean)


def _squared_correlation(a: Spread, b: Spread) -> float:
    """The square of the correlation of two cases' seeds, which is 0 on average if there is none."""
    if len(a.seeds) != len(b.seeds):
        return 0.0
    freedom = len(a.seeds) - 1
    if freedom < 2:
        return 1.0
    x, y = np.asarray(a.seeds), np.asarray(b.seeds)
    cosine = float(x @ y) ** 2 / float((x @ x) * (y @ y))
    return (freedom * cosine - 1) / (freedom - 1)
