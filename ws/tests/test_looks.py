"""Looks spend the error rate part by part, stop where a case is decided, and tell siblings no more than they may."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.errors import EstimateError
from ws.stats.cases import Sibling
from ws.stats.estimate import Estimate
from ws.stats.hypothesis import Hypothesis
from ws.stats.looks import looks, until_decided
from ws.stats.verdict import ERROR, Verdict, judge


@given(st.integers(4, 89))
def test_the_parts_of_all_looks_add_up_to_the_error_rate(most: int) -> None:
    found = looks(most)
    assert sum(look.error for look in found) == pytest.approx(ERROR)
    assert found[0].seeds == 3
    assert found[-1].seeds == most
    assert all(a.seeds < b.seeds for a, b in pairwise(found))


def test_each_seed_buys_an_equal_part_of_the_error_rate() -> None:
    found = [(look.seeds, round(look.error, 12)) for look in looks(10, error=0.1)]
    assert found == [(3, 0.03), (5, 0.02), (8, 0.03), (10, 0.02)]


@pytest.mark.parametrize("most", [1, 3, 90])
def test_looks_without_a_second_one_are_refused(most: int) -> None:
    with pytest.raises(EstimateError, match=f"at most {most} seeds were asked for; expected 4 to 89"):
        looks(most)


def effect(mean: float, *, seeds: int, spread: float = 0.1) -> Hypothesis:
    """A mean above 0; seeds are off by `spread`, by nothing, or by it to the other side, in turn."""
    lines = [
        (seed, cluster, cluster, mean + spread * (seed % 3 - 1) + 0.01 * (cluster % 3 - 1))
        for seed in range(seeds)
        for cluster in range(12)
    ]
    return Estimate.of(pd.DataFrame(lines, columns=["seed", "cluster", "row", "value"])) > 0


class Asked:
    """Cases of some means, with a note of who was asked."""

    def __init__(self, *means: float | None) -> None:
        self.means, self.asked = means, list[tuple[int, list[int]]]()

    def __call__(self, seeds: int, places: Sequence[int]) -> list[Hypothesis | None]:
        self.asked.append((seeds, list(places)))
        return [None if (mean := self.means[k]) is None else effect(mean, seeds=seeds) for k in places]


def test_a_case_is_asked_until_it_is_decided_and_no_longer() -> None:
    ask = Asked(2.0, 0.1, -2.0, 0.0)
    verdicts = until_decided(ask, cases=4, most=13)
    assert ask.asked == [(3, [0, 1, 2, 3]), (5, [1, 3]), (8, [1, 3]), (13, [1, 3])]
    outcomes = [(str(verdict.outcome), verdict.n_seeds) for verdict in verdicts if verdict]
    assert outcomes == [("HOLDS", 3), ("HOLDS", 13), ("REFUTED", 3), ("INCONCLUSIVE", 13)]


def test_a_verdict_says_by_which_look_it_was_reached_and_at_which_level() -> None:
    [sure] = until_decided(Asked(2.0), cases=1, most=13)
    assert sure is not None
    assert sure.notes == ("with 3 of at most 13 seeds; 98.85% interval",)
    assert (sure.low, sure.high) == (
        pytest.approx(judge(effect(2.0, seeds=3), level=1 - ERROR * 3 / 13).low),
        pytest.approx(judge(effect(2.0, seeds=3), level=1 - ERROR * 3 / 13).high),
    )


def test_a_look_decides_at_its_part_of_the_error_rate_only() -> None:
    """A case that three seeds decide at 5%, and the first of the looks does not."""
    mean = next(mean for mean in np.arange(0.02, 2, 0.02) if judge(effect(mean, seeds=3)).outcome == "HOLDS")
    ask = Asked(float(mean))
    until_decided(ask, cases=1, most=34)
    assert len(ask.asked) > 1


def test_one_training_does_not_stop_the_looks() -> None:
    asked = list[int]()

    def ask(seeds: int, places: Sequence[int]) -> list[Hypothesis]:
        asked.append(seeds)
        return [effect(2.0, seeds=max(1, seeds - 4)) for _ in places]

    [verdict] = until_decided(ask, cases=1, most=13)
    assert asked == [3, 5, 8]
    assert verdict is not None
    assert (verdict.outcome, verdict.n_seeds) == ("HOLDS", 4)


def test_a_case_without_a_hypothesis_is_asked_once_and_shares_the_error_rate() -> None:
    ask = Asked(None, 2.0)
    none, sure = until_decided(ask, cases=2, most=8)
    assert none is None
    assert sure is not None
    assert sure.cases == 2
    assert ask.asked == [(3, [0, 1])]


def test_decided_siblings_leave_their_part_to_the_open_ones_in_their_own_direction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = list[list[tuple[float, float, bool]]]()

    def judged(hypothesis: Hypothesis, *, siblings: Sequence[Sibling], **rest: float) -> Verdict:
        told.append([(one.p_holds, one.p_refuted, bool(one.spreads)) for one in siblings])
        return judge(hypothesis, siblings=siblings, **rest)

    monkeypatch.setattr("ws.stats.looks.judge", judged)
    until_decided(Asked(2.0, -2.0, 0.0, None), cases=4, most=5)
    assert told[-1] == [(0.0, 1.0, False), (1.0, 0.0, False), (1.0, 1.0, False)]
