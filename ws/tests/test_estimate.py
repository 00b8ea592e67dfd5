"""Estimates: the coverage of their intervals, and their algebra."""

import operator
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from scipy.stats import t as student_t

from ws.errors import EstimateError
from ws.stats.estimate import Estimate
from ws.stats.hypothesis import Hypothesis
from ws.stats.tables import RESAMPLES, means, weights

few = settings(max_examples=15, deadline=None, derandomize=True)
numbers = st.floats(-10, 10).map(lambda x: round(x, 3))
factors = st.floats(0.01, 100).map(lambda x: round(x, 3))
values = st.lists(numbers, min_size=24, max_size=24)


def table(values: object, *, n_seeds: int = 3, n_clusters: int = 4) -> pd.DataFrame:
    """Values in the order seed, cluster, row as a table; every cluster has the same number of rows."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    cells = np.arange(len(flat)) // (len(flat) // (n_seeds * n_clusters))
    return pd.DataFrame(
        {
            "seed": cells // n_clusters,
            "cluster": [f"topic {cell % n_clusters}" for cell in cells],
            "row": np.arange(len(flat)) % (len(flat) // n_seeds),
            "value": flat,
        }
    )


def noisy(shift: int | float, *, seed: int = 0, **shape: int) -> Estimate:
    """A mean near `shift` of 24 values with a standard deviation of 1."""
    return Estimate.of(table(shift + np.random.default_rng(seed).normal(size=24), **shape))


def close(left: Estimate, right: Estimate) -> None:
    """Equal up to rounding: as measured, on every draw and for every seed."""
    np.testing.assert_allclose(left.numbers, right.numbers, rtol=1e-9, atol=1e-9)


# What the intervals promise.

DATA_SETS = 120


@cache
def simulated() -> list[Estimate]:
    """Estimates of 0.7 from as many data sets of 8 seeds and 40 clusters, both of which shift their values."""
    rng = np.random.default_rng(0)
    seeds, clusters = 0.5 * rng.normal(size=(DATA_SETS, 8, 1)), rng.normal(size=(DATA_SETS, 1, 40))
    data = 0.7 + seeds + clusters + rng.normal(size=(DATA_SETS, 8, 40))
    return [Estimate.of(table(one, n_seeds=8, n_clusters=40)) for one in data]


@pytest.mark.parametrize(("level", "least", "most"), [(0.95, 0.88, 0.99), (0.5, 0.4, 0.6)])
def test_intervals_cover_the_truth_as_often_as_their_level_says(level: float, least: float, most: float) -> None:
    low, high = np.transpose([e.interval(level) for e in simulated()])
    assert least <= np.mean((low < 0.7) & (high > 0.7)) <= most


@pytest.mark.parametrize("seed_sd", [0.0, 0.5, 2.0])
def test_three_seeds_cover_the_truth_whoever_dominates_the_spread(seed_sd: float) -> None:
    rng = np.random.default_rng(6)
    seeds, clusters = seed_sd * rng.normal(size=(DATA_SETS, 3, 1)), rng.normal(size=(DATA_SETS, 1, 40))
    data = 0.7 + seeds + clusters + rng.normal(size=(DATA_SETS, 3, 40))
    low, high = np.transpose([Estimate.of(table(one, n_seeds=3, n_clusters=40)).interval() for one in data])
    assert np.mean((low < 0.7) & (high > 0.7)) >= 0.9


def test_resampled_seeds_have_the_analytic_variance_where_the_plain_bootstrap_has_two_thirds() -> None:
    effects = np.array([0.3, 1.1, 2.2])
    analytic = effects.var(ddof=1) / 3
    e = Estimate.of(table(np.repeat(effects, 8)))
    plain = np.random.default_rng(1).choice(effects, size=(RESAMPLES, 3)).mean(axis=1)
    assert e.resampled.var() == pytest.approx(analytic, rel=0.05)
    assert plain.var() == pytest.approx(analytic * 2 / 3, rel=0.05)


def test_variances_of_seeds_and_clusters_add_up() -> None:
    rng = np.random.default_rng(2)
    seeds, clusters = rng.normal(size=(5, 1)), rng.normal(size=(1, 12))
    e = Estimate.of(table(seeds + clusters, n_seeds=5, n_clusters=12))
    analytic = seeds.var(ddof=1) / 5 + clusters.var(ddof=1) / 12
    assert e.resampled.var() == pytest.approx(analytic, rel=0.05)


def test_degrees_of_freedom_are_those_of_seeds_and_clusters_weighed_by_their_variances() -> None:
    rng = np.random.default_rng(2)
    seeds, clusters = rng.normal(size=(5, 1)), rng.normal(size=(1, 12))
    e = Estimate.of(table(seeds + clusters, n_seeds=5, n_clusters=12))
    of_seeds, of_clusters = seeds.var(ddof=1) / 5, clusters.var(ddof=1) / 12
    total = of_seeds + of_clusters
    degrees = total**2 / (of_seeds**2 / 4 + of_clusters**2 / 11)
    half = student_t.ppf(0.975, degrees) * total**0.5
    assert 4 < degrees < 15
    assert e.interval() == pytest.approx((e.value - half, e.value + half), rel=0.05)


def test_an_interval_keeps_its_shape_at_scales_whose_powers_are_no_floats() -> None:
    low, high = noisy(1).interval()
    assert (1e-150 * noisy(1)).interval() == pytest.approx((1e-150 * low, 1e-150 * high), rel=1e-9, abs=0)
    assert (1e150 * noisy(1)).interval() == pytest.approx((1e150 * low, 1e150 * high))


def test_an_interval_whose_spread_is_too_large_for_a_float_is_infinite() -> None:
    assert (1e200 * noisy(1)).interval() == (-np.inf, np.inf)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 1), (3, 4)], ids=str)
def test_equal_values_have_an_interval_as_narrow_as_rounding(shape: tuple[int, int]) -> None:
    n_seeds, n_clusters = shape
    e = Estimate.of(table(np.repeat(0.1, 24), n_seeds=n_seeds, n_clusters=n_clusters)) / 3
    assert e.interval() == pytest.approx((0.1 / 3, 0.1 / 3), rel=1e-12)


def test_rows_of_one_cluster_count_as_one_observation() -> None:
    clusters = np.random.default_rng(3).normal(size=(1, 12, 1))
    single = Estimate.of(table(clusters, n_seeds=1, n_clusters=12))
    repeated = Estimate.of(table(np.repeat(clusters, 6, axis=2), n_seeds=1, n_clusters=12))
    close(single, repeated)


def test_every_draw_is_a_mean_over_two_of_three_seeds_and_three_of_four_clusters() -> None:
    """A draw of powers of a base spells out how often each cell counts."""
    seeds, clusters = np.meshgrid(np.arange(3), np.arange(4), indexing="ij")
    by_seed = Estimate.of(table(4.0**seeds)).resampled[:50] * 2
    by_cluster = Estimate.of(table(4.0**clusters)).resampled[:50] * 3
    digits = np.array([[np.base_repr(round(x), 4) for x in row] for row in (by_seed, by_cluster)])
    assert {sum(map(int, spelled)) for spelled in digits[0]} == {2}
    assert {sum(map(int, spelled)) for spelled in digits[1]} == {3}
    assert len(set(digits[0])) == 6
    assert Estimate.of(table(4.0**seeds)).resampled.shape == (RESAMPLES,)


def test_clusters_of_unequal_size_weigh_by_their_rows() -> None:
    lines = table(np.arange(24.0)).query("cluster != 'topic 0' or row == 0")
    e = Estimate.of(lines)
    assert e.value == pytest.approx(lines["value"].mean(), abs=1e-12)
    assert (e.n_rows, e.n_clusters, e.n_seeds) == (7, 4, 3)
    constant = Estimate.of(lines.assign(value=0.25))
    np.testing.assert_allclose(constant.resampled, 0.25, atol=1e-12)


def test_a_difference_of_paired_arms_is_surer_than_either_arm() -> None:
    shared = 5 * np.random.default_rng(4).normal(size=24)
    arm = Estimate.of(table(shared))
    other = Estimate.of(table(shared + 1 + 0.01 * np.arange(24)))
    low, high = (other - arm).interval()
    assert high - low < 0.1 * np.diff(arm.interval())[0]


def test_one_seed_stays_fixed_and_clusters_still_vary() -> None:
    e = noisy(1, n_seeds=1)
    assert e.n_seeds == 1
    assert np.isnan(e.seed_sd)
    assert e.gates == ()
    topics = np.random.default_rng(0).normal(size=(4, 6)).mean(axis=1)
    half = student_t.ppf(0.975, 3) * topics.std(ddof=1) / 4**0.5
    assert e.interval() == pytest.approx((e.value - half, e.value + half), abs=0.05 * half)


def test_one_cluster_stays_fixed_and_seeds_still_vary() -> None:
    e = noisy(1, n_clusters=1)
    assert (e.n_clusters, e.gates) == (1, ())
    half = student_t.ppf(0.975, 2) * e.seed_sd / 3**0.5
    assert e.interval() == pytest.approx((e.value - half, e.value + half), rel=0.05)


def test_one_seed_and_one_cluster_show_no_spread() -> None:
    e = noisy(1, n_seeds=1, n_clusters=1)
    assert e.gates == ("too few rows: one seed and one cluster show no spread",)


def test_each_seed_alone_is_that_seeds_mean() -> None:
    lines = table(np.random.default_rng(5).normal(size=24)).replace({"seed": {0: 11, 1: 7, 2: 5}})
    e = Estimate.of(lines)
    expected = lines.groupby("seed")["value"].mean()
    pd.testing.assert_series_equal(e.by_seed, expected, check_index_type=False)
    assert e.seed_sd == pytest.approx(expected.std())


def test_the_same_table_gives_the_same_numbers_in_another_process() -> None:
    first = noisy(1).numbers
    weights.cache_clear()
    np.testing.assert_array_equal(noisy(1).numbers, first)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_a_level_outside_0_and_1_is_refused(level: float) -> None:
    with pytest.raises(EstimateError, match="expected a level between 0 and 1"):
        noisy(1).interval(level)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999999])
def test_an_interval_reaches_to_both_sides_by_students_t_at_its_level(level: float) -> None:
    e = noisy(1, n_clusters=1)
    low, high = e.interval(level)
    assert (low + high) / 2 == pytest.approx(e.value)
    assert (high - low) / 2 == pytest.approx(student_t.ppf((1 + level) / 2, 2) * e.resampled.std())


# Algebra.


@few
@given(values, values, factors, numbers)
def test_arithmetic_is_linear(a: list[float], b: list[float], k: float, c: float) -> None:
    combined = Estimate.of(table(k * np.array(a) - np.array(b) + c))
    close(k * Estimate.of(table(a)) - Estimate.of(table(b)) + c, combined)


@few
@given(values, values)
def test_adding_and_taking_away_changes_nothing(a: list[float], b: list[float]) -> None:
    left, right = Estimate.of(table(a)), Estimate.of(table(b))
    close((left + right) - right, left)


@few
@given(values)
def test_an_estimate_minus_itself_is_exactly_0(a: list[float]) -> None:
    nothing = Estimate.of(table(a)) - Estimate.of(table(a))
    assert (nothing.value, nothing.interval(), nothing.seed_sd) == (0, (0, 0), 0)


@few
@given(values, values, factors)
def test_numbers_work_from_either_side(a: list[float], b: list[float], k: float) -> None:
    e = Estimate.of(table(a)) + 11
    close(k + e, e + k)
    close(k - e, -(e - k))
    close(k * e, e * k)
    close(k / e, k * (1 / e))
    assert (k / e).value == pytest.approx(k / e.value)
    close(e / k, (1 / k) * e)


@few
@given(values, values)
def test_a_ratio_is_the_ratio_of_means_and_not_the_mean_of_ratios(a: list[float], b: list[float]) -> None:
    top, bottom = np.array(a), np.array(b) + 11
    ratio = Estimate.of(table(top)) / Estimate.of(table(bottom))
    assert ratio.value == Estimate.of(table(top)).value / Estimate.of(table(bottom)).value
    assert ratio.value == pytest.approx(top.mean() / bottom.mean(), abs=1e-12)


def test_the_mean_of_ratios_would_be_another_number() -> None:
    top, bottom = np.arange(1.0, 25), np.arange(1.0, 25) ** 2
    ratio = Estimate.of(table(top)) / Estimate.of(table(bottom))
    assert abs(ratio.value - (top / bottom).mean()) > 0.05


@few
@given(values, factors)
def test_intervals_scale_with_their_numbers(a: list[float], k: float) -> None:
    e = Estimate.of(table(a))
    low, high = e.interval()
    assert (k * e).interval() == pytest.approx((k * low, k * high), abs=1e-9)
    assert (-e).interval() == (-high, -low)
    assert (e + k).interval() == pytest.approx((low + k, high + k), abs=1e-9)


@few
@given(values, st.permutations(range(24)))
def test_the_order_of_lines_does_not_matter(a: list[float], order: list[int]) -> None:
    lines = table(a, n_seeds=2, n_clusters=2)
    straight, shuffled = Estimate.of(lines), Estimate.of(lines.iloc[order])
    assert shuffled.index.equals(straight.index)
    np.testing.assert_array_equal(straight.numbers, shuffled.numbers)
    pd.testing.assert_series_equal(straight.by_seed, shuffled.by_seed)
    assert (straight - shuffled).interval() == (0, 0)


@few
@given(st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("bcd")))
def test_arithmetic_unites_gates(left: set[str], right: set[str]) -> None:
    a = Estimate.of(table(np.arange(100, 124)), gates=tuple(left))
    b = Estimate.of(table(np.arange(1, 25)), gates=tuple(right))
    assert set((a - b).gates) == left | right
    assert (a - b).gates == (b - a).gates == (2 * (b / a) + 1).gates


def of(*names: str, shift: int = 0) -> Estimate:
    """An estimate made of these sources, with a note on each."""
    lines = table(np.arange(100 + shift, 124 + shift))
    return Estimate.of(lines, sources=names, notes=[f"on {name}" for name in names])


@pytest.mark.parametrize(
    ("combined", "expected"),
    [
        (lambda a, b: a + b, "abc"),
        (lambda a, b: b - a, "bca"),
        (lambda a, b: a / b, "abc"),
        (lambda a, b: 2 * (1 - a * b) / 3, "abc"),
        (lambda a, b: 1 / -b, "bc"),
        (lambda a, b: a > b, "abc"),
        (lambda a, b: b < a, "bca"),
        (lambda a, b: a > 0, "ab"),
        (lambda a, b: b.approx(a, within=1), "bca"),
        (lambda a, b: a.is_negligible(within=b), "abc"),
        (lambda a, b: (b > 0) & (a < 0), "bca"),
        (lambda a, b: (a > 0) & (a.approx(b, within=a)), "abc"),
    ],
)
def test_whatever_is_computed_knows_its_sources_and_notes_as_they_came_in(
    combined: Callable[[Estimate, Estimate], Estimate | Hypothesis], expected: str
) -> None:
    found = combined(of("a", "b"), of("b", "c", shift=1))
    assert (found.sources, found.notes) == (tuple(expected), tuple(f"on {name}" for name in expected))


def test_a_note_comes_below_those_that_are_there_and_brings_its_sources() -> None:
    noted = of("a", "b").noting("on b", "besides", sources=["b", "c"])
    assert (noted.sources, noted.notes) == (("a", "b", "c"), ("on a", "on b", "besides"))
    close(noted, of("a", "b"))


def test_a_number_made_of_others_has_their_gates_sources_notes_and_leaves() -> None:
    broken = replace(of("b", "c", shift=1), gates=("NaN in b",))
    found = of("a", shift=2).made_of(of("b"), broken)
    assert (found.gates, found.sources) == (("NaN in b",), ("b", "c", "a"))
    assert found.notes == ("on b", "on c", "on a")
    assert found.leaves == (*of("a", shift=2).leaves, *of("b").leaves, *broken.leaves)
    close(found, of("a", shift=2))


@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.int64(2)], ids=["f64", "f32", "i64"])
def test_numpy_numbers_work_from_either_side(number: np.number) -> None:
    close(number - noisy(1), 2 - noisy(1))
    close(noisy(1) / number, noisy(1) / 2)


# Gates.


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_trips_a_gate_that_arithmetic_keeps(broken: float) -> None:
    e = Estimate.of(table([broken, *range(23)]))
    gate = "NaN or infinite in 1 of 24 values"
    assert e.gates == (gate,)
    assert (2 * e - noisy(1)).gates == (gate,)
    assert np.isnan(e.value)
    assert np.isnan(e.interval()).all()


def test_missing_numbers_of_a_nullable_column_trip_the_gate() -> None:
    lines = table(range(24))
    lines["value"] = lines["value"].astype("Float64").mask(lines["row"] == 0)
    assert Estimate.of(lines).gates == ("NaN or infinite in 3 of 24 values",)


@pytest.mark.parametrize(
    "divide", [lambda e: noisy(9, seed=7) / e, lambda e: 1 / e], ids=["by estimate", "of a number"]
)
def test_a_denominator_whose_interval_holds_0_trips_a_gate(divide: Callable[[Estimate], Estimate]) -> None:
    low, high = noisy(0).interval()
    assert low < 0 < high
    assert divide(noisy(0)).gates == (f"denominator near 0 (interval [{low:.3g}, {high:.3g}])",)
    assert divide(noisy(5)).gates == divide(noisy(-5)).gates == ()


def test_a_denominator_of_exactly_0_trips_the_gate_without_a_warning() -> None:
    nothing = noisy(1) - noisy(1)
    assert (nothing / nothing).gates == ("denominator near 0 (interval [0, 0])",)


# Refusals.


def test_a_row_that_one_arm_lacks_is_an_error_and_not_a_drop() -> None:
    left, right = table(range(24)), table(range(24))
    right.loc[right["row"] == 7, "row"] = 99
    with pytest.raises(EstimateError, match=r"3 rows only left, 3 only right .*\(0, 'topic 3', 7\)"):
        Estimate.of(left) - Estimate.of(right)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "gt", "lt"])
@pytest.mark.parametrize("column", ["seed", "cluster", "row"])
def test_every_operation_demands_the_same_index(name: str, column: str) -> None:
    other = table(range(24))
    other[column] = other[column].map("other {}".format)
    with pytest.raises(EstimateError, match="24 rows only left, 24 only right"):
        getattr(operator, name)(noisy(5), Estimate.of(other))


def test_equal_labels_of_other_types_are_the_same_rows() -> None:
    lines = table(range(24))
    typed = lines.astype({"seed": "float64", "cluster": "category", "row": "int16"})
    assert (Estimate.of(lines) - Estimate.of(typed)).interval() == (0, 0)


LINES = table(range(24))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (pd.concat([LINES, LINES.iloc[:1]]), r"1 lines repeat a row under the same seed .*'topic 0', 0"),
        (LINES.assign(row=LINES["row"] % 2), r"18 lines repeat a row .* give every row its own name"),
        (LINES.iloc[1:], r"2 lines .* lack one of 3 seeds .*\(1, 'topic 0', 0\)"),
        (LINES.assign(cluster=["topic 3", *LINES["cluster"][1:]]), "3 lines are of rows .* change their cluster"),
        *(
            (LINES.drop(columns=name), rf"not \['{name}'\]; expected \['seed', 'cluster'")
            for name in ("seed", "cluster", "row", "value")
        ),
        (LINES.iloc[:0], "the table is empty"),
        *(
            (
                LINES.assign(**{name: LINES[name].astype(object).where(LINES.index != 4, None)}),
                f"1 lines have no {name}",
            )
            for name in ("seed", "cluster", "row")
        ),
        (LINES.assign(value="yes"), "the column value holds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_that_is_no_full_grid_is_refused(lines: pd.DataFrame, message: str) -> None:
    with pytest.raises(EstimateError, match=message):
        Estimate.of(lines)


def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(EstimateError, match="cannot divide an estimate by 0"):
        noisy(1) / 0
    for number in (float("nan"), float("inf")):
        with pytest.raises(EstimateError, match="expected another estimate or a finite number"):
            noisy(1) + number
    for margin in (0, -0.1, float("nan")):
        with pytest.raises(EstimateError, match="expected one above 0"):
            noisy(1).is_negligible(within=margin)


@pytest.mark.parametrize(
    "use",
    [
        lambda e: bool(e > 0),
        lambda e: e > 0 and e < 1,
        lambda e: 0 < e < 1,
        lambda e: max(e, e + 1),
    ],
    ids=["bool", "and", "chain", "max"],
)
def test_a_hypothesis_cannot_be_used_as_true_or_false(use: Callable[[Estimate], object]) -> None:
    with pytest.raises(EstimateError, match="join with & and decide with judge"):
        use(noisy(1))


def test_every_reweighting_is_a_weighted_mean() -> None:
    generator = np.random.default_rng(3)
    sums, counts = generator.normal(size=(3, 5)), np.array([1, 2, 3, 1, 4])
    seeds, clusters = weights(3, 5, 40)
    both = [(s[:, None] * sums * c).sum() / (s.sum() * (c @ counts)) for s, c in zip(seeds, clusters, strict=True)]
    of_clusters = [(sums * c).sum() / (3 * (c @ counts)) for c in clusters[1:41]]
    expected = [*both[:41], *of_clusters, *both[41:]]
    np.testing.assert_allclose(means(sums, counts, 40), expected, rtol=1e-12)
