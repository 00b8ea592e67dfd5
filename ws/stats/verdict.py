"""Decisions: whether a hypothesis about estimates holds, is refuted, stays open or cannot be judged."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from ws.errors import EstimateError
from ws.stats.estimate import LEVEL, Estimate
from ws.stats.hypothesis import Hypothesis, Part

# How far the arithmetic of another machine may move a mean log-ratio, in nats.
ARITHMETIC_NOISE = 1e-3


class Outcome(StrEnum):
    """What the data say about a hypothesis."""

    HOLDS = "HOLDS"
    REFUTED = "REFUTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"


STRONGEST_FIRST = (Outcome.HOLDS, Outcome.INCONCLUSIVE, Outcome.REFUTED, Outcome.INVALID)
WHY = {
    Outcome.HOLDS: "",
    Outcome.REFUTED: ", the whole interval says otherwise",
    Outcome.INCONCLUSIVE: ", the interval lies on both sides",
    Outcome.INVALID: ", because of ",
}


@dataclass(frozen=True)
class Verdict:
    """An outcome with the numbers that led to it; if there are several parts, the numbers of the weakest one."""

    outcome: Outcome
    value: float
    low: float
    high: float
    threshold: float | None
    """The number that `value` is compared with (for a margin, the margin); None if it was estimated."""
    relation: str
    n_rows: int
    n_clusters: int
    n_seeds: int
    tolerance: float
    """How far `value` may move between two recordings before it counts as a different number."""
    gates: tuple[str, ...]
    tolerance_from: str
    level: float = LEVEL
    """The level of the interval, raised for the number of cases judged together."""
    part: str = ""
    """Which of several parts is shown, such as `part 2 of 3`; empty if there is one."""
    sources: tuple[str, ...] = ()
    """The store's keys of everything that any part was computed from."""
    notes: tuple[str, ...] = ()
    """Lines that a reader should see below the numbers."""

    @property
    def sentence(self) -> str:
        """The verdict in words, with the gates if it is INVALID."""
        part = f" ({self.part}, the weakest)" if self.part else ""
        numbers = f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}] {self.relation}"
        sizes = (self.n_seeds, "seed"), (self.n_clusters, "cluster"), (self.n_rows, "row")
        size = ", ".join(f"{n} {noun}" if n == 1 else f"{n} {noun}s" for n, noun in sizes)
        why = WHY[self.outcome] + "; ".join(self.gates)
        return f"{numbers}{part}: {self.outcome}{why} ({100 * self.level:.4g}% interval; {size})"

    def to_record(self) -> dict[str, object]:
        """The outcome and its numbers as plain values for JSON, to 6 significant digits; NaN stays NaN."""
        return {
            "outcome": str(self.outcome),
            "value": _rounded(self.value),
            "low": _rounded(self.low),
            "high": _rounded(self.high),
            "level": _rounded(self.level),
            "threshold": None if self.threshold is None else _rounded(self.threshold),
            "relation": self.relation,
            "part": self.part,
            "tolerance": _rounded(self.tolerance),
            "tolerance_from": self.tolerance_from,
            "n_rows": self.n_rows,
            "n_clusters": self.n_clusters,
            "n_seeds": self.n_seeds,
            "gates": list(self.gates),
        }


def judge(hypothesis: Hypothesis, *, level: float = LEVEL, cases: int = 1) -> Verdict:
    """The verdict on a hypothesis that is one of several cases, which share one error rate (Bonferroni).

    The caller says how many cases share an error rate; for claims, those of one test, model, measure and footing do.

    The parts of a conjunction need no correction: all of them must hold, so each is judged at the full level.

    Raises: EstimateError if there is not at least one case, or if the level is not between 0 and 1.
    """
    if cases < 1:
        raise EstimateError(f"{cases} cases of a claim were given; expected at least 1")
    shared = 1 - (1 - level) / cases
    verdicts = [_of_part(part, shared) for part in hypothesis.parts]
    shown = max(range(len(verdicts)), key=lambda k: _weakness(verdicts[k], hypothesis.parts[k]))
    return replace(_with_all_gates(verdicts, shown), sources=hypothesis.sources, notes=hypothesis.notes)


def _of_part(part: Part, level: float) -> Verdict:
    shown = part.shown
    low, high = shown.interval(level)
    tolerance, tolerance_from = _tolerance(shown, (high - low) / 2)
    gates = part.gates or _gates_of((shown.value, low, high, tolerance))
    return Verdict(
        outcome=Outcome.INVALID if gates else _outcome([side.interval(level) for side in part.sides]),
        value=shown.value,
        low=low,
        high=high,
        threshold=part.threshold,
        relation=part.relation,
        n_rows=shown.n_rows,
        n_clusters=shown.n_clusters,
        n_seeds=shown.n_seeds,
        tolerance=tolerance,
        gates=gates,
        tolerance_from=tolerance_from,
        level=level,
    )


def _outcome(sides: list[tuple[float, float]]) -> Outcome:
    """The outcome for intervals of numbers that should all be above 0; an interval that ends at 0 refutes."""
    if any(high <= 0 for _, high in sides):
        return Outcome.REFUTED
    return Outcome.HOLDS if all(low > 0 for low, _ in sides) else Outcome.INCONCLUSIVE


def _tolerance(shown: Estimate, half_width: float) -> tuple[float, str]:
    """Two standard errors of the mean over seeds (the interval's half width for one seed), plus arithmetic noise."""
    if shown.n_seeds == 1:
        # The noise matters if all clusters agree, since the interval is then a point.
        return half_width + ARITHMETIC_NOISE, "interval half width (one seed)"
    tolerance = 2 * shown.seed_sd / math.sqrt(shown.n_seeds) + ARITHMETIC_NOISE
    return tolerance, f"spread over {shown.n_seeds} seeds"


def _gates_of(numbers: tuple[float, ...]) -> tuple[str, ...]:
    broken = not all(map(math.isfinite, numbers))
    return ("NaN or infinite in the value, its interval or its tolerance",) if broken else ()


def _weakness(verdict: Verdict, part: Part) -> tuple[int, float]:
    """A sort key: larger for a worse outcome, then for a part whose sides are less far above 0."""
    lead = min(_lead(*side.interval(verdict.level)) for side in part.sides)
    return STRONGEST_FIRST.index(verdict.outcome), -lead


def _lead(low: float, high: float) -> float:
    """How far above 0 the middle of an interval is, in half widths: above 1 holds, -1 or below refutes."""
    middle, half = (low + high) / 2, (high - low) / 2
    if half > 0:
        return middle / half
    return math.inf if middle > 0 else -math.inf


def _with_all_gates(verdicts: list[Verdict], shown: int) -> Verdict:
    if len(verdicts) == 1:
        return verdicts[0]
    gates = tuple(sorted({gate for verdict in verdicts for gate in verdict.gates}))
    return replace(verdicts[shown], gates=gates, part=f"part {shown + 1} of {len(verdicts)}")


def _rounded(number: float) -> float:
    # Adding 0 turns -0.0 into 0.0, so that the number has one spelling.
    return float(f"{number:.6g}") + 0.0
