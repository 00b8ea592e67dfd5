"""A rival chooses the setting that moves validation dilemmas furthest while the model still answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ws.contest import choosing
from ws.contest.arm import RecipeOf
from ws.contest.choosing import (
    GRID,
    Setting,
    best_activation,
    best_blocks,
    best_method,
    best_prompt,
    best_setting,
    prompts_toward,
)
from ws.contest.contest import Contest
from ws.errors import DataError
from ws.models.scale import SMALL
from ws.scoring.text import SampledAnswers
from ws.steering.interventions import Activations, Intervention, SystemPrompt
from ws.store import Store
from ws.study.subject import Subject


def table(*settings: tuple[float, float, float]) -> pd.DataFrame:
    """Rows of a choice: at each (coefficient, effect, pmass) four balanced rows and a fact that must not count."""
    rows = [
        {
            "question_id": f"{index}/{sign}",
            "cluster": str(index),
            "topic": "t",
            "phrasing": "p",
            "pair": "agree",
            "sign": sign,
            "coeff": coeff,
            "log_ratio": sign * effect + 3.0 * coeff if sign else 100 * coeff,
            "pmass": pmass if sign else 0.0,
        }
        for coeff, effect, pmass in settings
        for index, sign in enumerate((+1, -1, +1, -1, 0))
    ]
    return pd.DataFrame(rows)


STILL = (0.0, 0.5, 1.0)


def test_the_setting_that_moves_furthest_is_chosen() -> None:
    scored = {"block 2": table(STILL, (1.0, 1.0, 0.9)), "block 3": table(STILL, (1.0, 0.4, 0.9), (4.0, 2.5, 0.8))}
    assert best_setting(scored) == Setting("block 3", 4.0, pytest.approx(2.0), pytest.approx(0.8))


def test_the_opposite_can_be_asked_for() -> None:
    scored = {"a": table((-1.0, -2.0, 0.9), STILL, (1.0, 2.0, 0.9))}
    assert best_setting(scored, toward=-1) == Setting("a", -1.0, pytest.approx(2.5), pytest.approx(0.9))


def test_a_broken_model_is_no_candidate() -> None:
    scored = {"a": table(STILL, (1.0, 0.7, 0.9), (9.0, 20.0, 0.49))}
    assert best_setting(scored).coeff == 1.0
    with pytest.raises(DataError, match=r"none of 1 settings keeps a fluency .* of 0.5 .* \(best: 0.49\)"):
        best_setting({"a": table(STILL, (9.0, 20.0, 0.49))})


def of_text(*settings: tuple[float, float, float]) -> pd.DataFrame:
    """Answers of both sides: at each (coefficient, effect, cost) effect nats apart, and all less likely by cost."""
    rows = [
        {
            "question_id": f"{index}/{sign}",
            "cluster": str(index),
            "topic": "t",
            "phrasing": "p",
            "pair": "pair-0",
            "sign": sign,
            "coeff": coeff,
            "log_p": sign * effect / 2 - 0.3 * index - cost,
        }
        for coeff, effect, cost in settings
        for index in range(3)
        for sign in (+1, -1)
    ]
    return pd.DataFrame(rows)


def test_in_text_the_sides_are_compared_and_a_model_that_loses_half_of_its_likelihood_is_broken() -> None:
    still, some, far = (0.0, 0.5, 0.0), (4.0, 1.25, 0.5), (16.0, 9.0, 0.7)
    best = best_setting({"block 2": of_text(still, some, far)})
    assert best == Setting("block 2", 4.0, pytest.approx(0.75), pytest.approx(np.exp(-0.5)))
    assert best_setting({"a": of_text(still, (1.0, 0.1, 0.0), (4.0, 0.3, 0.0))}).coeff == 4.0
    with pytest.raises(DataError, match=r"none of 1 settings keeps a fluency .* \(best: 0.50\)"):
        best_setting({"a": of_text(still, far)})


def test_choices_for_text_are_made_on_validation_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[SampledAnswers] = []

    def scored(store: Store, rows_of: RecipeOf, made: Intervention, coeffs: tuple[float, ...]) -> pd.DataFrame:
        asked.append(rows_of(made, coeffs=coeffs).answers)
        return of_text((0.0, 0.5, 0.0), (1.0, len(made.describe()), 0.0))

    monkeypatch.setattr(choosing, "_validation", scored)
    subject = Subject("tiny-random-qwen3", behavior_name="sycophancy")
    best_prompt(Store(tmp_path), Contest(subject), seed=3, by="text")
    assert asked == [subject.answers(3, split="validation")] * len(prompts_toward("sycophancy"))
    held = {message.id for message in subject.answers(3).messages}
    assert not held & {message.id for answers in asked for message in answers.messages}


def test_of_equals_the_smaller_coefficient_and_the_first_arm_win() -> None:
    scored = {"b": table(STILL, (-2.0, 1.0, 1.0), (1.0, 1.0, 1.0)), "a": table(STILL, (1.0, 1.0, 1.0))}
    assert best_setting(scored)[:2] == ("b", 1.0)


def test_a_choice_needs_the_unchanged_model_and_equal_rows() -> None:
    with pytest.raises(DataError, match="'a' has no row of sign"):
        best_setting({"a": table((1.0, 1.0, 1.0))})
    with pytest.raises(DataError, match="arm 'b', coeff 0 lacks 1 of 5 rows"):
        best_setting({"a": table(STILL, (1.0, 1.0, 1.0)), "b": table(STILL, (1.0, 1.0, 1.0)).iloc[1:]})


@pytest.fixture
def contest(monkeypatch: pytest.MonkeyPatch) -> Contest:
    """A contest in which the longest prompt, mean differences in the last block and a coefficient of 4 do best."""

    def scored(store: Store, rows_of: RecipeOf, made: Intervention, coeffs: tuple[float, ...]) -> pd.DataFrame:
        match made:
            case SystemPrompt():
                strength = len(made.text)
            case Activations():
                strength = made.layers[0] * (2 if "mean" in made.describe() else 1)
        return table(STILL, *((coeff, strength * (2 if coeff == 4 else 1), 0.9) for coeff in coeffs))

    choices = {"block 1": (1,), "block 3": (3,), "all adapted blocks": (1, 2, 3)}
    monkeypatch.setattr(choosing, "_validation", scored)
    monkeypatch.setattr(choosing, "_block_choices", lambda *_: choices)
    monkeypatch.setattr(Subject, "scale", replace(SMALL, chooses=True))
    return Contest(Subject("tiny-random-qwen3", behavior_name="honesty"))


def test_the_best_prompt_is_the_one_that_moves_dilemmas_furthest(tmp_path: Path, contest: Contest) -> None:
    best = best_prompt(Store(tmp_path), contest, seed=0)
    assert best.choice == max(prompts_toward("honesty"), key=lambda name: len(contest.prompt(name).text))
    assert best.coeff == 1.0


def test_the_best_direction_is_a_method_in_its_best_blocks_at_its_best_coefficient(
    tmp_path: Path, contest: Contest
) -> None:
    store = Store(tmp_path)
    assert best_method(store, contest, seed=0) == "mean-difference"
    best = best_activation(store, contest, "mean-difference", seed=0)
    assert (best.choice, best.coeff) == ("block 3", 4.0)
    assert best_blocks(store, contest, "mean-difference", seed=0) == (3,)
    assert 4.0 in GRID
