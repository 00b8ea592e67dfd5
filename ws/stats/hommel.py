"""Several cases of one claim under one error rate.

A case is decided if every set of cases that holds it is decided as a whole (closed testing). A set of n is, if for some
r its r-th smallest p-value is at most r / n of the error rate (Simes). So cases that are all fairly sure support each
other, where Holm's rule, which asks the smallest p-value alone, decides none of them. Whatever Holm's rule decides is
decided here too.

Simes' inequality needs cases that do not depend on each other, or depend positively, as cases do that are measured on
the same questions; `ws calibrate` holds it against cases that share an arm, and against ones that depend negatively.

Source: Simes 1986, "An improved Bonferroni procedure for multiple tests of significance"; Hommel 1988, "A stagewise
rejective multiple test procedure based on a modified Bonferroni test"; Sarkar 1998, "Some probability inequalities for
ordered MTP2 random variables: a proof of the Simes conjecture".
"""

from bisect import bisect_right
from collections.abc import Sequence


def adjusted(own: float, others: Sequence[float]) -> float:
    """The p-value of one of several cases: at or below the error rate that they share, it is decided.

    Of all sets with as many cases, the one with the largest p-values is the last to be decided.
    """
    largest = sorted(others, reverse=True)
    return min(1.0, max(simes([own, *largest[:n]]) for n in range(len(largest) + 1)))


def simes(p_values: Sequence[float]) -> float:
    """The p-value of the hypothesis that several are all true."""
    return min(len(p_values) * p / place for place, p in enumerate(sorted(p_values), start=1))


def allowed(others: Sequence[float], error: float) -> float:
    """The largest p-value with which a case is decided beside these others."""
    largest = sorted(others, reverse=True)
    return min(_allowed_in_set(largest[:n], error) for n in range(len(largest) + 1))


def _allowed_in_set(others: Sequence[float], error: float) -> float:
    """The largest p-value, up to the error rate, with which a case and these others are decided as a set."""
    ordered, n = sorted(others), len(others) + 1
    steps = [error * place / n for place in range(1, n + 1)]
    reached = [bisect_right(ordered, step) for step in steps]
    if any(count >= place for place, count in enumerate(reached, start=1)):
        return error
    # The first step needs no other case.
    return max(step for place, (step, count) in enumerate(zip(steps, reached, strict=True), 1) if count >= place - 1)
