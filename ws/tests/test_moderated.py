"""What a case learns of its seeds' variance from its siblings, and what it must not."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as students_t

from ws.errors import EstimateError
from ws.stats.estimate import Estimate
from ws.stats.hommel import adjusted, allowed, simes
from ws.stats.moderated import Doubt, doubt, effective
from ws.stats.spreads import Spread, spread_of
from ws.tests.test_estimate import noisy, table


def of(*seeds: float, rest: float = 0.0, clusters: int = 30) -> Spread:
    return Spread(tuple(map(float, seeds)), rest, clusters)


def apart(scale: float, angle: float) -> Spread:
    """Three seeds with a standard deviation, whose deviations point where an angle says."""
    one, other = np.array([1, -1, 0]) / math.sqrt(2), np.array([1, 1, -2]) / math.sqrt(6)
    return of(*(math.sqrt(2) * scale * (math.cos(angle) * one + math.sin(angle) * other)))


@pytest.mark.parametrize("p", [0.2, 0.025, 0.005, 1e-4])
@pytest.mark.parametrize("n", [3, 5, 20, 60])
def test_seeds_alone_are_students_t(p: float, n: int) -> None:
    spread = of(*(np.arange(n) - (n - 1) / 2))
    error = math.sqrt(spread.of_a_seed / n)
    assert doubt(spread).quantile(p) == pytest.approx(students_t(n - 1).isf(p) * error, rel=2e-3)


@pytest.mark.parametrize("spread", [of(rest=4.0), of(rest=4.0, clusters=2)])
def test_rows_alone_are_students_t(spread: Spread) -> None:
    found = doubt(spread, [of(1, -1, 0)] * 5)
    assert found.quantile(0.025) == pytest.approx(2 * students_t(spread.clusters - 1).isf(0.025))


def test_two_doubts_are_more_than_satterthwaites_one() -> None:
    spread = of(0.5, -0.5, 0.0, rest=0.05)
    between = spread.of_a_seed / 3
    freedom = spread.total**2 / (between**2 / 2 + 0.05**2 / 29)
    assert doubt(spread).quantile(0.005) > students_t(freedom).isf(0.005) * math.sqrt(spread.total)


def test_siblings_that_vary_as_much_make_a_case_surer() -> None:
    own, siblings = apart(1, 0), [apart(1, math.pi / 6 * k) for k in range(1, 6)]
    assert doubt(own, siblings).quantile(0.025) < 0.75 * doubt(own).quantile(0.025)


def test_the_seeds_of_one_arm_in_all_siblings_say_nothing_new() -> None:
    own = apart(1, 0)
    assert doubt(own, [own] * 6).quantile(0.025) == pytest.approx(doubt(own).quantile(0.025), rel=0.01)
    assert effective([own] * 7) == pytest.approx(1)
    assert effective([apart(1, math.pi / 6 * k) for k in range(6)]) > 4


@pytest.mark.parametrize(("scale", "wider"), [(10.0, True), (0.02, False)])
def test_siblings_that_vary_more_make_a_case_less_sure(scale: float, wider: bool) -> None:
    own, siblings = apart(1, 0), [apart(scale, math.pi / 6 * k) for k in range(1, 6)]
    error = doubt(own, siblings).quantile(0.025)
    assert (error > doubt(own, [apart(1, math.pi / 6 * k) for k in range(1, 6)]).quantile(0.025)) is wider


def test_one_wild_sibling_leaves_less_trust_in_the_others() -> None:
    calm = [apart(1, math.pi / 6 * k) for k in range(1, 6)]
    wild = [*calm[:-1], apart(30, 5 * math.pi / 6)]
    assert doubt(apart(1, 0), calm).quantile(0.025) < doubt(apart(1, 0), wild).quantile(0.025)


@pytest.mark.parametrize("siblings", [[], [apart(0.1, 1)], [of(rest=1.0)] * 5])
def test_with_fewer_than_three_cases_nothing_is_learned(siblings: list[Spread]) -> None:
    assert doubt(apart(1, 0), siblings).quantile(0.025) == doubt(apart(1, 0)).quantile(0.025)


def test_the_scale_of_a_claim_does_not_matter() -> None:
    for factor in (1e-6, 1e6):
        small, siblings = apart(factor, 0), [apart(factor, math.pi / 6 * k) for k in range(1, 6)]
        once = doubt(apart(1, 0), [apart(1, math.pi / 6 * k) for k in range(1, 6)])
        assert doubt(small, siblings).quantile(0.025) == pytest.approx(factor * once.quantile(0.025))


@pytest.mark.parametrize("lead", [0.3, 1.0, 5.0])
def test_errors_are_as_likely_above_as_below(lead: float) -> None:
    found = doubt(of(1, -1, 0, rest=0.2))
    assert found.above(lead) + found.above(-lead) == pytest.approx(1)
    assert found.quantile(found.above(lead)) == pytest.approx(lead, rel=1e-6)


def test_a_number_without_doubt_is_sure() -> None:
    sure = Doubt(np.zeros(1), np.ones(1), np.ones(1))
    assert (sure.above(1e-12), sure.above(0.0), sure.quantile(0.1)) == (0.0, 1.0, 0.0)
    with pytest.raises(EstimateError, match="0 and 1/2"):
        sure.quantile(0.7)


@pytest.mark.parametrize("between", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("within", [0.1, 1.0])
def test_the_parts_of_a_spread_are_those_of_an_analysis_of_variance(between: float, within: float) -> None:
    rng, (n, many) = np.random.default_rng(0), (4, 15)
    values = between * rng.normal(size=(n, 1)) + rng.normal(size=many) + within * rng.normal(size=(n, many))
    spread = spread_of(Estimate.of(table(values, n_seeds=n, n_clusters=many)))
    of_seeds, of_clusters = values.mean(axis=1).var(ddof=1) / n, values.mean(axis=0).var(ddof=1) / many
    left = values - values.mean(axis=0) - values.mean(axis=1)[:, None] + values.mean()
    both = (left**2).sum() / (n - 1) / (many - 1) / n / many
    assert spread.of_a_seed / n == pytest.approx(of_seeds)
    assert spread.rest == pytest.approx(of_clusters - both, rel=0.05)


def test_one_seed_or_equal_ones_leave_rows_alone() -> None:
    one = spread_of(noisy(1, n_seeds=1, n_clusters=12))
    assert (one.seeds, one.clusters) == ((), 12)
    values = np.tile(np.random.default_rng(0).normal(size=12), 3)
    same = spread_of(Estimate.of(table(values, n_seeds=3, n_clusters=12)))
    assert same.seeds == ()
    assert same.rest == pytest.approx(values[:12].var(ddof=1) / 12, rel=0.05)


def test_a_ratio_varies_no_more_between_its_seeds_than_between_draws() -> None:
    whole = 0.6 + noisy(0, seed=3)
    spread = spread_of(noisy(1) / whole)
    assert spread.of_a_seed / 3 <= np.var((noisy(1) / whole).resampled) * (1 + 1e-9)


# Several cases.


def test_simes_rule_by_hand() -> None:
    assert simes([0.03]) == 0.03
    assert simes([0.04, 0.01]) == pytest.approx(0.02)
    assert simes([0.04, 0.03]) == pytest.approx(0.04)
    assert simes([0.5, 0.02, 0.03]) == pytest.approx(0.045)


def test_cases_that_are_all_fairly_sure_support_each_other() -> None:
    assert [adjusted(p, others) for p, others in split([0.03, 0.04])] == pytest.approx([0.04, 0.04])
    # Never decided before a smaller one is.
    assert [adjusted(p, others) for p, others in split([0.01, 0.03, 0.04])] == pytest.approx([0.03, 0.04, 0.04])
    assert adjusted(0.03, [0.9]) == pytest.approx(0.06)
    assert adjusted(0.6, [0.9]) == pytest.approx(0.9)


P_VALUES = st.lists(st.sampled_from([0.0, 1e-6, 0.004, 0.01, 0.02, 0.03, 0.05, 0.2, 0.7, 1.0]), min_size=1, max_size=6)


@given(P_VALUES)
def test_a_case_is_decided_if_every_set_that_holds_it_is(p_values: list[float]) -> None:
    for place, (p, others) in enumerate(split(p_values)):
        sets = [chosen for chosen in subsets(range(len(p_values))) if place in chosen]
        closed = max(simes([p_values[k] for k in chosen]) for chosen in sets)
        assert adjusted(p, others) == pytest.approx(min(1.0, closed))


@given(P_VALUES)
def test_no_case_is_decided_later_than_by_holms_rule(p_values: list[float]) -> None:
    ordered = sorted(p_values)
    for p, others in split(p_values):
        steps = [one * (len(ordered) - k) for k, one in enumerate(ordered) if one <= p]
        assert adjusted(p, others) <= max(steps) + 1e-12


@given(P_VALUES)
def test_what_a_case_may_have_is_where_its_decision_turns(others: list[float]) -> None:
    most = allowed(others, 0.05)
    assert 0.05 / (len(others) + 1) <= most + 1e-12
    assert most <= 0.05
    assert adjusted(most, others) <= 0.05 + 1e-12
    assert most == 0.05 or adjusted(most * (1 + 1e-6), others) > 0.05


def split(p_values: list[float]) -> Iterator[tuple[float, list[float]]]:
    """Each p-value, and the others."""
    for place, p in enumerate(p_values):
        yield p, [*p_values[:place], *p_values[place + 1 :]]


def subsets(places: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(places, n) for n in range(1, len(places) + 1))
