"""What one case says by itself, and what it tells the sibling cases that share its claim's error rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ws.stats.estimate import Estimate
from ws.stats.hypothesis import Hypothesis, Part
from ws.stats.moderated import Doubt, doubt
from ws.stats.spreads import Spread, spread_of

Spreads = tuple[tuple[Spread, ...], ...]
"""For each part of a hypothesis the spread of the number shown, then those of its sides; none if it is gated."""

FEWEST_SEEDS = 3
"""Two seeds cover the truth in 87 to 89% of cases where 95% are promised. One seed promises nothing about others."""


@dataclass(frozen=True)
class Sibling:
    """What a case tells the others of its claim; by default the least that it can: that it is one of them."""

    p_holds: float = 1.0
    """How probable numbers as much for the hypothesis are if it is false; 1 if it cannot be judged."""
    p_refuted: float = 1.0
    """How probable numbers as much against the hypothesis are if it is true."""
    spreads: Spreads = ()


@dataclass(frozen=True, eq=False)
class PartDoubt:
    """One part of a hypothesis with the doubt about its numbers."""

    part: Part
    shown: Doubt
    sides: tuple[Doubt, ...]
    refuting: tuple[Doubt, ...] = ()
    """Of what refutes in place of the sides."""

    @property
    def p_holds(self) -> float:
        """All sides must be above 0, so the p-value is the largest one."""
        return max(self._against)

    @property
    def p_refuted(self) -> float:
        """One side below 0 refutes. A margin has two, of which one at most is; its p-value is exact if it is a number:
        that of an estimate so far out, on either side, if the truth is at the margin.
        """
        for one, estimate in zip(self.refuting, self.part.refuting, strict=True):
            return below(one, estimate.value)
        worst = self.weakest
        others = (p for k, p in enumerate(self._against) if k != worst)
        return min(1.0, below(self.sides[worst], self.part.sides[worst].value) + sum(others))

    @property
    def leaning(self) -> tuple[Estimate, Doubt, bool]:
        """The number that would decide an open part first, its doubt, and whether it would hold then."""
        if self.refuting and self.p_refuted < self.p_holds:
            return self.part.refuting[0], self.refuting[0], False
        side = self.part.sides[self.weakest]
        return side, self.sides[self.weakest], side.value > 0

    @property
    def weakest(self) -> int:
        """The side that is least far above 0, for its doubt."""
        return self._against.index(self.p_holds)

    @property
    def _against(self) -> list[float]:
        return [one.above(side.value) for one, side in zip(self.sides, self.part.sides, strict=True)]


def below(one: Doubt, lead: float) -> float:
    """How probable a number this far below 0 is if the truth is not below; 0 for a number without doubt up to 0."""
    if not one.variances.any():
        return 1.0 if lead > 0 else 0.0
    return one.above(-lead)


def gates_of(part: Part) -> tuple[str, ...]:
    """Why a part cannot be judged: the gates of its estimates, or numbers out of range, or seeds that are too few."""
    if part.gates:
        return part.gates
    if not all(map(_is_finite, part.estimates)):
        return ("NaN or infinite in the value, its interval or its tolerance",)
    n = min(estimate.n_seeds for estimate in part.estimates)
    if not 1 < n < FEWEST_SEEDS or not any(spread_of(estimate).seeds for estimate in part.estimates):
        return ()
    return (f"{n} seeds; {FEWEST_SEEDS} or more are needed",)


def _is_finite(estimate: Estimate) -> bool:
    with np.errstate(invalid="ignore", over="ignore"):
        numbers = estimate.numbers.sum(), np.var(estimate.resampled), np.var(estimate.each_seed)
    return bool(np.isfinite(numbers).all())


def spreads_of(hypothesis: Hypothesis) -> Spreads:
    """The spreads of a hypothesis, by which its siblings learn what is usual."""
    return tuple(() if gates_of(part) else tuple(spread_of(one) for one in part.estimates) for part in hypothesis.parts)


def doubts(hypothesis: Hypothesis, spreads: Spreads, siblings: Sequence[Spreads]) -> list[PartDoubt | None]:
    """Each part with its doubt, learned position by position: the second side of a case from the second of the others.

    So near-copies within a case, such as a margin minus x and plus x, do not count as cases that agree.
    """
    return [
        _doubted(part, own, siblings, k) if own else None
        for k, (part, own) in enumerate(zip(hypothesis.parts, spreads, strict=True))
    ]


def _doubted(part: Part, own: tuple[Spread, ...], siblings: Sequence[Spreads], k: int) -> PartDoubt:
    known: dict[tuple[object, ...], Doubt] = {}

    def learned(place: int) -> Doubt:
        others = tuple(_same_place(siblings, k, place))
        # The number shown and a side often differ by a sign or a threshold only.
        key = _unsigned(own[place]), tuple(map(_unsigned, others))
        if key not in known:
            known[key] = doubt(own[place], others)
        return known[key]

    shown, *rest = map(learned, range(len(own)))
    return PartDoubt(part, shown, tuple(rest[: len(part.sides)]), tuple(rest[len(part.sides) :]))


def _unsigned(spread: Spread) -> Spread:
    negative = bool(spread.seeds) and spread.seeds[0] < 0
    return Spread(tuple(-one for one in spread.seeds), spread.rest, spread.clusters) if negative else spread


def _same_place(siblings: Sequence[Spreads], part: int, place: int) -> Iterator[Spread]:
    for spreads in siblings:
        if len(spreads) > part and len(spreads[part]) > place:
            yield spreads[part][place]


def p_values(found: Sequence[PartDoubt | None]) -> tuple[float, float]:
    """How probable numbers like a case's are if its hypothesis is false, and if it is true; 1 if a part is gated.

    All parts must hold, so the largest p-value counts. One part that fails refutes, so that the smallest counts, and
    is multiplied by the number of parts: each had its chance.
    """
    parts = [one for one in found if one is not None]
    if len(parts) < len(found):
        return 1.0, 1.0
    return max(one.p_holds for one in parts), min(1.0, len(parts) * min(one.p_refuted for one in parts))


def tell(hypothesis: Hypothesis, siblings: Sequence[Spreads] = ()) -> Sibling:
    """What a case tells the others, given their spreads."""
    spreads = spreads_of(hypothesis)
    return Sibling(*p_values(doubts(hypothesis, spreads, siblings)), spreads)


def told(hypotheses: Sequence[Hypothesis | None]) -> list[Sibling]:
    """What the cases of a claim tell each other; a case without a hypothesis only that it is one of them."""
    spreads = [() if one is None else spreads_of(one) for one in hypotheses]
    return [
        Sibling() if one is None else tell(one, [*spreads[:k], *spreads[k + 1 :]]) for k, one in enumerate(hypotheses)
    ]
