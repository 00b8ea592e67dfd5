"""How often simulated claims are decided wrongly, and intervals miss the truth."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
from scipy.special import bdtrc

from ws.calibration.scenarios import Scenario, scenarios
from ws.stats.hypothesis import Hypothesis
from ws.stats.looks import until_decided
from ws.stats.verdict import ERROR, Outcome, Verdict, judge_together

COVERAGE = 0.93, 0.97
"""What an interval at 95% may cover; a conservative one may cover more."""
CHANCE = 1e-3
"""How improbable a rate must be, if the rules are right, to count as a failure: dozens of rates are looked at."""
BATCH = 50

Judged = tuple[Verdict, float | None]
"""A verdict, and the truth about the number that it shows; None if there is none to speak of."""


@dataclass(frozen=True)
class Counts:
    """What became of the trials of a scenario."""

    trials: int
    held: int
    """Trials in which any case held, though none is true; unless the scenario says that they may."""
    refuted: int
    """Trials in which any case was refuted, though none is false."""
    intervals: int
    covered: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self._all, other._all, strict=True)))

    @property
    def _all(self) -> tuple[int, ...]:
        return self.trials, self.held, self.refuted, self.intervals, self.covered

    @property
    def coverage(self) -> float:
        """The share of intervals that hold the truth; NaN if no truth is known."""
        return self.covered / self.intervals if self.intervals else math.nan


def counts(scenario: Scenario, *, trials: int, seed: int = 0) -> Counts:
    """The counts of some trials, which a seed settles."""
    rng = np.random.default_rng(seed)
    found = Counts(0, 0, 0, 0, 0)
    for _ in range(trials):
        judged = _until_decided(scenario, rng) if scenario.until_decided else _judged(scenario, rng)
        outcomes = {verdict.outcome for verdict, _ in judged}
        known = [
            verdict.low <= truth <= verdict.high
            for verdict, truth in judged
            if truth is not None and verdict.outcome is not Outcome.INVALID
        ]
        found += Counts(1, Outcome.HOLDS in outcomes, Outcome.REFUTED in outcomes, len(known), sum(known))
    return found


def _judged(scenario: Scenario, rng: np.random.Generator) -> list[Judged]:
    cases = scenario.claim(scenario.world, rng)
    verdicts = judge_together([hypothesis for hypothesis, _ in cases])
    return [(verdict, truth) for verdict, (_, truth) in zip(verdicts, cases, strict=True)]


def _until_decided(scenario: Scenario, rng: np.random.Generator) -> list[Judged]:
    """The verdicts of a claim whose looks see the same seeds, each more of them."""
    world, start = scenario.world, int(rng.integers(2**63))

    def cases(seen: int) -> list[tuple[Hypothesis, float | None]]:
        return scenario.claim(replace(world, seen=seen), np.random.default_rng(start))

    def ask(seeds: int, places: Sequence[int]) -> list[Hypothesis]:
        known = cases(seeds)
        return [known[k][0] for k in places]

    verdicts = until_decided(ask, cases=world.cases, most=world.seeds)
    truths = [truth for _, truth in cases(world.seeds)]
    return [(verdict, truth) for verdict, truth in zip(verdicts, truths, strict=True) if verdict is not None]


def all_counts(chosen: Sequence[Scenario], *, trials: int) -> Iterator[tuple[Scenario, Counts]]:
    """The counts of scenarios, computed by all cores; the same whatever their number."""
    batches = range(math.ceil(trials / BATCH))
    # A fork could hang on what a library's thread held.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        asked = [[pool.submit(_batch, scenario.name, batch) for batch in batches] for scenario in chosen]
        for scenario, parts in zip(chosen, asked, strict=True):
            yield scenario, sum((part.result() for part in parts), start=Counts(0, 0, 0, 0, 0))


def _batch(name: str, seed: int) -> Counts:
    """Some trials of a scenario, which another process knows by name."""
    [scenario] = [one for one in scenarios() if one.name == name]
    return counts(scenario, trials=BATCH, seed=seed)


def failures(scenario: Scenario, found: Counts) -> list[str]:
    """What a scenario's rates break, in words; a rate that chance explains breaks nothing."""
    low, high = COVERAGE
    said = []
    held = 0 if scenario.may_hold else found.held
    for what, n in (("false HOLDS", held), ("false REFUTED", found.refuted)):
        if _too_many(n, found.trials, ERROR):
            said.append(f"{what} in {n / found.trials:.1%} of {found.trials} claims, above {ERROR:.0%}")
    # The intervals of a claim are not independent, so they count as one each.
    covered, missed = found.coverage * found.trials, (1 - found.coverage) * found.trials
    if found.intervals and _too_many(math.floor(missed), found.trials, 1 - low):
        said.append(f"intervals cover {found.coverage:.1%}, below {low:.0%}")
    if found.intervals and not scenario.conservative and _too_many(math.floor(covered), found.trials, high):
        said.append(f"intervals cover {found.coverage:.1%}, above {high:.0%}, and are not said to be conservative")
    return said


def _too_many(n: int, trials: int, rate: float) -> bool:
    """Whether a rate this high or higher is improbable if the true one is `rate`."""
    return n > rate * trials and float(bdtrc(n - 1, trials, rate)) < CHANCE
