"""What an open case could have seen, and what would decide it."""

from __future__ import annotations

import math

from scipy.special import stdtrit

from ws.stats.moderated import Doubt
from ws.stats.spreads import Spread

POWER = 0.8
"""The share of equal experiments that should tell."""
MOST_SEEDS = 50
"""Beyond this many seeds nobody trains more."""


def smallest_effect(one: Doubt, error: float) -> float:
    """How far above 0 a number has to be to be told from nothing in POWER of equal experiments, at an error rate."""
    return one.quantile(error) + one.quantile(1 - POWER)


def needed(lead: float, one: Doubt, spread: Spread, error: float) -> str:
    """What would tell a number of this size from nothing in POWER of equal experiments, in words.

    That is a number of seeds, or more rows if with any number of seeds the rows leave too much doubt.
    """
    if not spread.seeds or _is_lost(lead, spread.rest, max(spread.clusters - 1.0, 1.0), error):
        return "more rows, not seeds"
    seeds = next((n for n in range(len(spread.seeds) + 1, MOST_SEEDS + 1) if _tells(lead, one, spread, error, n)), None)
    return f"{seeds} seeds" if seeds else f"more than {MOST_SEEDS} seeds"


def _tells(lead: float, one: Doubt, spread: Spread, error: float, n: int) -> bool:
    """Whether `n` seeds would; the variance between seeds is taken for the middle of what it may be."""
    between = _of_a_seed(one, spread) / n
    variance = between + spread.rest
    freedom = variance**2 / (between**2 / (n - 1) + spread.rest**2 / max(spread.clusters - 1, 1))
    return not _is_lost(lead, variance, freedom, error)


def _is_lost(lead: float, variance: float, freedom: float, error: float) -> bool:
    quantiles = stdtrit(freedom, 1 - error) + stdtrit(freedom, POWER)
    return abs(lead) < float(quantiles) * math.sqrt(variance)


def _of_a_seed(one: Doubt, spread: Spread) -> float:
    middle = int(one.weights.cumsum().searchsorted(0.5))
    return max(0.0, float(one.variances[middle]) - spread.rest) * len(spread.seeds)
