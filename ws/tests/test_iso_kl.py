"""KLs agree with two whole forward passes per token, and the search finds the coefficient of a given KL."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.errors import DataError, MismatchError
from ws.models.chat import prompt_ids, turn_ends
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.steering import iso_kl
from ws.steering.interventions import Activations, Intervention, Nothing, SystemPrompt, Weights
from ws.steering.iso_kl import (
    DIGITS,
    OCTAVES,
    REFINEMENTS,
    TOLERANCE,
    BudgetError,
    Calibration,
    Divergence,
    IsoKL,
    calibrated,
    kl_nats,
    kl_quantile,
    read_divergence,
    read_iso_kl,
)
from ws.store import Store
from ws.tests.small import ON, adapter, fingerprint
from ws.tests.test_greedy import likeliest
from ws.tests.test_interventions import Given
from ws.training.direction import Direction

MANY = settings(max_examples=100, deadline=None)
MESSAGES = ("Is water dry?", "Do stones float on the sea at night?", "Is?")
STEPS = 5
TERSE = SystemPrompt("You are terse.")
WEIGHTS = Weights(Direction(adapter(), adapter(sign="minus")))
VECTORS = Activations(Given(), (2, 4))

ISO = IsoKL(ON, MESSAGES, VECTORS, new_tokens=STEPS)
SIDES = st.sampled_from([+1, -1])
WITHIN_REACH = st.floats(1.1 * 2.0**-OCTAVES, 0.9 * 2.0**OCTAVES)


def divergence(intervention: Intervention, *coeffs: float) -> Divergence:
    return Divergence(ON, MESSAGES, intervention, coeffs, new_tokens=STEPS)


# Distances


def next_token(lm: LanguageModel, ids: list[int]) -> torch.Tensor:
    """Log-probabilities in float64 of what follows, from a whole forward pass of a prompt that is alone."""
    with torch.no_grad():
        return lm.model(torch.tensor([ids]), use_cache=False).logits[0, -1].double().log_softmax(dim=-1)


def slowly(lm: LanguageModel, store: Store, intervention: Intervention, coeff: float) -> list[tuple[int, int, float]]:
    """Message, token and KL, one prompt and one token at a time."""
    ready, rows = intervention.ready(lm, store), []
    for index, message in enumerate(MESSAGES):
        asked = prompt_ids(lm.tokenizer, user=message, system=intervention.system(coeff))
        plain = prompt_ids(lm.tokenizer, user=message)
        with ready.at(coeff):
            answer = likeliest(lm, asked, stop=turn_ends(lm)[0], steps=STEPS)
        for token in range(len(answer)):
            with ready.at(coeff):
                steered = next_token(lm, asked + answer[:token])
            base = next_token(lm, plain + answer[:token])
            rows.append((index, token, float((steered.exp() * (steered - base)).sum())))
    return rows


@pytest.mark.parametrize(
    ("intervention", "coeff"),
    [(WEIGHTS, 1.0), (WEIGHTS, -3.0), (VECTORS, 1.0), (TERSE, 1.0)],
    ids=["Weights", "Weights-3", "Activations", "SystemPrompt"],
)
def test_a_distance_is_that_of_each_prompt_alone(
    store: Store, lm: LanguageModel, intervention: Intervention, coeff: float
) -> None:
    table = read_divergence(store, divergence(intervention, coeff))
    expected = pd.DataFrame(slowly(lm, store, intervention, coeff), columns=["message", "token", "kl"])
    assert expected["kl"].min() > 1e-5
    assert table["coeff"].to_list() == [coeff] * len(expected)
    assert [*zip(table["message"], table["token"], strict=True)] == [
        *zip(expected["message"], expected["token"], strict=True)
    ]
    assert table["kl"].to_list() == pytest.approx(expected["kl"].to_list(), rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("intervention", [Nothing(), TERSE, WEIGHTS, VECTORS], ids=lambda one: type(one).__name__)
def test_the_unchanged_model_is_at_distance_zero(store: Store, intervention: Intervention) -> None:
    table = read_divergence(store, divergence(intervention, 0.0))
    assert set(table["message"]) == {0, 1, 2}
    assert (table["kl"] == 0).all()


def test_each_coefficient_has_the_rows_it_has_alone(store: Store) -> None:
    table = read_divergence(store, divergence(VECTORS, -1.0, 0.0, 1.0))
    assert table["kl"].dtype == np.float32
    for coeff, rows in table.groupby("coeff"):
        alone = read_divergence(store, divergence(VECTORS, float(coeff)))
        pd.testing.assert_frame_equal(rows.reset_index(drop=True), alone, check_exact=True)


def test_measuring_leaves_the_model_as_it_was(lm: LanguageModel, store: Store) -> None:
    before = fingerprint(lm)
    store.get(divergence(WEIGHTS, 0.7))
    assert fingerprint(lm) == before


def test_kl_is_that_of_the_definition() -> None:
    p, q = torch.tensor([[0.5, 0.25, 0.25]]), torch.tensor([[0.125, 0.125, 0.75]])
    found = kl_nats(p.log() + 3, q.log() - 7)
    # 1/2 log 4 + 1/4 log 2 + 1/4 log 1/3
    torch.testing.assert_close(found, torch.tensor([1.25 * math.log(2) - 0.25 * math.log(3)]))
    assert kl_nats(p.log(), p.log()).item() == 0


def test_kl_is_in_fp32_where_logits_are_not() -> None:
    generator = torch.Generator().manual_seed(0)
    steered, base = (torch.randn(4, 900, generator=generator).bfloat16() for _ in range(2))
    found = kl_nats(steered, base)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, kl_nats(steered.float(), base.float()), rtol=0, atol=0)


def test_a_quantile_is_between_the_tokens_and_hides_no_nan() -> None:
    table = pd.DataFrame({"coeff": 1.0, "kl": np.arange(101, dtype=np.float32)})
    assert kl_quantile(table) == pytest.approx(95)
    assert kl_quantile(table, quantile=0.255) == pytest.approx(25.5)
    assert math.isnan(kl_quantile(table.assign(kl=table["kl"].where(table["kl"] > 0))))


# Calibration of the model


@pytest.mark.parametrize(
    ("intervention", "side"), [(WEIGHTS, +1), (VECTORS, +1), (VECTORS, -1)], ids=["Weights", "Vectors", "Vectors-"]
)
def test_the_coefficient_found_has_the_distance_recorded(store: Store, intervention: Intervention, side: int) -> None:
    recipe = replace(ISO, intervention=intervention, side=side)
    found = read_iso_kl(store, recipe)
    assert math.copysign(1, found.coeff) == side
    assert found.converged == (abs(found.kl / recipe.budget - 1) <= TOLERANCE)
    assert found.evaluations == len(found.curve)
    assert found.curve[0][0] == side
    assert (found.coeff, found.kl) in found.curve
    measured = kl_quantile(read_divergence(store, divergence(intervention, found.coeff)), quantile=recipe.quantile)
    assert measured == pytest.approx(found.kl, rel=1e-6)
    unit = kl_quantile(read_divergence(store, divergence(intervention, float(side))), quantile=recipe.quantile)
    assert unit == pytest.approx(found.curve[0][1], rel=1e-6)


def test_methods_at_one_budget_are_equally_far(store: Store) -> None:
    steps = {scale: Activations(Given(), (2,), scale) for scale in ("raw", "unit")}
    raw, unit = (read_iso_kl(store, replace(ISO, intervention=steps[scale])) for scale in ("raw", "unit"))
    assert raw.converged
    assert unit.converged
    # Each is within TOLERANCE of the budget.
    assert unit.kl == pytest.approx(raw.kl, rel=2 * TOLERANCE / (1 - TOLERANCE))
    # A given vector is 3 long, so the same steps are 3 times as many units.
    same = read_divergence(store, divergence(steps["unit"], 3 * raw.coeff))
    assert kl_quantile(same, quantile=ISO.quantile) == pytest.approx(raw.kl, rel=1e-3)


def test_a_calibration_is_read_as_it_was_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Calibration(-0.5, 0.25, False, 2, ((-1.0, None), (-0.5, 0.25)))
    monkeypatch.setattr(iso_kl, "calibrated", lambda kl_at, *, budget, side: found)
    assert read_iso_kl(store, replace(ISO, side=-1, new_tokens=1)) == found


def test_a_budget_out_of_reach_names_the_intervention(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iso_kl, "divergence_at", lambda *_, **__: pd.DataFrame({"coeff": [1.0], "kl": [0.125]}))
    with pytest.raises(BudgetError, match=r"given vectors at 2 blocks: no coefficient of sign \+1 .* \+1 \(0\.125\)"):
        store.get(replace(ISO, new_tokens=2))


def test_a_key_covers_how_answers_are_given(store: Store) -> None:
    from ws.code.sources import reached

    covered = reached(IsoKL.build, owners=(IsoKL, Activations))
    assert {
        "ws.steering.iso_kl:divergence_at",
        "ws.steering.iso_kl:calibrated",
        "ws.engine.greedy:greedy_answers",
    } <= set(covered)
    assert store.key(ISO) != store.key(replace(ISO, quantile=0.9))


# Refusals


NOTHING = "give one token or more and one message or more, each with words in it"


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        *(
            (ISO, {"intervention": one}, "has no strength to calibrate .* measure its Div")
            for one in (TERSE, Nothing())
        ),
        *((ISO, {"budget": x}, "a budget that is finite and more than 0") for x in (0.0, -0.5, math.inf, math.nan)),
        *((ISO, {"quantile": x}, "expected a quantile between 0 and 1") for x in (0.0, 1.0, 95.0, math.nan)),
        *((ISO, {"side": x}, rf"side {x}; expected \+1 or -1") for x in (0, 2)),
        *((one, {"messages": ()}, NOTHING) for one in (ISO, divergence(VECTORS, 1.0))),
        *((one, {"messages": ("Is?", " \n")}, NOTHING) for one in (ISO, divergence(VECTORS, 1.0))),
        *((one, {"new_tokens": 0}, NOTHING) for one in (ISO, divergence(VECTORS, 1.0))),
        (divergence(VECTORS, 1.0), {"coeffs": ()}, "a divergence at 0 coefficients; give one or more"),
        (divergence(TERSE, 1.0), {"coeffs": (1.0, 0.5)}, "words have no strength"),
    ],
    ids=str,
)
def test_what_cannot_be_measured_or_calibrated_is_refused(
    recipe: IsoKL | Divergence, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        replace(recipe, **changes)


def test_a_quantile_is_of_one_coefficient() -> None:
    for coeffs in ((), (1.0, 2.0)):
        with pytest.raises(DataError, match=rf"a quantile over {len(coeffs)} coefficients at once"):
            kl_quantile(pd.DataFrame({"coeff": coeffs, "kl": 0.1}))


@pytest.mark.parametrize("recipe", [ISO, divergence(VECTORS, 1.0)], ids=lambda one: type(one).__name__)
def test_an_intervention_of_another_model_is_refused(recipe: IsoKL | Divergence) -> None:
    with pytest.raises(MismatchError, match="it was made for tiny-random-qwen3; make it anew"):
        replace(recipe, on=Placed(weights_of("smollm2-135m")))


# The search alone


def told(found: Calibration, kl_at: Callable[[float], float], *, budget: float, side: int) -> None:
    """Check what holds for every calibration: its curve lists all calls in order and contains the chosen point."""
    asked = [coeff for coeff, _ in found.curve]
    assert asked[0] == side
    assert len(set(asked)) == len(asked) == found.evaluations <= 1 + OCTAVES + REFINEMENTS
    assert asked == [float(f"{coeff:.{DIGITS}g}") for coeff in asked]
    assert all(coeff * side > 0 for coeff in asked)
    for coeff, kl in found.curve:
        assert kl == (kl_at(coeff) if math.isfinite(kl_at(coeff)) else None)
    off = {coeff: abs(kl / budget - 1) for coeff, kl in found.curve if kl is not None}
    assert (found.coeff, found.kl) in found.curve
    assert off[found.coeff] == min(off.values())
    assert found.converged == (off[found.coeff] <= TOLERANCE)


@MANY
@given(at=WITHIN_REACH, power=st.floats(0.5, 6), budget=st.floats(1e-3, 10), side=SIDES)
def test_a_power_of_the_coefficient_is_met_at_once(at: float, power: float, budget: float, side: int) -> None:
    def kl_at(coeff: float) -> float:
        return budget * (abs(coeff) / at) ** power

    found = calibrated(kl_at, budget=budget, side=side)
    told(found, kl_at, budget=budget, side=side)
    assert found.converged
    octaves = math.ceil(abs(math.log2(at)))
    # The secant of a straight line is exact.
    assert found.evaluations <= 1 + octaves + 1 + 1
    assert abs(found.coeff) == pytest.approx(at, rel=1.1 * TOLERANCE / power)


@MANY
@given(at=WITHIN_REACH, steep=st.floats(1, 8), top=st.floats(1.5, 50), side=SIDES)
def test_a_distance_that_levels_off_is_met_all_the_same(at: float, steep: float, top: float, side: int) -> None:
    budget = 0.5

    def kl_at(coeff: float) -> float:
        grown = (abs(coeff) / at) ** steep
        return budget * top * grown / (top - 1 + grown)

    found = calibrated(kl_at, budget=budget, side=side)
    told(found, kl_at, budget=budget, side=side)
    assert found.converged


@MANY
@given(
    jump=WITHIN_REACH,
    low=st.sampled_from([0.0, 1e-9, 0.1, 0.48]),
    high=st.sampled_from([0.52, 0.6, 3.0, 1e6]),
    side=SIDES,
)
def test_a_jump_over_the_budget_is_enclosed_and_the_nearer_side_kept(
    jump: float, low: float, high: float, side: int
) -> None:
    def kl_at(coeff: float) -> float:
        return low if abs(coeff) < jump else high

    found = calibrated(kl_at, budget=0.5, side=side)
    told(found, kl_at, budget=0.5, side=side)
    assert not found.converged
    below = max(abs(coeff) for coeff, kl in found.curve if kl == low)
    above = min(abs(coeff) for coeff, kl in found.curve if kl == high)
    assert below < jump <= above
    assert above / below < 1.012


@MANY
@given(at=WITHIN_REACH, beyond=st.floats(1, 3), broken=st.sampled_from([math.nan, math.inf]), side=SIDES)
def test_a_model_that_breaks_beyond_the_budget_is_calibrated(
    at: float, beyond: float, broken: float, side: int
) -> None:
    def kl_at(coeff: float) -> float:
        return 0.5 * (abs(coeff) / at) ** 2 if abs(coeff) <= beyond * at else broken

    found = calibrated(kl_at, budget=0.5, side=side)
    told(found, kl_at, budget=0.5, side=side)
    assert found.converged or beyond < 1 + 2 * 10.0**-DIGITS


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_model_that_breaks_before_the_budget_keeps_the_last_sound_point(broken: float) -> None:
    def kl_at(coeff: float) -> float:
        return 0.1 * coeff if coeff < 1.7 else broken

    found = calibrated(kl_at, budget=0.5, side=+1)
    told(found, kl_at, budget=0.5, side=+1)
    assert not found.converged
    assert found.coeff == pytest.approx(1.7, rel=1e-3)
    assert found.kl < 0.17
    assert (2.0, None) in found.curve


@pytest.mark.parametrize(
    ("kl", "budget", "words", "last"),
    [
        (0.3, 0.5, "less", r"\+1024 \(0\.3\)"),
        (0.9, 0.5, "more", r"\+0\.0009766 \(0\.9\)"),
        (math.nan, 0.5, "more", "nan"),
    ],
    ids=["plateau-below", "plateau-above", "broken"],
)
def test_a_budget_out_of_reach_shows_what_was_tried(kl: float, budget: float, words: str, last: str) -> None:
    tried: list[float] = []

    def kl_at(coeff: float) -> float:
        tried.append(coeff)
        return kl

    with pytest.raises(
        BudgetError, match=rf"a KL of {budget:g} nats: it is {words} at each of \+1 \(.*{last}.*; choose"
    ):
        calibrated(kl_at, budget=budget, side=+1)
    assert len(tried) == 1 + OCTAVES


@MANY
@given(values=st.lists(st.floats(0, 2) | st.just(math.nan), min_size=40, max_size=40), side=SIDES)
def test_a_distance_without_rhyme_is_told_as_it_was(values: list[float], side: int) -> None:
    def kl_at(coeff: float) -> float:
        if abs(coeff) < 2**-9.5:
            return 0.1
        return values[int(1e4 * abs(coeff)) % 40] if abs(coeff) < 2**9.5 else 3.0

    told(calibrated(kl_at, budget=0.5, side=side), kl_at, budget=0.5, side=side)
