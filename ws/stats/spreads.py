"""How far an estimate may be off, in two parts: what varies between seeds, and the rest, which is that of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ws.stats.estimate import Estimate
from ws.stats.tables import Floats, weights

# Seeds that differ by less than this share of the number are one number, summed in another order.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Spread:
    """What the variance of one estimate is made of."""

    seeds: tuple[float, ...]
    """Each seed's deviation from their mean; empty if nothing varies between seeds, or there is one."""
    rest: float
    """The variance of the estimate beyond that between seeds."""
    clusters: int

    @property
    def of_a_seed(self) -> float:
        """The variance between seeds, n - 1; 0 if nothing varies."""
        return sum(one**2 for one in self.seeds) / (len(self.seeds) - 1) if self.seeds else 0.0

    @property
    def total(self) -> float:
        """The variance of the estimate."""
        return self.rest + (self.of_a_seed / len(self.seeds) if self.seeds else 0.0)


def spread_of(estimate: Estimate) -> Spread:
    """The variance between seeds, and that of rows beyond it.

    What rows do under one seed only is part of both, of the variance between seeds and of that between clusters, and
    the draws of both count it once more. So it is taken from the rows': the sum is unbiased for a mean.

    A ratio may vary more between single seeds than between the draws, which mix seeds. The draws have the last word:
    such deviations are scaled to them.
    """
    alone, drawn, of_clusters = estimate.each_seed, estimate.resampled, estimate.of_clusters
    size, n = float(np.abs(alone).max()), len(alone)
    if n == 1 or float(np.ptp(alone)) <= ROUNDING * size:
        return Spread((), _variance(of_clusters, estimate), estimate.n_clusters)
    of_seeds = _mixed(alone, estimate)
    scale = min(1.0, float(np.std(drawn)) / float(np.std(of_seeds)))
    deviations = scale * (alone - alone.mean())
    both = _variance(drawn - of_clusters - scale * of_seeds, estimate)
    rest = max(0.0, _variance(of_clusters, estimate) - both)
    return Spread(tuple(map(float, deviations)), rest, estimate.n_clusters)


def _mixed(alone: Floats, estimate: Estimate) -> Floats:
    """The mean of the seeds' own numbers on each draw of seeds."""
    seeds, _ = weights(estimate.n_seeds, estimate.n_clusters, len(estimate.resampled))
    drawn = seeds[1 : 1 + len(estimate.resampled)]
    return drawn @ (alone - alone.mean()) / drawn.sum(axis=1)


def _variance(drawn: Floats, estimate: Estimate) -> float:
    """The variance of draws, unless it is only that of rounding."""
    spread = float(np.std(drawn))
    return spread**2 if spread > ROUNDING * abs(estimate.value) else 0.0
