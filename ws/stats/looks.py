"""Looks at the cases of a claim with more and more seeds, until they are decided.

Each look is one more chance to err. So each gets a part of the error rate, in proportion to the seeds that are new, and
the parts add up to it: the chance to err at any look is at most their sum, whatever the looks have in common. A sharper
bound would need the joint distribution of the looks, which mixtures of Student's t do not have in closed form.

Source: Lan and DeMets 1983, "Discrete sequential boundaries for clinical trials" (an error rate spent look by look);
Jennison and Turnbull 1989, "Interim analyses: the repeated confidence interval approach".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ws.errors import EstimateError
from ws.stats.cases import FEWEST_SEEDS, Sibling, told
from ws.stats.hypothesis import Hypothesis
from ws.stats.verdict import ERROR, Outcome, Verdict, judge

GROWTH = 3, 5, 8, 13, 21, 34, 55, 89
"""The seeds of the looks: each time about 1.6 times as many, so that few looks share the error rate."""

Ask = Callable[[int, Sequence[int]], Sequence[Hypothesis | None]]
"""The hypotheses of some cases, given by their places, with a number of seeds; None for one that has none."""


@dataclass(frozen=True)
class Look:
    """One look at the cases of a claim."""

    seeds: int
    error: float
    """The part of the error rate that this look may spend."""


def looks(most: int, *, error: float = ERROR) -> tuple[Look, ...]:
    """The looks with at most so many seeds, which are fixed before the first of them.

    Raises: EstimateError if a second look is out of reach, or there are more seeds than anybody trains.
    """
    if not FEWEST_SEEDS < most <= GROWTH[-1]:
        raise EstimateError(
            f"at most {most} seeds were asked for; expected {FEWEST_SEEDS + 1} to {GROWTH[-1]}, since the first look "
            f"takes {FEWEST_SEEDS}"
        )
    seeds = [*(n for n in GROWTH if n < most), most]
    return tuple(Look(n, error * (n - before) / most) for before, n in zip([0, *seeds], seeds, strict=False))


def until_decided(ask: Ask, *, cases: int, most: int, error: float = ERROR) -> list[Verdict | None]:
    """The verdicts on all cases of a claim, each by the first look that decides it, or else by the last one.

    A decided case is not asked again. Neither is one without a hypothesis, which remains one of the cases that share
    the error rate. Intervals are so wide that all looks at a case hold the truth as often as one at 95% does.

    Raises: EstimateError if `most` allows no second look.
    """
    found: list[Verdict | None] = [None] * cases
    still: Sequence[int] = range(cases)
    for look in looks(most, error=error):
        hypotheses = dict(zip(still, ask(look.seeds, still), strict=True))
        siblings = told([hypotheses.get(k) for k in range(cases)])
        siblings = [one if k in hypotheses else _after(found[k]) for k, one in enumerate(siblings)]
        for k, one in hypotheses.items():
            others = [*siblings[:k], *siblings[k + 1 :]]
            found[k] = None if one is None else _judged(one, others, look, most)
        still = [k for k in still if (verdict := found[k]) is not None and not _is_decided(verdict)]
        if not still:
            break
    return found


def _judged(hypothesis: Hypothesis, siblings: Sequence[Sibling], look: Look, most: int) -> Verdict:
    verdict = judge(hypothesis, siblings=siblings, error=look.error, level=1 - look.error)
    note = f"with {look.seeds} of at most {most} seeds; {100 * verdict.level:.4g}% interval"
    return replace(verdict, notes=(*verdict.notes, note))


def _is_decided(verdict: Verdict) -> bool:
    """Whether more seeds are not needed. What one training shows, others may not, however sure its rows are."""
    return verdict.outcome in (Outcome.HOLDS, Outcome.REFUTED) and verdict.n_seeds > 1


def _after(verdict: Verdict | None) -> Sibling:
    """What a case that is asked no more tells the others at later looks.

    A case that was decided leaves the error rate to the others, in the direction in which it was. Of its seeds it tells
    nothing: cases are decided early where seeds happen to agree, so what they vary by is not usual.
    """
    if verdict is None:
        return Sibling()
    holds = verdict.outcome is Outcome.HOLDS
    return Sibling(p_holds=0.0 if holds else 1.0, p_refuted=1.0 if holds else 0.0)
