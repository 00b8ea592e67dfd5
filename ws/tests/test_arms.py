"""Arms score one set of rows: as `ws.scoring.rows` does, as a model steered by hand does, and never on fewer rows."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from ws.errors import DataError, MismatchError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.models.yesno import answer_tokens, scores
from ws.scoring.arms import KEY, ArmRows, check_identical, prompts_under, read_arm_rows
from ws.scoring.rows import Rows, prompts_of, read_rows
from ws.steering.interventions import Activations, Intervention, Nothing, SystemPrompt, Weights
from ws.store import Store
from ws.tests.small import ON, SYCOPHANCY, adapter, fingerprint, shared_store, tiny_model
from ws.tests.test_interventions import Given
from ws.training.direction import Direction

QUESTIONS = (*SYCOPHANCY.questions("validation")[:6], *SYCOPHANCY.neutral_questions()[:2])
DIRECTION = Direction(adapter(), adapter(sign="minus"))
TERSE = SystemPrompt("You are terse.")
WEIGHTS, VECTORS = Weights(DIRECTION), Activations(Given(), (2, 4))


def arm(intervention: Intervention, *coeffs: float) -> ArmRows:
    return ArmRows(ON, QUESTIONS, SYCOPHANCY.prefill, intervention, coeffs)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return shared_store(tmp_path_factory)


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return tiny_model(tmp_path_factory)


@pytest.fixture(scope="module")
def base(store: Store) -> pd.DataFrame:
    return read_rows(store, Rows(ON, QUESTIONS, SYCOPHANCY.prefill))


@pytest.mark.parametrize("intervention", [Nothing(), TERSE, WEIGHTS, VECTORS], ids=lambda one: type(one).__name__)
def test_rows_at_zero_are_the_base_rows_bit_for_bit(
    store: Store, base: pd.DataFrame, intervention: Intervention
) -> None:
    rows = read_arm_rows(store, arm(intervention, 0.0))
    pd.testing.assert_frame_equal(rows, base, check_exact=True)


def test_rows_of_weights_are_those_of_evaluate(store: Store) -> None:
    expected = read_rows(store, Rows(ON, QUESTIONS, SYCOPHANCY.prefill, DIRECTION, (-1.0, 0.5)))
    pd.testing.assert_frame_equal(read_arm_rows(store, arm(WEIGHTS, -1.0, 0.5)), expected, check_exact=True)


@pytest.mark.parametrize(
    ("intervention", "coeff"), [(TERSE, 1.0), (VECTORS, -2.0)], ids=["SystemPrompt", "Activations"]
)
def test_rows_are_those_of_each_prompt_alone(
    store: Store, lm: LanguageModel, base: pd.DataFrame, intervention: Intervention, coeff: float
) -> None:
    system = TERSE.text if intervention is TERSE else None
    prompts = [
        prompt_ids(lm.tokenizer, user=question.text, system=system, prefill=SYCOPHANCY.prefill)
        for question in QUESTIONS
    ]
    with torch.no_grad(), intervention.ready(lm, store).at(coeff):
        logits = torch.stack([lm.model(torch.tensor([prompt])).logits[0, -1] for prompt in prompts])
    expected = scores(logits, answer_tokens(lm.tokenizer))
    rows = read_arm_rows(store, arm(intervention, coeff))
    assert rows["log_ratio"].to_list() == pytest.approx(expected.log_ratio.tolist(), abs=1e-4)
    assert rows["pmass"].to_list() == pytest.approx(expected.pmass.tolist(), abs=1e-4)
    assert (rows["log_ratio"] - base["log_ratio"]).abs().min() > 1e-3


def test_prompts_without_a_system_message_are_those_of_evaluate(lm: LanguageModel) -> None:
    prefill = SYCOPHANCY.prefill
    assert prompts_under(lm, QUESTIONS, prefill, None) == prompts_of(lm, QUESTIONS, prefill)
    assert prompts_under(lm, QUESTIONS, prefill, "You are terse.") != prompts_of(lm, QUESTIONS, prefill)


def test_scoring_leaves_the_model_as_it_was(lm: LanguageModel, store: Store, tmp_path: Path) -> None:
    before = fingerprint(lm)
    replace(arm(VECTORS, 1.0), questions=QUESTIONS[:3]).build(tmp_path, store)
    assert fingerprint(lm) == before


def test_a_key_covers_the_intervention_and_its_code(store: Store) -> None:
    recipes = (arm(TERSE, 1.0), arm(SystemPrompt("You are wordy."), 1.0), arm(WEIGHTS, 1.0), arm(VECTORS, 1.0))
    assert len({store.key(recipe) for recipe in recipes}) == len(recipes)
    covered = reached_by(arm(VECTORS, 1.0))
    assert "ws.steering.interventions:Activations.ready" in covered
    assert "ws.steering.interventions:shifted" in covered
    assert "ws.steering.interventions:Weights.ready" not in covered


def reached_by(recipe: ArmRows) -> set[str]:
    from ws.store.sources import reached

    return set(reached(ArmRows.build, owners=(type(recipe), type(recipe.intervention))))


@pytest.mark.parametrize("coeffs", [(1.0, 2.0), (-1.0,)])
def test_a_coefficient_without_meaning_is_refused(coeffs: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="words have no strength"):
        arm(TERSE, *coeffs)


@pytest.mark.parametrize("intervention", [WEIGHTS, VECTORS], ids=lambda one: type(one).__name__)
def test_an_intervention_of_another_model_is_refused(intervention: Intervention) -> None:
    with pytest.raises(MismatchError, match="it was made for tiny-random-qwen3; make it anew"):
        ArmRows(Placed(weights_of("smollm2-135m")), QUESTIONS, "", intervention)


@pytest.mark.parametrize(("questions", "coeffs"), [((), (1.0,)), (QUESTIONS, ())])
def test_nothing_to_score_is_refused(questions: tuple, coeffs: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="give one or more of each"):
        ArmRows(ON, questions, "", WEIGHTS, coeffs)


def test_arms_of_one_set_of_questions_are_identical(store: Store, base: pd.DataFrame) -> None:
    weights = read_arm_rows(store, arm(WEIGHTS, -1.0, 0.5))
    seeded = pd.concat([weights.assign(seed=seed) for seed in (0, 1)])
    check_identical({"base": base, "prompt": read_arm_rows(store, arm(TERSE, 1.0)), "lora": seeded})


def without(table: pd.DataFrame, **where: object) -> pd.DataFrame:
    return table[~(table[list(where)] == pd.Series(where)).all(axis=1)]


def test_a_missing_row_is_named_with_its_arm(store: Store, base: pd.DataFrame) -> None:
    weights = read_arm_rows(store, arm(WEIGHTS, -1.0, 0.5)).assign(seed=3)
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


def test_arms_name_themselves() -> None:
    assert arm(TERSE, 0.0, 1.0).describe() == "8 rows at +0 +1, system prompt 'You are terse.'"
