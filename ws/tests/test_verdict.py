"""Verdicts: every rule at its boundary, and the words and numbers of a verdict."""

import json
import math
import operator
from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings

from ws.errors import EstimateError
from ws.stats.cases import Sibling, told
from ws.stats.estimate import Estimate
from ws.stats.hypothesis import Hypothesis
from ws.stats.moderated import doubt
from ws.stats.spreads import spread_of
from ws.stats.verdict import Outcome, judge, judge_together

few = settings(max_examples=25, deadline=None, derandomize=True)
values = st.lists(st.integers(-8, 8), min_size=3, max_size=3)
Claim = Callable[[Estimate], Hypothesis]
Ends = tuple[int | float, int | float]
# Far above rounding, so that an interval that ends this far from a threshold does not touch it.
BIT = 1e-6


def of_seeds(*effects: int | float, clusters: int = 2, gates: tuple[str, ...] = ()) -> Estimate:
    """An estimate with one effect under each seed, the same in all clusters."""
    seeds = np.repeat(np.arange(len(effects)), clusters)
    cells = np.tile(np.arange(clusters), len(effects))
    value = np.repeat(np.asarray(effects, dtype=np.float64), clusters)
    lines = pd.DataFrame({"seed": seeds, "cluster": cells, "row": cells, "value": value})
    return Estimate.of(lines, gates=gates)


def between(low: int | float, high: int | float, *, clusters: int = 2, gates: tuple[str, ...] = ()) -> Estimate:
    """An estimate over three seeds that is above `low`, and below `high`, at one-sided 5%; exactly if low is high."""
    unit = of_seeds(-1, 0, 1, clusters=clusters, gates=gates)
    return (low + high) / 2 + (high - low) / 2 / half_width(unit, 0.05) * unit


def half_width(estimate: Estimate, error: float) -> float:
    """What the error of an estimate exceeds so often."""
    return doubt(spread_of(estimate)).quantile(error)


def smooth(shift: float = 1.0, *, n_seeds: int = 1) -> Estimate:
    """A mean near `shift` over 30 clusters."""
    value = shift + np.random.default_rng(0).normal(size=30 * n_seeds)
    cell = np.tile(np.arange(30), n_seeds)
    seed = np.repeat(np.arange(n_seeds), 30)
    return Estimate.of(pd.DataFrame({"seed": seed, "cluster": cell, "row": cell, "value": value}))


@pytest.mark.parametrize("clusters", [1, 2, 7])
@pytest.mark.parametrize("ends", [(1, 4), (-2, BIT), (3, 3)], ids=str)
def test_the_estimates_of_these_tests_are_between_the_ends_that_they_were_given(ends: Ends, clusters: int) -> None:
    estimate = between(*ends, clusters=clusters)
    half = half_width(estimate, 0.05)
    assert (estimate.value - half, estimate.value + half) == pytest.approx(ends, abs=1e-2 * BIT)


# The rules.


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [
        ((1, 3), Outcome.HOLDS),
        ((BIT, 2), Outcome.HOLDS),
        ((-BIT, 2), Outcome.INCONCLUSIVE),
        ((-1, 1), Outcome.INCONCLUSIVE),
        ((-2, BIT), Outcome.INCONCLUSIVE),
        ((-2, -BIT), Outcome.REFUTED),
        ((-3, -1), Outcome.REFUTED),
        ((0, 0), Outcome.REFUTED),
    ],
    ids=["above", "just above", "a bit across", "across", "mostly across", "just below", "below", "equal"],
)
@pytest.mark.parametrize(
    ("claim", "threshold"),
    [
        (lambda e: e > 0, 0),
        (lambda e: e > between(0, 0), 0),
        (lambda e: e + 0.5 > 0.5, 0.5),
        (lambda e: -e < 0, 0),
        (lambda e: -e < between(0, 0), 0),
        (lambda e: operator.lt(-0.25, e - 0.25), -0.25),
    ],
    ids=["a > 0", "a > b", "a > number", "a < 0", "a < b", "number < a"],
)
def test_a_comparison_holds_above_its_threshold_only(
    claim: Claim, threshold: int | float, ends: Ends, outcome: Outcome
) -> None:
    verdict = judge(claim(between(*ends)))
    assert (verdict.outcome, verdict.threshold, verdict.gates) == (outcome, threshold, ())


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [
        ((BIT, 2), Outcome.HOLDS),
        ((BIT, 0.4), Outcome.HOLDS),
        ((-BIT, 2), Outcome.INCONCLUSIVE),
        ((-1, 0.5 + BIT), Outcome.INCONCLUSIVE),
        ((-1, 0.5 - BIT), Outcome.REFUTED),
        ((-2, -1), Outcome.REFUTED),
        ((0, 0), Outcome.REFUTED),
    ],
    ids=["above", "above, but little", "a bit across", "perhaps a tenth", "less than a tenth", "below", "equal"],
)
@pytest.mark.parametrize(
    "claim",
    [
        lambda e: e + 5 > between(5, 5),
        lambda e: e - 5 > between(-5, -5),
        lambda e: 0 * e + between(5, 5) < e + 5,
        lambda e: between(-5, -5) < e - 5,
    ],
    ids=["more than 5", "more than -5", "5 is less", "-5 is less"],
)
def test_an_estimate_is_refuted_as_above_another_if_it_is_less_than_a_tenth_above(
    claim: Claim, ends: Ends, outcome: Outcome
) -> None:
    verdict = judge(claim(between(*ends)))
    assert (verdict.outcome, verdict.matters) == (outcome, pytest.approx(0.5))
    assert "(0.5 matters)" in verdict.sentence


def test_a_tenth_of_what_may_be_0_refutes_nothing() -> None:
    lead = between(-1, 0.4)
    sure, unsure = (judge(lead + of > of) for of in (between(4, 6), between(-1, 11)))
    assert (sure.outcome, sure.matters) == (Outcome.REFUTED, pytest.approx(0.5))
    assert (unsure.outcome, unsure.matters) == (Outcome.INCONCLUSIVE, None)


def test_an_open_case_says_what_would_decide_it_in_the_direction_in_which_it_leans() -> None:
    little, much = between(-2.2, 0.6), between(-0.3, 3.7)
    for lead, bound in ((little, 0.5), (much, 0.0)):
        verdict = judge(lead + 5 > between(5, 5))
        assert (verdict.outcome, verdict.needs) == (Outcome.INCONCLUSIVE, judge(lead > bound).needs)
    assert judge(little > 0).needs != judge(little > 0.5).needs
    assert judge(much > 0).needs != judge(much > 0.5).needs


def test_what_is_less_than_a_tenth_more_was_decided_from_one_side_if_the_interval_reaches_the_tenth() -> None:
    near, far = between(-1, 0.5 - BIT), between(-0.6, 0.1)
    for lead, reaches in ((near, True), (far, False)):
        for claim in (lead + 5 > between(5, 5), between(5, 5) < lead + 5):
            verdict = judge(claim)
            assert verdict.outcome is Outcome.REFUTED
            assert ("one-sided" in verdict.sentence) == reaches
    # Told from the contrary bound by its sign alone.
    assert judge(far > 0).low < -0.5


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [
        ((-0.25, 0.25), Outcome.HOLDS),
        ((BIT - 0.5, 0.5 - BIT), Outcome.HOLDS),
        ((0, 0), Outcome.HOLDS),
        ((-0.25, 0.5 + BIT), Outcome.INCONCLUSIVE),
        ((-0.5 - BIT, 0.25), Outcome.INCONCLUSIVE),
        ((-2, 2), Outcome.INCONCLUSIVE),
        ((0.25, 1), Outcome.INCONCLUSIVE),
        ((0.5 - BIT, 1), Outcome.INCONCLUSIVE),
        ((0.5 + BIT, 1), Outcome.INCONCLUSIVE),
        ((0.55, 1), Outcome.REFUTED),
        ((0.5, 0.5), Outcome.REFUTED),
        ((0.75, 2), Outcome.REFUTED),
        ((-1, -0.5 - BIT), Outcome.INCONCLUSIVE),
        ((-1, -0.55), Outcome.REFUTED),
        ((-0.5, -0.5), Outcome.REFUTED),
        ((-2, -0.75), Outcome.REFUTED),
    ],
)
@pytest.mark.parametrize(
    ("claim", "threshold"),
    [
        (lambda e: e.is_negligible(within=0.5), 0.5),
        (lambda e: (e + 3).approx(3, within=0.5), 0.5),
        (lambda e: (e + 3).approx(between(3, 3), within=0.5), 0.5),
        (lambda e: e.is_negligible(within=between(0.5, 0.5)), None),
        (lambda e: e.approx(0.0 * e, within=0.25 * between(2, 2)), None),
    ],
    ids=["number", "approx number", "approx estimate", "margin estimate", "approx with margin estimate"],
)
def test_a_margin_holds_strictly_inside_and_is_refuted_outside_on_one_side(
    claim: Claim, threshold: float | None, ends: Ends, outcome: Outcome
) -> None:
    verdict = judge(claim(between(*ends)))
    assert (verdict.outcome, verdict.threshold) == (outcome, threshold)


def test_an_estimated_margin_is_judged_through_its_pairing() -> None:
    """The effect moves widely from seed to seed, and a tenth of it moves along."""
    effect = between(1, 100)
    assert judge((0.08 * effect).is_negligible(within=0.1 * effect)).outcome is Outcome.HOLDS
    assert judge((0.08 * effect).is_negligible(within=0.1 * effect.value)).outcome is Outcome.INCONCLUSIVE


@few
@given(values, values)
def test_if_a_above_b_holds_b_above_a_is_refuted(a: list[int], b: list[int]) -> None:
    left, right = of_seeds(*a), of_seeds(*b)
    forth, back = judge(left > right), judge(right > left)
    assert (forth.low, forth.high) == (-back.high, -back.low)
    assume(forth.low != 0)
    assert forth.outcome is not Outcome.HOLDS or back.outcome is Outcome.REFUTED


@few
@given(values, values)
def test_never_do_both_directions_hold_and_greater_is_less_reversed(a: list[int], b: list[int]) -> None:
    left, right = of_seeds(*a), of_seeds(*b)
    outcomes = judge(left > right).outcome, judge(right > left).outcome
    assert outcomes != (Outcome.HOLDS, Outcome.HOLDS)
    assert outcomes == (judge(right < left).outcome, judge(left < right).outcome)


@few
@given(values, st.integers(1, 8))
def test_a_margin_holds_if_and_only_if_both_of_its_sides_do(a: list[int], margin: int) -> None:
    e = of_seeds(*a)
    both, within = judge((e < margin) & (e > -margin)), judge(e.is_negligible(within=margin))
    assert within.p_holds == both.p_holds
    # Two parts may each fail, but a number is on one side of its margin only.
    assert both.p_refuted / 2 <= within.p_refuted <= both.p_refuted


# What is shown.


def test_a_comparison_shows_a_difference_of_estimates_and_the_estimate_beside_a_number() -> None:
    verdict = judge(between(2, 4) > between(1, 1), level=0.9)
    assert (verdict.value, verdict.low, verdict.high, verdict.relation) == (*map(pytest.approx, (2, 1, 3)), "> 0")
    verdict = judge(between(2, 4, clusters=5) < 0.2, level=0.9)
    assert (verdict.value, verdict.low, verdict.high, verdict.relation) == (*map(pytest.approx, (3, 2, 4)), "< 0.2")
    assert (verdict.n_seeds, verdict.n_clusters, verdict.n_rows) == (3, 5, 5)


@pytest.mark.parametrize(
    ("hypothesis", "sentence"),
    [
        (between(1, 3) < 0.5, "2 [1, 3] < 0.5: REFUTED (90% interval; 3 seeds"),
        (
            between(1, 1).is_negligible(within=0.1 * between(1, 3, gates=("low pmass",))),
            "1 [1, 1] within ±0.2 (estimated): INVALID, because of low pmass (90% interval",
        ),
        (
            (between(1, 3) > 0) & (between(-1, 2, clusters=1) > 0.25),
            "0.5 [-1, 2] > 0.25 (part 2 of 2, the deciding one): INCONCLUSIVE, could tell 2 from nothing; more than",
        ),
    ],
    ids=["refuted", "invalid", "conjunction"],
)
def test_a_sentence_says_it_in_words(hypothesis: Hypothesis, sentence: str) -> None:
    assert judge(hypothesis, level=0.9).sentence.startswith(sentence)


def test_a_record_is_json_of_plain_numbers_with_6_digits() -> None:
    record = judge(between(1e-7, 2 / 3) > np.float64(-2 / 3), level=0.9).to_record()
    assert record == json.loads(json.dumps(record, allow_nan=False))
    assert record["value"] == 0.333333
    assert record["low"] == pytest.approx(1e-7)
    assert record["threshold"] == -0.666667
    numbers = ("value", "low", "high", "level", "tolerance", "threshold")
    assert {type(record[name]) for name in numbers} == {float}
    assert (record["outcome"], record["gates"], record["n_seeds"]) == ("HOLDS", [], 3)
    assert type(record["outcome"]) is str


def test_a_record_holds_every_field_of_the_verdict_but_where_it_comes_from() -> None:
    verdict = judge(of_seeds(1, 2, 3) > 0)
    assert verdict.to_record().keys() == vars(verdict).keys() - {"sources", "notes"}


def test_a_verdict_knows_the_sources_and_notes_of_parts_that_it_does_not_show() -> None:
    sure, unsure = between(1, 2).noting("on s", sources=["s"]), between(-1, 1).noting("on u", sources=["u"])
    verdict = judge((sure > 0) & (unsure > 0))
    assert (verdict.part, verdict.sources, verdict.notes) == ("part 2 of 2", ("s", "u"), ("on s", "on u"))


def test_a_record_has_no_negative_zero() -> None:
    record = judge(-of_seeds(0, 0, 0) > 0).to_record()
    assert math.copysign(1, record["value"]) == 1


# Tolerance.


def test_the_tolerance_is_two_standard_errors_over_seeds_and_the_noise_of_arithmetic() -> None:
    verdict = judge(of_seeds(9, 10, 11) > 0)
    noise = of_seeds(9, 10, 11).noise
    assert noise == pytest.approx(0.1 * 1 + 1e-4 * 10, rel=0.01)
    assert verdict.tolerance == pytest.approx(2 * 1 / math.sqrt(3) + 1e-3)
    assert verdict.tolerance_from == "spread over 3 seeds"


@pytest.mark.parametrize(
    ("hypothesis", "tolerance"),
    [
        (of_seeds(1, 2, 3) > 0, 1.0),
        (of_seeds(9, 10, 11) > 9, 0.5),
        (of_seeds(9, 10, 11).is_negligible(within=11), 0.5),
        (of_seeds(-1, 0, 3).is_negligible(within=20), 1 / 3),
    ],
    ids=["its sign", "its threshold", "its margin", "its sign within a margin"],
)
def test_the_tolerance_never_hides_that_a_number_turned(hypothesis: Hypothesis, tolerance: float) -> None:
    verdict = judge(hypothesis)
    assert verdict.tolerance == pytest.approx(tolerance)
    assert verdict.tolerance_from == "half the way to another verdict or sign"


def test_within_the_noise_of_arithmetic_any_processor_turns_a_number() -> None:
    verdict = judge(of_seeds(9, 10, 11) > 10.01)
    assert verdict.tolerance == of_seeds(9, 10, 11).noise
    assert verdict.tolerance_from == "noise of arithmetic"


def test_where_two_arms_are_nearly_one_their_noise_is_no_tolerance() -> None:
    one = of_seeds(9, 10, 11)
    verdict = judge(one > one + 1e-3 * of_seeds(1, 1.1, 1.2))
    assert verdict.noise < verdict.tolerance < 1e-3
    far = judge(of_seeds(9, 10, 11.01) > of_seeds(9, 10, 11))
    assert far.tolerance < 0.01 < far.noise


def test_the_tolerance_of_one_seed_is_the_half_width_of_the_shown_interval_and_noise() -> None:
    verdict = judge(smooth() > 0)
    assert verdict.tolerance == pytest.approx((verdict.high - verdict.low) / 2 + 1e-3)
    assert verdict.high > verdict.low
    assert verdict.tolerance_from == "interval half width (one seed)"


def test_a_verdict_knows_the_tables_of_all_its_parts_each_once() -> None:
    a, b = of_seeds(1, 2, 3), of_seeds(2, 3, 5)
    assert judge((a > b) & (a / b < 7)).leaves == (*a.leaves, *b.leaves)
    assert [mean for mean, _ in judge(a > 0).leaves] == [2.0]


# Cases of one claim.


def test_a_claim_can_hold_alone_and_not_among_many() -> None:
    alone, others = judge(smooth() > 0.6), [Sibling()] * 20
    assert 0.05 / 21 < alone.p_holds < 0.05
    assert alone.outcome is Outcome.HOLDS
    among = judge(smooth() > 0.6, siblings=others)
    assert (among.outcome, among.cases) == (Outcome.INCONCLUSIVE, 21)
    assert (among.low, among.high, among.p_holds) == (alone.low, alone.high, alone.p_holds)


def test_cases_that_are_sure_leave_the_error_rate_to_the_others() -> None:
    hypothesis, sure = smooth() > 0.5, Sibling(p_holds=1e-9)
    assert judge(hypothesis, siblings=[sure] * 20).outcome is Outcome.HOLDS
    assert judge(hypothesis, siblings=[*[sure] * 19, Sibling()]).outcome is Outcome.HOLDS
    assert judge(hypothesis, siblings=[sure, *[Sibling()] * 19]).outcome is Outcome.INCONCLUSIVE


def test_a_case_that_holds_says_nothing_about_whether_another_is_refuted() -> None:
    sure = [Sibling(p_holds=1e-9)] * 20
    assert judge(smooth() > 1.3).outcome is Outcome.REFUTED
    assert judge(smooth() > 1.3, siblings=sure).outcome is Outcome.INCONCLUSIVE


def test_cases_that_are_judged_together_are_judged_as_each_by_its_siblings() -> None:
    hypotheses = [smooth(shift, n_seeds=4) > 0.5 for shift in (1.0, 0.6, 0.4)]
    together = judge_together(hypotheses)
    siblings = told(hypotheses)
    for k, one in enumerate(hypotheses):
        others = [*siblings[:k], *siblings[k + 1 :]]
        assert judge(one, siblings=others).to_record() == together[k].to_record()
        assert (together[k].p_holds, together[k].p_refuted) == (siblings[k].p_holds, siblings[k].p_refuted)


def test_an_error_rate_or_a_level_outside_0_and_1_is_refused() -> None:
    for number in (0.0, 1.0, 95.0):
        with pytest.raises(EstimateError, match="expected a level between 0 and 1"):
            judge(smooth() > 0, level=number)
        with pytest.raises(EstimateError, match="expected an error rate between 0 and 1"):
            judge(smooth() > 0, error=number)


# What an open case says.


def test_an_open_case_says_what_it_could_have_seen_and_how_many_seeds_would_tell() -> None:
    verdict = judge(between(-1, 2) > 0)
    assert verdict.smallest == pytest.approx(half_width(between(-1, 2), 0.05) + half_width(between(-1, 2), 0.2))
    assert (verdict.outcome, verdict.needs) == (Outcome.INCONCLUSIVE, "31 seeds")
    assert "could tell 2 from nothing; 31 seeds would decide this" in verdict.sentence
    assert judge(between(1, 2) > 0).smallest is None


def test_more_cases_make_it_harder_to_see() -> None:
    alone, among = (judge(between(-1, 2) > 0, siblings=[Sibling()] * n) for n in (0, 5))
    assert alone.smallest is not None
    assert among.smallest is not None
    assert among.smallest > alone.smallest


def test_where_rows_leave_the_doubt_more_seeds_are_not_asked_for() -> None:
    rows = pd.concat([lines(smooth()).assign(seed=seed) for seed in range(3)])
    verdict = judge(Estimate.of(rows.assign(value=rows["value"] + 0.01 * rows["seed"])) > 0.85)
    assert (verdict.outcome, verdict.needs) == (Outcome.INCONCLUSIVE, "more rows, not seeds")


def test_a_verdict_says_if_it_knows_no_other_training() -> None:
    one, same = smooth(), Estimate.of(pd.concat([lines(smooth()).assign(seed=seed) for seed in range(3)]))
    assert judge(one > 0).sentence.startswith("0.")
    assert "HOLDS, of this one training (" in judge(one > 0).sentence
    assert "HOLDS, knowing other rows alone, as nothing varies between seeds (" in judge(same > 0).sentence
    assert not judge(between(1, 2) > 0).rows_alone


def test_a_case_decided_from_one_side_says_so_where_its_interval_reaches_the_threshold() -> None:
    barely = judge(between(0.02, 1) > 0)
    assert (barely.outcome, barely.low < 0) == (Outcome.HOLDS, True)
    assert f"HOLDS, one-sided p = {barely.p_holds:.2g}; the interval has two sides (" in barely.sentence
    refuted = judge(between(0.02, 1) < 0)
    assert f"REFUTED, one-sided p = {refuted.p_refuted:.2g}; the interval has two sides (" in refuted.sentence
    for clear in (between(0.5, 1) > 0, between(-0.5, 1) > 0, between(0.02, 1) < 5):
        assert "one-sided" not in judge(clear).sentence


def lines(estimate: Estimate) -> pd.DataFrame:
    """A table that an estimate of one row in each cluster may have been made of."""
    n = estimate.n_clusters
    value = estimate.value + np.linspace(-1, 1, n)
    return pd.DataFrame({"seed": 0, "cluster": range(n), "row": range(n), "value": value})


# Gates.


@pytest.mark.parametrize(
    ("hypothesis", "gate"),
    [
        (between(1, 3, gates=("pmass 0.2 below 0.5",)) > 0, "pmass 0.2 below 0.5"),
        (between(5, 7) > between(1, 3, gates=("zero dW",)), "zero dW"),
        (of_seeds(1, 2, math.nan) > 0, "NaN or infinite in 2 of 6 values"),
        (between(1, 3) / between(-1, 2) < 0.2, "denominator near 0 (interval [-1.69, 2.69])"),
        (between(0, 1).is_negligible(within=between(-3, -1)), "margin not above 0 (interval [-3.46, -0.539])"),
        (between(0, 1).is_negligible(within=between(0, 0)), "margin not above 0 (interval [0, 0])"),
        (of_seeds(1, clusters=1) > 0, "too few rows: one seed and one cluster show no spread"),
        (
            of_seeds(1e300, 2e300, 3e300) / of_seeds(1e-300, 1e-300, 1e-300) > 0,
            "NaN or infinite in the value, its interval or its tolerance",
        ),
        (1e200 * between(1, 3) > 0, "NaN or infinite in the value, its interval or its tolerance"),
    ],
    ids=[
        "given",
        "given on the right",
        "NaN",
        "denominator",
        "margin below 0",
        "margin of 0",
        "no spread",
        "overflow",
        "overflow of the spread",
    ],
)
def test_a_gate_makes_a_verdict_invalid_and_is_named(hypothesis: Hypothesis, gate: str) -> None:
    verdict = judge(hypothesis)
    assert (verdict.outcome, verdict.gates) == (Outcome.INVALID, (gate,))
    assert f"INVALID, because of {gate} (" in verdict.sentence


# Conjunctions.

HOLDS = between(1, 3) > 0
BARELY = between(0, 2) > -0.25
OPEN = between(-1, 2) > 0
REFUTED = between(1, 3) < 0
GATED = between(4, 6, gates=("zero dW",)) > 0


@pytest.mark.parametrize(
    ("hypothesis", "outcome", "part"),
    [
        (HOLDS & HOLDS, Outcome.HOLDS, "part 1 of 2"),
        (HOLDS & OPEN, Outcome.INCONCLUSIVE, "part 2 of 2"),
        (OPEN & HOLDS, Outcome.INCONCLUSIVE, "part 1 of 2"),
        (OPEN & REFUTED & HOLDS, Outcome.REFUTED, "part 2 of 3"),
        (REFUTED & GATED & OPEN, Outcome.INVALID, "part 2 of 3"),
        (HOLDS, Outcome.HOLDS, ""),
    ],
    ids=["all hold", "one open", "the first open", "one refuted", "one gated", "a single one"],
)
def test_a_conjunction_is_as_good_as_its_weakest_part(hypothesis: Hypothesis, outcome: Outcome, part: str) -> None:
    verdict = judge(hypothesis)
    assert (verdict.outcome, verdict.part) == (outcome, part)


def test_a_conjunction_shows_the_numbers_of_its_weakest_part() -> None:
    verdict, alone = judge(HOLDS & OPEN), judge(OPEN)
    assert (verdict.value, verdict.low, verdict.high) == (alone.value, alone.low, alone.high)
    assert (verdict.tolerance, verdict.threshold) == (alone.tolerance, alone.threshold)


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        (HOLDS, BARELY),
        (between(2, 2) > 0, HOLDS),
        (OPEN, between(-3, 2) > 0),
        (OPEN, between(-1, 2.5).is_negligible(within=1)),
        (between(-3, -1) > 0, between(-1.5, -1) > 0),
        (between(-3, -1) > 0, between(0, 0) > 0),
    ],
    ids=["both hold", "one without doubt", "both open", "a side of a margin", "both refuted", "equal"],
)
def test_of_equal_outcomes_the_part_that_leads_by_fewer_half_widths_is_the_weakest(
    stronger: Hypothesis, weaker: Hypothesis
) -> None:
    assert judge(stronger).outcome is judge(weaker).outcome
    assert judge(stronger & weaker).part == "part 2 of 2"
    assert judge(weaker & stronger).part == "part 1 of 2"


def test_a_conjunction_names_the_gates_of_all_its_parts() -> None:
    other = between(4, 6, gates=("a NaN",)) > 0
    assert judge(GATED & HOLDS & other).gates == ("a NaN", "zero dW")


def test_parts_of_a_conjunction_may_be_measured_on_other_rows() -> None:
    verdict = judge(HOLDS & (between(-1, 2, clusters=7) > 0))
    assert (verdict.outcome, verdict.n_rows) == (Outcome.INCONCLUSIVE, 7)


@few
@given(st.lists(st.sampled_from([HOLDS, BARELY, OPEN, REFUTED, GATED]), min_size=2, max_size=4))
def test_the_order_of_a_conjunction_does_not_change_its_outcome(parts: list[Hypothesis]) -> None:
    forth = judge(Hypothesis(tuple(part.parts[0] for part in parts)))
    back = judge(Hypothesis(tuple(part.parts[0] for part in reversed(parts))))
    assert (forth.outcome, forth.gates) == (back.outcome, back.gates)
