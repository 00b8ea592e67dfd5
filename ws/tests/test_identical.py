"""Arms are compared on one set of rows, and never on fewer."""

import pandas as pd
import pytest

from ws.errors import DataError
from ws.scoring.identical import check_identical
from ws.scoring.rows import KEY, Rows, read_rows
from ws.steering.interventions import Intervention, Nothing, SystemPrompt, Weights
from ws.store import Store
from ws.tests.small import ON, SYCOPHANCY, adapter
from ws.training.direction import Direction

QUESTIONS = (*SYCOPHANCY.questions("validation")[:6], *SYCOPHANCY.neutral_questions()[:2])
TERSE = SystemPrompt("You are terse.")
WEIGHTS = Weights(Direction(adapter(), adapter(sign="minus")))


def arm(intervention: Intervention, *coeffs: float) -> Rows:
    return Rows(ON, QUESTIONS, SYCOPHANCY.prefill, intervention, coeffs)


@pytest.fixture(scope="module")
def base(store: Store) -> pd.DataFrame:
    return read_rows(store, arm(Nothing(), 0.0))


def test_arms_of_one_set_of_questions_are_identical(store: Store, base: pd.DataFrame) -> None:
    weights = read_rows(store, arm(WEIGHTS, -1.0, 0.5))
    seeded = pd.concat([weights.assign(seed=seed) for seed in (0, 1)])
    check_identical({"base": base, "prompt": read_rows(store, arm(TERSE, 1.0)), "lora": seeded})


def without(table: pd.DataFrame, **where: object) -> pd.DataFrame:
    return table[~(table[list(where)] == pd.Series(where)).all(axis=1)]


def test_a_missing_row_is_named_with_its_arm(store: Store, base: pd.DataFrame) -> None:
    weights = read_rows(store, arm(WEIGHTS, -1.0, 0.5)).assign(seed=3)
    lost = QUESTIONS[2].id
    with pytest.raises(DataError, match=rf"'lora', seed 3, coeff 0.5 lacks 1 of 8 rows that '.*' has: {lost} \(sign"):
        check_identical({"base": base, "lora": without(weights, question_id=lost, coeff=0.5)})


@pytest.mark.parametrize("first", [True, False])
def test_it_does_not_matter_which_arm_comes_first(base: pd.DataFrame, first: bool) -> None:
    short = without(base, question_id=QUESTIONS[0].id)
    arms = {"short": short, "base": base} if first else {"base": base, "short": short}
    with pytest.raises(DataError, match="arm 'short', coeff 0 lacks 1 of 8 rows that 'base' has"):
        check_identical(arms)


@pytest.mark.parametrize("column", KEY)
def test_a_row_with_another_label_is_another_row(base: pd.DataFrame, column: str) -> None:
    other = base.copy()
    other.loc[0, column] = -other.loc[0, "sign"] if column == "sign" else "other"
    with pytest.raises(DataError, match=r"lacks 1 of 9 rows .* score all arms on one tuple of questions"):
        check_identical({"base": base, "other": other})


def test_a_repeated_row_is_refused(base: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="arm 'twice', coeff 0 repeats 1 rows"):
        check_identical({"base": base, "twice": pd.concat([base, base.head(1)])})


def test_arms_without_rows_are_refused(base: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="'empty' has no rows"):
        check_identical({"base": base, "empty": base.head(0)})
    with pytest.raises(DataError, match="no arm"):
        check_identical({})
