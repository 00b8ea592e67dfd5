"""Measurements of an arm agree with a computation from its rows, and every number carries the keys of its rows."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from ws.contest import readings
from ws.contest.arm import Arm, Dose, RecipeOf, RecipesOf
from ws.contest.contest import Contest
from ws.scoring.scored import read_scored
from ws.scoring.side_effects import read_answers, read_text
from ws.stats.estimate import Estimate
from ws.stats.specificity import TARGET
from ws.steering.interventions import Nothing
from ws.store import Store
from ws.study.subject import Subject

CONTEST = Contest(Subject("tiny-random-qwen3", behavior_name="honesty"))
PROMPT = CONTEST.prompt("simple-honest")
ARM = Arm("simple", tuple(Dose(seed, PROMPT, 1.0) for seed in (0, 1)))
UNRANKED = Arm("simple", ARM.doses, ranked=False)
TURNED = Arm("simple", ARM.doses, side=-1, ranked=False)
"""An arm turned round: its rows were scored at coefficient 1 and count as coefficient -1."""


effect_on_dilemmas = partial(readings.effect_of, read="dilemmas")


def moved(store: Store, recipe_of: RecipeOf) -> pd.DataFrame:
    """Rows with the change of their log-ratio towards their label; both seeds of the arm have the same."""
    table = ARM.table(store, recipe_of)
    one = table[table["seed"] == 0].set_index("question_id")
    change = one[one["coeff"] == 1.0]["log_ratio"] - one[one["coeff"] == 0.0]["log_ratio"]
    rows = one[one["coeff"] == 0.0]
    return rows.assign(change=change * rows["sign"].where(rows["sign"] != 0, 1))


def asked(store: Store, recipe_of: RecipeOf) -> float:
    rows = moved(store, recipe_of)
    return rows[rows["sign"] != 0]["change"].mean()


def test_a_table_reads_every_seed_as_its_side_and_the_unchanged_model_as_0(store: Store) -> None:
    table = TURNED.table(store, CONTEST.rows)
    assert set(zip(table["seed"], table["coeff"], strict=True)) == {(0, -1.0), (0, 0.0), (1, -1.0), (1, 0.0)}
    one, base = (store.key(CONTEST.rows(made, coeffs=(c,))) for made, c in ((PROMPT, 1.0), (Nothing(), 0.0)))
    assert TURNED.keys(store, CONTEST.rows) == (one, one, base)


def test_the_effect_on_dilemmas_is_towards_honesty_and_that_of_an_arm_turned_round_is_its_own(store: Store) -> None:
    effect, turned = (effect_on_dilemmas(store, CONTEST, arm) for arm in (ARM, TURNED))
    assert effect.value == turned.value == pytest.approx(asked(store, CONTEST.rows), abs=1e-6)


@pytest.mark.parametrize("arm", [ARM, TURNED])
def test_the_share_of_rows_moved_against_their_label(store: Store, arm: Arm) -> None:
    rows = moved(store, CONTEST.rows)
    against = (rows[rows["sign"] != 0]["change"] < 0).mean()
    assert 0 < against < 1
    assert readings.moved_against(store, CONTEST, arm).value == pytest.approx(against)


def test_a_row_without_a_number_is_not_one_that_is_moved_towards_its_label(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = readings.dilemmas(store, CONTEST, UNRANKED)
    first = (swept.rows["coeff"] == 1) & (swept.rows["sign"] != 0)
    log_ratio = swept.rows["log_ratio"].mask(first & (first.cumsum() == 1))
    broken = replace(swept, rows=swept.rows.assign(log_ratio=log_ratio))
    monkeypatch.setattr(readings, "dilemmas", lambda *_: broken)
    assert "NaN" in readings.moved_against(store, CONTEST, UNRANKED).gates[0]


@pytest.mark.parametrize(
    ("read", "rows"),
    [(readings.conduct, CONTEST.conduct_rows), (readings.sycophancy, CONTEST.sycophancy_rows)],
    ids=["conduct", "sycophancy"],
)
def test_other_claims_are_read_as_dilemmas_are(store: Store, read: Callable[..., object], rows: RecipeOf) -> None:
    assert read(store, CONTEST, ARM).effect.value == pytest.approx(asked(store, rows), abs=1e-6)


def test_axes_are_read_beside_their_target(store: Store) -> None:
    means = readings.movement_by_axis(store, CONTEST, ARM, target="conduct")
    by_topic = moved(store, CONTEST.axis_rows).groupby("topic")["change"].mean()
    assert means[TARGET].value == pytest.approx(asked(store, CONTEST.conduct_rows), abs=1e-6)
    assert {axis: mean.value for axis, mean in means.items() if axis != TARGET} == pytest.approx(
        by_topic.to_dict(), abs=1e-6
    )


def text_change(store: Store, recipes_of: RecipesOf) -> float:
    """Mean over seeds of + minus - answers, change from the unchanged model, one seed's rows after the other."""
    changes = []
    for seed in (0, 1):
        one, base = (
            read_scored(store, recipes_of(seed)(made, coeffs=(coeff,)))
            for made, coeff in ((PROMPT, 1.0), (Nothing(), 0.0))
        )
        change = (one["log_p"] - base["log_p"]).groupby(one["sign"]).mean()
        changes.append(change[1] - change[-1])
    return float(np.mean(changes))


def test_text_is_read_seed_by_seed_and_off_target_beside_it(store: Store) -> None:
    effect, turned = (readings.effect_of(store, CONTEST, arm, read="text") for arm in (ARM, TURNED))
    assert effect.value == turned.value == pytest.approx(text_change(store, CONTEST.text_of), abs=1e-6)
    assert effect.by_seed[0] != effect.by_seed[1]
    means = readings.movement_in_text(store, CONTEST, ARM)
    off_target = text_change(store, partial(CONTEST.text_of, behavior_name="sycophancy"))
    assert means[TARGET].value == pytest.approx(effect.value, abs=1e-6)
    assert means["sycophancy"].value == pytest.approx(off_target, abs=1e-6)
    assert readings.text(store, CONTEST, ARM, of="sycophancy").effect.value == pytest.approx(off_target, abs=1e-6)


def test_written_answers_are_read_seed_by_seed(store: Store) -> None:
    effect = readings.effect_of(store, CONTEST, ARM, read="written")
    expected = [
        read_scored(store, CONTEST.written_of(seed)(PROMPT, coeffs=(1.0,)))["log_ratio"].mean()
        - read_scored(store, CONTEST.written_of(seed)(Nothing(), coeffs=(0.0,)))["log_ratio"].mean()
        for seed in (0, 1)
    ]
    assert effect.by_seed.to_list() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("read", ["text", "written"])
def test_a_number_of_text_lists_its_rows_and_what_it_cost(store: Store, read: readings.Read) -> None:
    number = readings.effect_of(store, CONTEST, ARM, read=read)
    recipes_of = CONTEST.text_of if read == "text" else CONTEST.written_of
    assert number.sources == ARM.keys_by_seed(store, recipes_of)
    assert len(number.sources) == 4
    [note] = number.notes
    assert re.fullmatch(r"simple x1 at KL .*, all answers [+-]\d\.\d{3}", note)
    [cost] = readings.effect_of(store, CONTEST, UNRANKED, read=read).notes
    assert note.endswith(cost.removesuffix(" simple"))


@pytest.mark.parametrize(
    ("change", "read", "column"),
    [(readings.prose, read_text, "nll"), (readings.repetition, read_answers, "repetition")],
    ids=["prose", "repetition"],
)
def test_side_effects_are_means_above_the_unchanged_model(
    store: Store, change: Callable[..., Estimate], read: Callable[..., pd.DataFrame], column: str
) -> None:
    one, base = (
        read(store, CONTEST.side_effects(made, coeffs=(coeff,)))[column].mean()
        for made, coeff in ((PROMPT, 1.0), (Nothing(), 0.0))
    )
    assert change(store, CONTEST, ARM).value == pytest.approx(one - base, abs=1e-9)


@pytest.mark.parametrize(
    ("read", "recipes", "says"),
    [
        (effect_on_dilemmas, [CONTEST.rows, CONTEST.axis_rows], "simple x1 at KL .*, facts to Yes .*, .*"),
        (readings.moved_against, [CONTEST.rows, CONTEST.axis_rows], "simple x1 at KL .*, facts to Yes .*, .*"),
        (lambda *of: readings.conduct(*of).effect, [CONTEST.conduct_rows], "simple x1 at KL .*"),
        (lambda *of: readings.sycophancy(*of).effect, [CONTEST.sycophancy_rows], "simple x1 at KL .*"),
        (lambda *of: readings.movement_by_axis(*of)[TARGET], [CONTEST.rows, CONTEST.axis_rows], "target .*, .*"),
        (readings.prose, [CONTEST.side_effects], "simple x1 at KL .*"),
        (readings.repetition, [CONTEST.side_effects], "simple x1 at KL .*"),
    ],
    ids=["dilemmas", "against", "conduct", "sycophancy", "axes", "prose", "repetition"],
)
def test_a_number_lists_the_rows_it_was_read_from_and_how_strong_its_arm_is(
    store: Store, read: Callable[..., Estimate], recipes: list[RecipeOf], says: str
) -> None:
    number = read(store, CONTEST, ARM)
    assert set(number.sources) == {key for recipe_of in recipes for key in ARM.keys(store, recipe_of)}
    [note] = number.notes
    assert re.fullmatch(says, note)


def test_what_does_not_compete_is_read_without_its_strength(store: Store) -> None:
    found = effect_on_dilemmas(store, CONTEST, UNRANKED)
    assert (found.notes, set(found.sources)) == ((), set(UNRANKED.keys(store, CONTEST.rows)))
    assert readings.conduct(store, CONTEST, UNRANKED).notes == ()


def test_at_zero_an_arm_leaves_the_model_as_it_is(store: Store) -> None:
    zero, base = readings.at_zero(store, CONTEST, ARM)
    np.testing.assert_array_equal(zero["log_ratio"], base["log_ratio"])
