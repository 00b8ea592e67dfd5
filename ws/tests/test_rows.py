"""Scores of rows equal those of each prompt alone in a model with dW merged by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from ws.behaviors import Question
from ws.delta.weight_delta import WeightDelta, lowest_layer
from ws.engine.choice import prepared
from ws.engine.depth import PackedBatch, lower
from ws.engine.packing import pack
from ws.errors import DataError, MismatchError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.models.yesno import Scores, answer_tokens, scores
from ws.scoring.rows import Rows, prompts_of, read_rows, score
from ws.steering.interventions import Activations, Intervention, Nothing, SystemPrompt, Weights
from ws.store import MANIFEST, Store
from ws.tests.small import LAYERS, ON, SYCOPHANCY, adapter, fingerprint, merged
from ws.tests.test_interventions import Given
from ws.training.direction import Direction, direction_delta

QUESTIONS = (*SYCOPHANCY.questions("validation")[:6], *SYCOPHANCY.neutral_questions()[:2])
DIRECTION = Direction(adapter(), adapter(sign="minus"))
TERSE = SystemPrompt("You are terse.")
WEIGHTS, VECTORS = Weights(DIRECTION), Activations(Given(), (2, 4))


def under(intervention: Intervention, *coeffs: float) -> Rows:
    return Rows(ON, QUESTIONS, SYCOPHANCY.prefill, intervention, coeffs)


ROWS, BASE = under(WEIGHTS, -1.0, 0.5), under(Nothing(), 0.0)


def naive(lm: LanguageModel, delta: WeightDelta, *, coeff: float, questions: tuple[Question, ...]) -> Scores:
    """Each question in a forward pass of its own through a merged copy of the model."""
    model = merged(lm, delta, coeff=coeff)
    prompts = [prompt_ids(lm.tokenizer, user=q.text, prefill=SYCOPHANCY.prefill) for q in questions]
    with torch.no_grad():
        logits = torch.stack([model(torch.tensor([prompt])).logits[0, -1] for prompt in prompts])
    return scores(logits, answer_tokens(lm.tokenizer))


def assert_same(table: pd.DataFrame, expected: Scores) -> None:
    assert table["log_yes"].to_list() == pytest.approx(expected.log_yes.tolist(), abs=1e-4)
    assert table["log_no"].to_list() == pytest.approx(expected.log_no.tolist(), abs=1e-4)
    assert table["log_ratio"].to_list() == pytest.approx(expected.log_ratio.tolist(), abs=1e-4)
    assert table["pmass"].to_list() == pytest.approx(expected.pmass.tolist(), abs=1e-4)


@pytest.mark.parametrize("coeff", [-1.0, 0.5])
def test_rows_are_those_of_a_merged_copy_prompt_by_prompt(lm: LanguageModel, store: Store, coeff: float) -> None:
    table = read_rows(store, ROWS).query("coeff == @coeff")
    expected = naive(lm, direction_delta(DIRECTION, lm, store), coeff=coeff, questions=QUESTIONS)
    assert_same(table, expected)
    assert (table["log_ratio"].to_numpy() - read_rows(store, BASE)["log_ratio"].to_numpy()).std() > 1e-2


def test_base_rows_are_those_of_the_unchanged_model(lm: LanguageModel, store: Store) -> None:
    table = read_rows(store, BASE)
    assert set(table["coeff"]) == {0.0}
    assert_same(table, naive(lm, WeightDelta({}), coeff=0.0, questions=QUESTIONS))


def test_scoring_from_the_lowest_changed_layer_is_scoring_from_the_bottom(lm: LanguageModel) -> None:
    prompts, answers = prompts_of(lm, QUESTIONS, SYCOPHANCY.prefill), answer_tokens(lm.tokenizer)
    bottom, middle = (score(lm, prepared(lm, prompts, start=start), answers) for start in (0, LAYERS.start))
    torch.testing.assert_close(middle.log_ratio, bottom.log_ratio, atol=1e-5, rtol=0)


def test_the_order_of_questions_does_not_matter_over_several_sequences(lm: LanguageModel) -> None:
    many = SYCOPHANCY.questions("heldout")[:36]
    prompts, answers = prompts_of(lm, many, SYCOPHANCY.prefill), answer_tokens(lm.tokenizer)
    sequences = pack(prompts, budget=400)
    assert len(sequences) > 1
    batch = PackedBatch(sequences, tuple(lower(lm, packed, stop=LAYERS.start) for packed in sequences), LAYERS.start)
    forwards = score(lm, batch, answers).log_ratio
    backwards = score(lm, prepared(lm, prompts[::-1], start=LAYERS.start), answers).log_ratio
    torch.testing.assert_close(backwards.flip(0), forwards, atol=1e-5, rtol=0)


def test_every_coefficient_has_every_question_in_order(store: Store) -> None:
    table = read_rows(store, ROWS)
    assert table["coeff"].to_list() == [-1.0] * len(QUESTIONS) + [0.5] * len(QUESTIONS)
    columns = ["question_id", "cluster", "topic", "phrasing", "pair", "sign"]
    expected = pd.DataFrame(QUESTIONS).rename(columns={"id": "question_id"})[columns]
    pd.testing.assert_frame_equal(table[columns], pd.concat([expected] * 2, ignore_index=True))


def test_a_manifest_says_how_prompts_were_run(store: Store) -> None:
    notes = [json.loads((store.get(recipe) / MANIFEST).read_text())["notes"] for recipe in (BASE, ON.weights)]
    assert notes == [{"passes": "packed"}, {}]


@pytest.mark.parametrize("intervention", [WEIGHTS, VECTORS], ids=lambda one: type(one).__name__)
def test_scoring_leaves_the_model_as_it_was(
    lm: LanguageModel, store: Store, tmp_path: Path, intervention: Intervention
) -> None:
    before = fingerprint(lm)
    replace(under(intervention, 1.0), questions=QUESTIONS[:3]).build(tmp_path, store)
    assert fingerprint(lm) == before


@pytest.mark.parametrize(
    ("paths", "layer"),
    [
        (["model.layers.7.mlp.up_proj", "model.layers.12.mlp.up_proj", "model.layers.9.q"], 7),
        (["model.layers.10.a", "model.layers.9.a"], 9),
        (["model.norm", "model.layers.3.a"], 3),
        (["model.language_model.layers.4.a"], 4),
    ],
    ids=["first", "by-number", "beside-others", "nested"],
)
def test_the_lowest_layer_of_an_update(paths: list[str], layer: int) -> None:
    assert lowest_layer(paths) == layer


@pytest.mark.parametrize("paths", [[], ["model.norm", "lm_head"]])
def test_an_update_of_no_layer_is_refused(paths: list[str]) -> None:
    with pytest.raises(DataError, match="dW touches no decoder layer"):
        lowest_layer(paths)


@pytest.mark.parametrize("intervention", [Nothing(), TERSE, WEIGHTS, VECTORS], ids=lambda one: type(one).__name__)
def test_rows_at_zero_are_the_base_rows_bit_for_bit(store: Store, intervention: Intervention) -> None:
    rows, base = read_rows(store, under(intervention, 0.0)), read_rows(store, BASE)
    pd.testing.assert_frame_equal(rows.drop(columns="norm"), base.drop(columns="norm"), check_exact=True)


@pytest.mark.parametrize(
    ("intervention", "coeff"), [(TERSE, 1.0), (VECTORS, -2.0)], ids=["SystemPrompt", "Activations"]
)
def test_rows_are_those_of_each_prompt_alone(
    store: Store, lm: LanguageModel, intervention: Intervention, coeff: float
) -> None:
    system = TERSE.text if intervention is TERSE else None
    prompts = [
        prompt_ids(lm.tokenizer, user=question.text, system=system, prefill=SYCOPHANCY.prefill)
        for question in QUESTIONS
    ]
    with torch.no_grad(), intervention.ready(lm, store).at(coeff):
        logits = torch.stack([lm.model(torch.tensor([prompt])).logits[0, -1] for prompt in prompts])
    expected = scores(logits, answer_tokens(lm.tokenizer))
    rows = read_rows(store, under(intervention, coeff))
    assert rows["log_ratio"].to_list() == pytest.approx(expected.log_ratio.tolist(), abs=1e-4)
    assert rows["pmass"].to_list() == pytest.approx(expected.pmass.tolist(), abs=1e-4)
    assert (rows["log_ratio"] - read_rows(store, BASE)["log_ratio"]).abs().min() > 1e-3


def test_a_key_covers_the_intervention_and_its_code(store: Store) -> None:
    recipes = (under(TERSE, 1.0), under(SystemPrompt("You are wordy."), 1.0), under(WEIGHTS, 1.0), under(VECTORS, 1.0))
    assert len({store.key(recipe) for recipe in recipes}) == len(recipes)
    covered = reached_by(under(VECTORS, 1.0))
    assert "ws.steering.interventions:Activations.ready" in covered
    assert "ws.steering.interventions:shifted" in covered
    assert "ws.steering.interventions:Weights.ready" not in covered


def reached_by(recipe: Rows) -> set[str]:
    from ws.code.sources import reached

    return set(reached(Rows.build, owners=(type(recipe), type(recipe.intervention))))


@pytest.mark.parametrize("intervention", [WEIGHTS, VECTORS], ids=lambda one: type(one).__name__)
def test_an_intervention_of_another_model_is_refused(intervention: Intervention) -> None:
    with pytest.raises(MismatchError, match="it was made for tiny-random-qwen3; make it anew"):
        Rows(Placed(weights_of("smollm2-135m")), QUESTIONS, "", intervention)


def test_what_cannot_be_scored_is_refused() -> None:
    for questions, coeffs in (((), (1.0,)), (QUESTIONS, ())):
        with pytest.raises(DataError, match="give one or more of each"):
            Rows(ON, questions, "", WEIGHTS, coeffs)
    for coeffs in ((1.0, 2.0), (-1.0,)):
        with pytest.raises(DataError, match="words have no strength"):
            under(TERSE, *coeffs)


def test_the_norm_is_that_of_what_coefficient_one_adds(lm: LanguageModel, store: Store) -> None:
    assert set(read_rows(store, ROWS)["norm"]) == {direction_delta(DIRECTION, lm, store).norm}
    assert {*read_rows(store, BASE)["norm"], *read_rows(store, under(VECTORS, -2.0))["norm"]} == {0.0}
