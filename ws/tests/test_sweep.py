"""The measures of a sweep, on rows made by hand: which rows each uses, which it ignores, and when it is gated."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.errors import DataError, EstimateError
from ws.stats.estimate import Estimate
from ws.stats.sweep import MIN_CLUSTERS, PMASS_GATE, Measure, Sweep

COEFFS = (-2.0, -1.0, 0.0, 1.0, 2.0)
PAIRS = ("agree", "true")

nats = st.floats(-5, 5)
several = settings(max_examples=10, deadline=None)


def frame(
    *,
    effect: float = 0.0,
    push: float = 0.0,
    knowledge: float = 0.0,
    pmass: float = 0.9,
    clusters: int = 12,
    seeds: int = 2,
) -> pd.DataFrame:
    """Claims in two balanced pairs of phrasings and as many facts, all moving with the coefficient.

    effect: towards the behavior. push: towards Yes, everywhere. knowledge: towards the right answer of facts.
    """
    rows = []
    for seed in range(seeds):
        for coeff in COEFFS:
            for cluster in range(clusters):
                start = 0.3 * cluster - 0.2 * seed
                for pair in PAIRS:
                    for sign in (1, -1):
                        moved = start + coeff * (push + sign * effect)
                        rows.append((seed, coeff, f"claim{cluster}", f"{pair}{sign}", pair, sign, moved))
                answer = "yes" if cluster % 2 else "no"
                moved = start + coeff * (push + (knowledge if answer == "yes" else -knowledge))
                rows.append((seed, coeff, f"fact{cluster}", answer, "fact", 0, moved))
    columns = ["seed", "coeff", "cluster", "phrasing", "pair", "sign", "log_ratio"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(question_id=table["cluster"] + "/" + table["phrasing"], pmass=pmass)


def with_pmass(table: pd.DataFrame, *, coeff: float, pmass: float) -> pd.DataFrame:
    return table.assign(pmass=table["pmass"].where(table["coeff"] != coeff, pmass))


def shuffled_values(table: pd.DataFrame) -> pd.DataFrame:
    """The same rows with log-ratios and pmass of no pattern."""
    numbers = pd.Series(range(len(table)))
    return table.assign(log_ratio=(numbers * 0.618 % 1 * 8 - 4), pmass=0.5 + (numbers * 0.414 % 1) / 2)


@pytest.mark.parametrize(
    "read",
    [
        lambda sweep: sweep.at(0.0),
        lambda sweep: sweep.effect,
        lambda sweep: sweep.spread,
        lambda sweep: sweep.movement,
        lambda sweep: sweep.pmass(1.0),
        lambda sweep: sweep.pmass_at_ends,
        lambda sweep: sweep.yes_bias,
        lambda sweep: sweep.fact_knowledge,
    ],
)
def test_every_number_of_a_sweep_carries_its_sources_and_notes(read: Callable[[Sweep], Estimate]) -> None:
    number = read(Sweep(frame(), sources=("rows", "base"), notes=("first",)).noting("second", sources=["axes"]))
    assert (number.sources, number.notes) == (("rows", "base", "axes"), ("first", "second"))


def test_movement_is_how_far_rows_move_whichever_way() -> None:
    sweep = Sweep(frame(effect=0.3, push=0.1), "corrected", pair="agree")
    # Rows of one sign move by push + effect, of the other by push - effect.
    assert sweep.movement.value == pytest.approx((0.4 + 0.2) / 2)
    assert Sweep(frame(push=-0.5), "raw").movement.value == pytest.approx(0.5)


def test_movement_needs_the_same_rows_at_both_coefficients() -> None:
    rows = frame()
    torn = rows[(rows["coeff"] != 1.0) | (rows["cluster"] != "claim3")]
    with pytest.raises(DataError, match="are not the same rows; score both on one set"):
        _ = Sweep(torn).movement


def test_raw_is_the_mean_of_one_phrasing() -> None:
    table = shuffled_values(frame())
    read = table[(table["coeff"] == 1) & (table["pair"] == "agree") & (table["sign"] == 1)]
    seen = Sweep(table, "raw").at(1.0)
    assert seen.value == pytest.approx(read["log_ratio"].mean())
    assert (seen.n_rows, seen.n_clusters, seen.n_seeds) == (12, 12, 2)


def test_raw_is_of_the_first_phrasing_where_the_journal_s_is_not_asked() -> None:
    table = shuffled_values(frame())
    renamed = table.assign(pair=table["pair"].replace({"agree": "fair"}))
    assert Sweep(renamed, "raw").effect.value == Sweep(table, "raw").effect.value
    other = table.assign(pair=table["pair"].replace({"agree": "true", "true": "agree"}))
    assert Sweep(other, "raw").effect.value != Sweep(table, "raw").effect.value


def test_corrected_turns_rows_by_their_sign() -> None:
    table = shuffled_values(frame())
    read = table[(table["coeff"] == 1) & (table["sign"] != 0)]
    seen = Sweep(table).at(1.0)
    assert seen.value == pytest.approx((read["sign"] * read["log_ratio"]).mean())
    assert (seen.n_rows, seen.n_clusters, seen.n_seeds) == (48, 12, 2)


@pytest.mark.parametrize("pair", PAIRS)
def test_corrected_can_keep_to_one_pair(pair: str) -> None:
    table = shuffled_values(frame())
    read = table[(table["coeff"] == -2) & (table["pair"] == pair)]
    seen = Sweep(table, pair=pair).at(-2.0)
    assert seen.value == pytest.approx((read["sign"] * read["log_ratio"]).mean())
    assert seen.n_rows == 24


def test_effect_and_spread_are_differences_of_means() -> None:
    sweep = Sweep(shuffled_values(frame()))
    assert sweep.effect.value == pytest.approx(sweep.at(1.0).value - sweep.at(0.0).value)
    assert sweep.spread.value == pytest.approx(sweep.at(2.0).value - sweep.at(-2.0).value)


@given(effect=nats, push=nats)
@several
def test_a_push_towards_yes_is_no_corrected_effect(effect: float, push: float) -> None:
    table = frame(effect=effect, push=push, clusters=10)
    corrected, raw = Sweep(table), Sweep(table, "raw")
    assert corrected.effect.value == pytest.approx(effect, abs=1e-9)
    assert raw.effect.value == pytest.approx(effect + push, abs=1e-9)
    assert corrected.spread.value == pytest.approx(4 * effect, abs=1e-9)
    assert raw.spread.value == pytest.approx(4 * (effect + push), abs=1e-9)


@given(push=nats, pair=st.sampled_from(PAIRS))
@several
def test_a_pure_push_has_zero_corrected_effect_in_each_pair(push: float, pair: str) -> None:
    effect = Sweep(frame(push=push, clusters=10), pair=pair).effect
    assert effect.value == pytest.approx(0, abs=1e-9)
    assert effect.interval() == pytest.approx((0, 0), abs=1e-9)


@given(effect=nats, push=nats, knowledge=nats)
@several
def test_facts_tell_the_push_from_the_knowledge(effect: float, push: float, knowledge: float) -> None:
    sweep = Sweep(frame(effect=effect, push=push, knowledge=knowledge, clusters=10))
    assert sweep.yes_bias.value == pytest.approx(push, abs=1e-9)
    assert sweep.fact_knowledge.value == pytest.approx(knowledge, abs=1e-9)
    assert sweep.yes_bias.n_rows == 10


@pytest.mark.parametrize("push", [0.0, 3.0])
def test_a_push_towards_yes_adds_no_doubt_to_what_is_known(push: float) -> None:
    low, high = Sweep(frame(push=push, knowledge=0.2)).fact_knowledge.interval()
    assert (low, high) == pytest.approx((0.2, 0.2), abs=1e-9)


def test_doubt_about_facts_is_that_of_two_samples() -> None:
    """The textbook's variance of half the difference of two means, one of facts answered Yes and one answered No."""
    table = frame(push=2.0, clusters=40, seeds=1)
    moves = pd.Series(np.random.default_rng(0).normal(size=40), [f"fact{number}" for number in range(40)])
    moved = (table["sign"] == 0) & (table["coeff"] == 1.0)
    added = table["cluster"].map(moves).where(moved, 0.0)
    known = Sweep(table.assign(log_ratio=table["log_ratio"] + added)).fact_knowledge
    of_yes, of_no = moves.iloc[1::2], moves.iloc[::2]
    assert known.value == pytest.approx((of_yes.mean() - of_no.mean()) / 2)
    exact = math.sqrt(of_yes.var() / 20 + of_no.var() / 20) / 2
    assert np.std(known.resampled) == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("measure", ["raw", "corrected"])
def test_pmass_is_that_of_the_rows_of_the_measure(measure: str) -> None:
    table = shuffled_values(frame())
    read = table[table["sign"] != 0]
    read = read[(read["pair"] == "agree") & (read["sign"] == 1)] if measure == "raw" else read
    sweep = Sweep(table, measure)
    means = read.groupby("coeff")["pmass"].mean()
    assert sweep.pmass(1.0).value == pytest.approx(means[1.0])
    assert sweep.pmass_at_ends.value == pytest.approx((means[-2.0] + means[2.0]) / 2)


def test_a_healthy_sweep_has_no_gates() -> None:
    sweep = Sweep(frame())
    assert sweep.effect.gates == sweep.spread.gates == ()


def test_low_pmass_gates_the_coefficient_it_belongs_to() -> None:
    sweep = Sweep(with_pmass(frame(), coeff=1.0, pmass=0.3))
    gates = ("pmass 0.30 < 0.5 at coeff +1",)
    assert sweep.effect.gates == sweep.at(1.0).gates == gates
    assert sweep.spread.gates == sweep.at(0.0).gates == ()


@pytest.mark.parametrize(("pmass", "trips"), [(PMASS_GATE, False), (PMASS_GATE - 1e-3, True)])
def test_the_pmass_gate_lies_at_its_constant(pmass: float, trips: bool) -> None:
    assert bool(Sweep(frame(pmass=pmass)).at(0.0).gates) is trips


def test_pmass_itself_is_reported_without_its_gate() -> None:
    assert Sweep(frame(pmass=0.1)).pmass(1.0).gates == ()


@pytest.mark.parametrize(("clusters", "gates"), [(MIN_CLUSTERS, ()), (9, ("too few rows: 9 clusters < 10",))])
def test_few_clusters_are_gated(clusters: int, gates: tuple[str, ...]) -> None:
    assert Sweep(frame(clusters=clusters)).effect.gates == gates


@pytest.mark.parametrize("reads", ["effect", "yes_bias", "fact_knowledge"])
def test_a_coefficient_that_was_not_scored_is_named(reads: str) -> None:
    table = frame()
    without = Sweep(table[table["coeff"] != 1.0])
    with pytest.raises(DataError, match=r"no rows at coefficient 1\.0; this sweep has \[.*-2\.0.*2\.0.*\]"):
        getattr(without, reads)


def test_a_pair_that_does_not_exist_has_no_mean() -> None:
    with pytest.raises(EstimateError, match="the table is empty"):
        Sweep(frame(), pair="tru").at(0.0)


def test_measures_do_not_share_rows_by_chance() -> None:
    sweep = Sweep(frame(effect=1.0, push=3.0))
    assert replace(sweep, measure="raw").effect.value == pytest.approx(4)
    assert sweep.effect.value == pytest.approx(1)


def text(*, effect: float = 0.0, cost: float = 0.0, clusters: int = 12, seeds: int = 2) -> pd.DataFrame:
    """Two pairs of answers to each message, + and - further apart by effect and all less likely by cost, per coeff."""
    rows = [
        (seed, coeff, f"m{cluster}", f"pair-{pair}", sign, -2 - 0.1 * cluster - 0.2 * pair * seed)
        for seed in range(seeds)
        for coeff in COEFFS
        for cluster in range(clusters)
        for pair in (0, 1)
        for sign in (1, -1)
    ]
    table = pd.DataFrame(rows, columns=["seed", "coeff", "cluster", "pair", "sign", "start"])
    table["log_p"] = table["start"] + table["coeff"] * (table["sign"] * effect / 2 - cost)
    return table.assign(question_id=table["cluster"] + table["pair"] + table["sign"].astype(str))


@given(effect=nats, cost=nats)
@several
def test_text_tells_the_effect_from_the_cost(effect: float, cost: float) -> None:
    sweep = Sweep(text(effect=effect, cost=cost), "text")
    assert sweep.effect.value == pytest.approx(effect, abs=1e-9)
    assert sweep.spread.value == pytest.approx(4 * effect, abs=1e-9)
    assert sweep.likelihood().value == pytest.approx(-cost, abs=1e-9)
    assert sweep.likelihood(-2.0).value == pytest.approx(2 * cost, abs=1e-9)


def test_text_is_the_mean_of_plus_answers_minus_that_of_minus_answers() -> None:
    table = text().assign(log_p=lambda rows: -(pd.Series(range(len(rows))) * 0.618 % 1))
    read = table[table["coeff"] == 1.0].groupby("sign")["log_p"].mean()
    assert Sweep(table, "text").at(1.0).value == pytest.approx(read[1] - read[-1])
    first = table[(table["coeff"] == 1.0) & (table["pair"] == "pair-0")].groupby("sign")["log_p"].mean()
    assert Sweep(table, "text", pair="pair-0").at(1.0).value == pytest.approx(first[1] - first[-1])


def test_swapping_the_sides_turns_the_sign() -> None:
    table = text(effect=0.3, cost=0.1)
    turned = Sweep(table.assign(sign=-table["sign"]), "text")
    assert turned.effect.value == pytest.approx(-0.3)
    assert turned.likelihood().value == pytest.approx(-0.1)


@pytest.mark.parametrize("measure", ["text", "corrected", "written"])
def test_of_shuffled_sides_nothing_is_left(measure: Measure) -> None:
    rows = frame(effect=0.3) if measure == "corrected" else text(effect=0.3)
    sweep = Sweep(rows.assign(sign=1, log_ratio=0.3 * rows["coeff"]) if measure == "written" else rows, measure)
    assert sweep.effect.value == pytest.approx(0.3)
    # The same half at every seed and coefficient, so that each seed alone has nothing left either.
    assert sweep.with_sides_shuffled().effect.by_seed.to_list() == pytest.approx([0, 0], abs=1e-9)
    with pytest.raises(DataError, match="the raw measure takes Yes for the behavior and has no sides"):
        replace(sweep, measure="raw").with_sides_shuffled()


def test_written_answers_count_as_they_are_judged() -> None:
    rows = text().assign(sign=1, log_ratio=lambda rows: 0.1 * rows["coeff"], log_p=lambda rows: -rows["coeff"])
    sweep = Sweep(rows, "written")
    assert sweep.effect.value == pytest.approx(0.1)
    assert sweep.likelihood().value == pytest.approx(-1)


@pytest.mark.parametrize("measure", ["text", "written"])
def test_text_has_no_pmass_and_yes_or_no_have_no_likelihood(measure: Measure) -> None:
    sweep = Sweep(text(), measure)
    for read in (lambda: sweep.pmass(1.0), lambda: sweep.yes_bias, lambda: sweep.fact_knowledge):
        with pytest.raises(DataError, match=f"asked for of {measure} rows; expected Yes/No questions"):
            read()
    with pytest.raises(DataError, match="asked for of corrected rows; expected text; see pmass"):
        Sweep(frame()).likelihood()


def test_text_is_gated_by_few_messages_alone() -> None:
    assert Sweep(text(clusters=MIN_CLUSTERS), "text").effect.gates == ()
    assert Sweep(text(clusters=9), "text").effect.gates == ("too few rows: 9 clusters < 10",)
