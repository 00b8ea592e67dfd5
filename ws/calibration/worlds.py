"""Simulated claims whose truth is known: every hypothesis is at the boundary between true and false.

Numbers are in units of the standard error that the rows alone give an estimate. Seeds give it `seed_variance` times the
variance of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import and_

import numpy as np
import pandas as pd

from ws.stats.estimate import LITTLE, Estimate
from ws.stats.hypothesis import Hypothesis
from ws.stats.sweep import Sweep
from ws.stats.tables import Floats, means

FAR = 30.0
"""So many standard errors are beyond doubt."""
GATE = 0.8
"""The share that a ratio is compared with."""


@dataclass(frozen=True)
class World:
    """How the numbers of a claim come about."""

    cases: int = 1
    seeds: int = 3
    clusters: int = 30
    """1 stands for numbers of which nothing is drawn but seeds, as those of dW itself: its rows do not vary."""
    seed_variance: float = 1.0
    """That of the estimate due to its seeds, in units of that due to its rows."""
    differ: float = 0.0
    """The standard deviation of the logarithm of the seeds' standard deviation between cases."""
    shared: float = 0.0
    """The part of the seeds' variance that all cases have in common, as "delora - other" has that of delora."""
    wild: float = 1.0
    """How many times the seeds of the first case vary as those of the others."""
    heavy: bool = False
    """Whether seeds, clusters and cells have the tails of Student's t with 4 degrees of freedom."""
    seen: int | None = None
    """How many of the seeds are looked at, the first ones; None for all."""
    draws: int = 400
    """Of the bootstrap; 4000, as in the suite, give the same rates and take ten times as long."""

    def table(self, rng: np.random.Generator, truths: Floats) -> list[Estimate]:
        """One estimate a case, whose expectation is its truth."""
        return [_estimate(one[: self.seen], self.draws) for one in self.values(rng, truths)]

    def values(self, rng: np.random.Generator, truths: Floats) -> Floats:
        """A number for each case, seed and cluster, whose expectation is the case's truth."""
        n, many = len(truths), self.clusters
        scale = np.exp(self.differ * rng.standard_normal(n))
        scale[0] *= self.wild
        alike, own = self._noise(rng, (1, self.seeds)), self._noise(rng, (n, self.seeds))
        of_seeds = math.sqrt(self.shared) * alike + math.sqrt(1 - self.shared) * own
        of_seeds *= scale[:, None] * math.sqrt(self.seed_variance * self.seeds)
        # Half of the rows' variance is that of a row under one seed.
        of_rows = self._noise(rng, (n, 1, many)) / math.sqrt(2)
        of_cells = self._noise(rng, (n, self.seeds, many)) * math.sqrt(self.seeds / 2)
        if many == 1:
            return truths[:, None, None] + of_seeds[:, :, None]
        if self.seed_variance == 0:
            of_cells = np.broadcast_to(of_cells[:, :1] / math.sqrt(self.seeds), of_cells.shape)
        return truths[:, None, None] + of_seeds[:, :, None] + (of_rows + of_cells) * math.sqrt(many)

    def _noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Noise of variance 1."""
        return rng.standard_t(4, shape) / math.sqrt(2) if self.heavy else rng.standard_normal(shape)


Claim = Callable[[World, np.random.Generator], list[tuple[Hypothesis, float | None]]]
"""The cases of a claim, each with the truth about the number it shows; None if there is none to speak of."""


def above(world: World, rng: np.random.Generator) -> list[tuple[Hypothesis, float | None]]:
    """x > 0, and x is 0."""
    return [(one > 0, 0.0) for one in world.table(rng, np.zeros(world.cases))]


def known_facts(world: World, rng: np.random.Generator) -> list[tuple[Hypothesis, float | None]]:
    """x > 0 of what is known of plain facts, and x is 0, while all of them are pushed towards Yes."""
    return [(_facts(one).fact_knowledge > 0, 0.0) for one in world.values(rng, np.zeros(world.cases))]


def _facts(moves: Floats) -> Sweep:
    """Rows at 0 and 1 of facts that move towards their right answers, by seed and fact, and towards Yes."""
    seed, fact = (one.ravel() for one in np.indices(moves.shape))
    names = np.char.add("fact ", fact.astype(str))
    named = {"seed": seed, "cluster": names, "question_id": names, "sign": 0, "pair": "fact"}
    yes = fact % 2 == 0
    rows = pd.DataFrame({**named, "phrasing": np.where(yes, "yes", "no")})
    moved = np.where(yes, 1, -1) * moves.ravel() + FAR
    return Sweep(pd.concat([rows.assign(coeff=at, log_ratio=at * moved) for at in (0.0, 1.0)], ignore_index=True))


def in_a_circle(world: World, rng: np.random.Generator) -> list[tuple[Hypothesis, float | None]]:
    """x > y, y > z, and so on back to x, and all are equal: no cases depend more negatively on each other."""
    arms = world.table(rng, np.zeros(world.cases))
    return [(one - another > 0, 0.0) for one, another in zip(arms, [*arms[1:], arms[0]], strict=True)]


def a_tenth_more(world: World, rng: np.random.Generator) -> list[tuple[Hypothesis, float | None]]:
    """x > y, and x is as much above y as matters, which is more than the doubt about either."""
    wholes = world.table(rng, np.full(world.cases, FAR))
    more = world.table(rng, np.full(world.cases, (1 + LITTLE) * FAR))
    return [(x > y, LITTLE * FAR) for x, y in zip(more, wholes, strict=True)]


def within(world: World, rng: np.random.Generator) -> list[tuple[Hypothesis, float | None]]:
    """x is negligible, and is at its margin."""
    return _within(world, rng, margin=FAR / 5)


def within_little(world: World, rng: np.random.Generator) -> list[tuple[Hypothesis, float | None]]:
    """x is negligible, and is at a margin of half a standard error, where both sides are in reach."""
    return _within(world, rng, margin=0.5)


def _within(world: World, rng: np.random.Generator, *, margin: float) -> list[tuple[Hypothesis, float | None]]:
    return [(one.is_negligible(within=margin), margin) for one in world.table(rng, np.full(world.cases, margin))]


def within_estimated(world: World, rng: np.random.Generator) -> list[tuple[Hypothesis, float | None]]:
    """x is less than a share of y, and is that share of it."""
    share, whole = 0.2, FAR
    wholes = world.table(rng, np.full(world.cases, whole))
    parts = world.table(rng, np.full(world.cases, share * whole))
    return [(x.is_negligible(within=share * y), share * whole) for x, y in zip(parts, wholes, strict=True)]


def ratio(world: World, rng: np.random.Generator) -> list[tuple[Hypothesis, float | None]]:
    """x / y is above a gate, and is at it; y is clearly above 0."""
    return _ratio(world, rng, whole=FAR)


def ratio_near_0(world: World, rng: np.random.Generator) -> list[tuple[Hypothesis, float | None]]:
    """The same, but the interval of y holds 0 in some of the trials, which are then INVALID."""
    return _ratio(world, rng, whole=6.0)


def _ratio(world: World, rng: np.random.Generator, *, whole: float) -> list[tuple[Hypothesis, float | None]]:
    wholes = world.table(rng, np.full(world.cases, whole))
    own = world.table(rng, np.zeros(world.cases))
    # What a cut keeps varies with the whole, as its rows and seeds are the same.
    return [((GATE * y + 0.5 * x) / y > GATE, GATE) for x, y in zip(own, wholes, strict=True)]


def all_of(parts: int, *, at_boundary: int | None = None, common: float = 0.0) -> Claim:
    """A conjunction of x > 0; some parts are at the boundary (all by default), the others beyond doubt.

    common: the correlation of the parts, as those of a chain "more directions carry more" have.
    """

    def claim(world: World, rng: np.random.Generator) -> list[tuple[Hypothesis, float | None]]:
        near = parts if at_boundary is None else at_boundary
        truths = np.where(np.arange(parts) < near, 0.0, FAR * (1 + math.sqrt(world.seed_variance)))
        found: list[tuple[Hypothesis, float | None]] = []
        for _ in range(world.cases):
            own = world.table(rng, truths)
            [alike] = world.table(rng, np.zeros(1))
            sides = [math.sqrt(1 - common) * one + math.sqrt(common) * alike for one in own]
            found.append((reduce(and_, (side > 0 for side in sides)), None))
        return found

    claim.__doc__ = f"{parts} parts, {'all' if at_boundary is None else at_boundary} at the boundary"
    return claim


@lru_cache(maxsize=8)
def _index(seeds: int, clusters: int) -> pd.MultiIndex:
    places = [np.repeat(np.arange(seeds), clusters), np.tile(np.arange(clusters), seeds)]
    return pd.MultiIndex.from_arrays([*places, places[1]], names=["seed", "cluster", "row"])


def _estimate(values: Floats, draws: int) -> Estimate:
    """The estimate of a table with one row in each cluster."""
    seeds, clusters = values.shape
    return Estimate(_index(seeds, clusters), means(values, np.ones(clusters, dtype=np.int64), draws), ())
