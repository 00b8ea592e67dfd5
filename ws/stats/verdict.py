"""Decisions: whether a hypothesis about estimates holds, is refuted, stays open or cannot be judged.

Source: Berger 1982, "Multiparameter hypothesis testing and acceptance sampling" (a conjunction needs no correction).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from ws.errors import EstimateError
from ws.stats.cases import PartDoubt, Sibling, Spreads, doubts, gates_of, p_values, spreads_of, told
from ws.stats.estimate import LEVEL
from ws.stats.hommel import adjusted, allowed
from ws.stats.hypothesis import Hypothesis, Part
from ws.stats.lines import in_order
from ws.stats.noise import Leaf
from ws.stats.power import needed, smallest_effect
from ws.stats.spreads import spread_of

ARITHMETIC = 1e-3
"""Nats that the arithmetic of another machine may move a mean by where seeds happen to agree."""

ERROR = 0.05
"""How often a claim may hold in any of its cases although none is true; and, apart, be refuted although all are."""


class Outcome(StrEnum):
    """What the data say about a hypothesis."""

    HOLDS = "HOLDS"
    REFUTED = "REFUTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"


@dataclass(frozen=True)
class Verdict:
    """An outcome with the numbers that led to it; if there are several parts, the numbers of the deciding one."""

    outcome: Outcome
    value: float
    low: float
    high: float
    threshold: float | None
    """The number that `value` is compared with (for a margin, the margin); None if it was estimated."""
    relation: str
    matters: float | None
    """The smallest difference of two estimates that matters: one that is surely less is refuted. None if that is 0."""
    n_rows: int
    n_clusters: int
    n_seeds: int
    tolerance: float
    """How far `value` may move between two recordings before it counts as a different number."""
    gates: tuple[str, ...]
    tolerance_from: str
    noise: float = 0.0
    """How far the arithmetic of another machine may move `value`."""
    level: float = LEVEL
    """The level of the interval, which is that of this case alone."""
    part: str = ""
    """Which of several parts is shown, such as `part 2 of 3`; empty if there is one."""
    p_holds: float = 1.0
    """How probable numbers as much for the hypothesis are if it is false, before other cases are considered."""
    p_refuted: float = 1.0
    """How probable numbers as much against the hypothesis are if it is true, before other cases are considered."""
    cases: int = 1
    """How many cases share the error rate, this one included."""
    rows_alone: bool = False
    """Whether nothing varies between seeds, so that the interval knows other rows, and no other training."""
    smallest: float | None = None
    """For an open case: how far beyond its threshold a number must be to be told from nothing, 4 times out of 5."""
    needs: str = ""
    """For an open case: what would decide it if the number stayed, such as `9 seeds`."""
    spreads: Spreads = ()
    """What the sibling cases of the claim need of this one."""
    leaves: tuple[Leaf, ...] = ()
    """The means of all tables that any part was computed from, each with how far another machine may move it."""
    sources: tuple[str, ...] = ()
    """The store's keys of everything that any part was computed from."""
    notes: tuple[str, ...] = ()
    """Lines that a reader should see below the numbers."""

    @property
    def sentence(self) -> str:
        """The verdict in words, with the gates if it is INVALID."""
        part = f" ({self.part}, the deciding one)" if self.part else ""
        numbers = f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}] {in_full(self)}"
        sizes = (self.n_seeds, "seed"), (self.n_clusters, "cluster"), (self.n_rows, "row")
        size = ", ".join(f"{n} {noun}" if n == 1 else f"{n} {noun}s" for n, noun in sizes)
        among = f"; one of {self.cases} cases" if self.cases > 1 else ""
        return f"{numbers}{part}: {self.outcome}{self._why} ({100 * self.level:.4g}% interval{among}; {size})"

    @property
    def _why(self) -> str:
        if self.outcome is Outcome.INVALID:
            return f", because of {'; '.join(self.gates)}"
        knows = [] if not self.rows_alone else [RULE_OF_ONE if self.n_seeds == 1 else RULE_OF_ROWS]
        return "".join(f", {words}" for words in [*self._open, *one_sided(self), *knows])

    @property
    def _open(self) -> list[str]:
        if self.outcome is not Outcome.INCONCLUSIVE or self.smallest is None:
            return []
        return [could_have_told(self.smallest, self.needs)]

    def to_record(self) -> dict[str, object]:
        """The outcome and its numbers as plain values for JSON, to 6 significant digits; NaN stays NaN."""
        return {
            "outcome": str(self.outcome),
            "value": rounded(self.value),
            "low": rounded(self.low),
            "high": rounded(self.high),
            "level": rounded(self.level),
            "threshold": None if self.threshold is None else rounded(self.threshold),
            "relation": self.relation,
            "matters": None if self.matters is None else rounded(self.matters),
            "part": self.part,
            "tolerance": rounded(self.tolerance),
            "tolerance_from": self.tolerance_from,
            "noise": rounded(self.noise),
            "n_rows": self.n_rows,
            "n_clusters": self.n_clusters,
            "n_seeds": self.n_seeds,
            "gates": list(self.gates),
            "p_holds": rounded(self.p_holds),
            "p_refuted": rounded(self.p_refuted),
            "cases": self.cases,
            "rows_alone": self.rows_alone,
            "smallest": None if self.smallest is None else rounded(self.smallest),
            "needs": self.needs,
            "leaves": [[rounded(mean), rounded(noise)] for mean, noise in self.leaves],
            "spreads": [[_plain(asdict(one)) for one in part] for part in self.spreads],
        }


RULE_OF_ONE = "of this one training"
RULE_OF_ROWS = "knowing other rows alone, as nothing varies between seeds"


def could_have_told(smallest: float, needs: str) -> str:
    """What an open case could have seen, and what would decide it, in words."""
    return f"could tell {smallest:.2g} from nothing; {needs} would decide this"


@runtime_checkable
class Decided(Protocol):
    """What a verdict and the record of one have in common."""

    @property
    def outcome(self) -> str: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def relation(self) -> str: ...
    @property
    def matters(self) -> float | None: ...
    @property
    def p_holds(self) -> float: ...
    @property
    def p_refuted(self) -> float: ...


def in_full(case: Decided) -> str:
    """The comparison in signs, with the smallest difference that matters."""
    return case.relation if case.matters is None else f"{case.relation} ({case.matters:.2g} matters)"


def one_sided(case: Decided) -> list[str]:
    """What a reader must know of a decided case whose interval reaches the bound: it was decided from one side."""
    bound = case.threshold
    if case.outcome == Outcome.REFUTED and bound is not None and case.matters is not None:
        bound += case.matters if case.relation.startswith(">") else -case.matters
    p = {Outcome.HOLDS: case.p_holds, Outcome.REFUTED: case.p_refuted}.get(Outcome(case.outcome))
    if p is None or bound is None or case.low is None or case.high is None or not case.low <= bound <= case.high:
        return []
    return [f"one-sided p = {p:.2g}; the interval has two sides"]


def judge(
    hypothesis: Hypothesis, *, siblings: Sequence[Sibling] = (), error: float = ERROR, level: float = LEVEL
) -> Verdict:
    """The verdict on a hypothesis that is one of several cases, which share one error rate (Hommel).

    `siblings` are the other cases, for claims those of one test, model, measure and footing; `ws.stats.cases.told` says
    what they have to tell. From them the case learns how far seeds usually vary. It holds if the p-value of all its
    parts, adjusted for all cases, is at most `error`; and is refuted, apart, if that of any part is.

    Raises: EstimateError if `error` or `level` is not between 0 and 1.
    """
    for name, asked in (("an error rate", error), ("a level", level)):
        if not 0 < asked < 1:
            raise EstimateError(f"{name} of {asked} was asked for; expected {name} between 0 and 1")
    spreads = spreads_of(hypothesis)
    found = doubts(hypothesis, spreads, [one.spreads for one in siblings])
    parts = [_of_part(part, one, level) for part, one in zip(hypothesis.parts, found, strict=True)]
    gates = in_order(*(part.gates for part in parts))
    p_holds, p_refuted = (1.0, 1.0) if gates else p_values(found)
    outcome = Outcome.INVALID if gates else _outcome(p_holds, p_refuted, siblings, error)
    shown = _deciding(outcome, parts, found)
    verdict = replace(
        parts[shown],
        outcome=outcome,
        gates=gates,
        part=f"part {shown + 1} of {len(parts)}" if len(parts) > 1 else "",
        p_holds=p_holds,
        p_refuted=p_refuted,
        cases=len(siblings) + 1,
        spreads=() if gates else spreads,
        leaves=hypothesis.leaves,
        sources=hypothesis.sources,
        notes=hypothesis.notes,
    )
    decider = found[shown]
    if outcome is not Outcome.INCONCLUSIVE or decider is None:
        return verdict
    return _with_power(verdict, decider, siblings, error, parts=len(parts))


def judge_together(hypotheses: Sequence[Hypothesis], *, error: float = ERROR, level: float = LEVEL) -> list[Verdict]:
    """The verdicts on all cases of one claim, which share one error rate and what they know of seeds."""
    siblings = told(hypotheses)
    return [
        judge(one, siblings=[*siblings[:k], *siblings[k + 1 :]], error=error, level=level)
        for k, one in enumerate(hypotheses)
    ]


def _of_part(part: Part, doubt: PartDoubt | None, level: float) -> Verdict:
    """The numbers of one part, not yet judged."""
    shown = part.shown
    if doubt is None:
        low, high = shown.interval(level)
    else:
        half = doubt.shown.quantile((1 - level) / 2)
        low, high = shown.value - half, shown.value + half
    tolerance, tolerance_from = _tolerance(part, (high - low) / 2)
    return Verdict(
        outcome=Outcome.INVALID,
        value=shown.value,
        low=low,
        high=high,
        threshold=part.threshold,
        relation=part.relation,
        matters=part.matters,
        n_rows=shown.n_rows,
        n_clusters=shown.n_clusters,
        n_seeds=shown.n_seeds,
        tolerance=tolerance,
        gates=gates_of(part),
        tolerance_from=tolerance_from,
        noise=shown.noise,
        level=level,
        rows_alone=doubt is not None and not any(spread_of(one).seeds for one in part.estimates),
    )


def _outcome(p_holds: float, p_refuted: float, siblings: Sequence[Sibling], error: float) -> Outcome:
    # First, since what is surely more may as surely be little more.
    if adjusted(p_holds, [one.p_holds for one in siblings]) <= error:
        return Outcome.HOLDS
    if adjusted(p_refuted, [one.p_refuted for one in siblings]) <= error:
        return Outcome.REFUTED
    return Outcome.INCONCLUSIVE


def _deciding(outcome: Outcome, parts: Sequence[Verdict], found: Sequence[PartDoubt | None]) -> int:
    """The part that is shown: a gated one, else one that refutes, else the one with the least for it."""

    def weight(k: int) -> float:
        one = found[k]
        if outcome is Outcome.INVALID or one is None:
            return float(bool(parts[k].gates))
        return -one.p_refuted if outcome is Outcome.REFUTED else one.p_holds

    return max(range(len(parts)), key=weight)


def _with_power(
    verdict: Verdict, decider: PartDoubt, siblings: Sequence[Sibling], error: float, *, parts: int
) -> Verdict:
    """An open verdict with what it could have seen in the direction in which it leans."""
    number, doubt, holds = decider.leaning
    if holds:
        rate = allowed([one.p_holds for one in siblings], error)
    else:
        rate = allowed([one.p_refuted for one in siblings], error) / parts
    needs = needed(number.value, doubt, spread_of(number), rate)
    return replace(verdict, smallest=smallest_effect(doubt, rate), needs=needs)


def _tolerance(part: Part, half_width: float) -> tuple[float, str]:
    """How far the number shown may move before it counts as another one, and what says so.

    Two standard errors of the mean over seeds (for one seed the interval's half width) and a rest for arithmetic:
    another processor is no more than another seed. But no more than half of what would turn its sign or bring it to its
    threshold, unless the noise of its tables is more than that: then another processor turns it too.
    """
    shown = part.shown
    if shown.n_seeds == 1:
        spread, said = half_width, "interval half width (one seed)"
    else:
        spread = 2 * shown.seed_sd / math.sqrt(shown.n_seeds)
        said = f"spread over {shown.n_seeds} seeds"
    turn = min(abs(one.value) for one in part.estimates) / 2
    most, why = max((turn, "half the way to another verdict or sign"), (shown.noise, "noise of arithmetic"))
    return (most, why) if most < spread + ARITHMETIC or not math.isfinite(spread) else (spread + ARITHMETIC, said)


def _plain(spread: dict[str, Any]) -> dict[str, object]:
    return spread | {"seeds": [rounded(one) for one in spread["seeds"]], "rest": rounded(spread["rest"])}


def rounded(number: float) -> float:
    """A number to 6 significant digits, as it is recorded."""
    # Adding 0 turns -0.0 into 0.0, so that the number has one spelling.
    return float(f"{number:.6g}") + 0.0
