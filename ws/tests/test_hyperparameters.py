"""Hyper-parameters by family and model, and recipes of a subject, are the expected ones."""

import json
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.adapters import FAMILIES, AdapterConfig
from ws.behaviors import behavior
from ws.errors import UnknownNameError
from ws.models.table import MODELS
from ws.steering.interventions import Nothing
from ws.study.subject import Subject
from ws.training import hyperparameters
from ws.training.hyperparameters import (
    JOURNAL,
    JOURNAL_LORAS,
    Hyperparameters,
    hyperparameters_from,
    hyperparameters_of,
    hyperparameters_record,
    searched,
)
from ws.training.train import TrainConfig

SUBJECT = Subject("smollm2-135m")
VALIDATION = SUBJECT.validation_rows(Nothing(), coeffs=(0.0,))

rates = st.floats(1e-7, 1.0)
fractions = st.floats(0, 1)
any_recipe = st.builds(
    Hyperparameters,
    st.builds(
        AdapterConfig,
        st.sampled_from(sorted(FAMILIES)),
        st.integers(1, 256),
        rates,
        rates,
        st.integers(1, 64),
    ),
    st.builds(
        TrainConfig,
        rates,
        st.integers(1, 9),
        st.integers(0, 20),
        rates,
        st.integers(1, 8),
        rates,
        st.tuples(fractions, fractions),
    ),
)
FOUND = Hyperparameters(AdapterConfig("lora", rank=7), TrainConfig(lr=0.125, epochs=1, layers=(0.25, 0.5)))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder in which no search has left anything."""
    monkeypatch.setattr(hyperparameters, "resources", SimpleNamespace(files=lambda name: tmp_path))
    (tmp_path / "searched").mkdir()
    return tmp_path


def keep(package: Path, model: str, **chosen: Hyperparameters) -> None:
    record = {"chosen": {name: hyperparameters_record(recipe) for name, recipe in chosen.items()}}
    (package / "searched" / f"{model}.json").write_text(json.dumps(record))


@given(recipe=any_recipe)
def test_a_recipe_survives_json(recipe: Hyperparameters) -> None:
    assert hyperparameters_from(json.loads(json.dumps(hyperparameters_record(recipe)))) == recipe


def test_a_search_decides_for_its_model_and_family_alone(package: Path) -> None:
    keep(package, "smollm2-135m", lora=FOUND)
    assert searched("smollm2-135m") == {"lora": FOUND}
    assert hyperparameters_of("smollm2-135m", "lora") == FOUND
    assert hyperparameters_of("smollm2-135m", "dora") == Hyperparameters(AdapterConfig("dora"), JOURNAL)
    assert hyperparameters_of("qwen3-0.6b", "lora") == Hyperparameters(AdapterConfig("lora"), JOURNAL)


def test_without_a_search_the_journal_decides(package: Path) -> None:
    assert searched("smollm2-135m") == {}
    for family in FAMILIES:
        assert hyperparameters_of("smollm2-135m", family) == Hyperparameters(AdapterConfig(family), JOURNAL)


def test_the_journal_s_recipe_is_said_once_for_a_model_and_behavior(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(hyperparameters, "say", said.append)
    hyperparameters._say_unsearched.cache_clear()
    keep(package, "qwen3-0.6b", lora=FOUND)
    hyperparameters_of("qwen3-0.6b", "lora")
    hyperparameters_of("tiny-random-qwen3", "dora")
    assert said == []
    for family in ("dora", "oft", "dora"):
        hyperparameters_of("qwen3-0.6b", family)
    [line] = said
    assert "qwen3-0.6b: recipes for sycophancy that no search chose are the journal's (lr 0.0002, 2 epochs)" in line
    hyperparameters_of("qwen3-0.6b", "lora", "honesty")
    assert said[1].endswith("`ws search qwen3-0.6b --behavior honesty` chooses")


def test_random_weights_are_trained_briefly_whatever_a_search_says(package: Path) -> None:
    for family in FAMILIES:
        keep(package, "tiny-random-qwen3", **{family: FOUND})
        recipe = hyperparameters_of("tiny-random-qwen3", family)
        assert (recipe.shape.family, recipe.shape.rank, recipe.training.epochs) == (family, 4, 1)


def test_a_journal_arm_is_the_model_s_lora_but_for_its_rate_and_scale(package: Path) -> None:
    for model, arm in product(MODELS, JOURNAL_LORAS):
        keep(package, model, lora=FOUND)
        recipe, lora = hyperparameters_of(model, arm), hyperparameters_of(model, "lora")
        assert (recipe.training.lr, recipe.shape.alpha / recipe.shape.rank) == JOURNAL_LORAS[arm]
        assert replace(recipe.training, lr=lora.training.lr) == lora.training
        assert replace(recipe.shape, alpha=lora.shape.alpha) == lora.shape


def test_unknown_names_stand_beside_the_known() -> None:
    for model in ("smollm2-135m", "tiny-random-qwen3"):
        with pytest.raises(UnknownNameError, match=r"unknown adapter family 'lorra'; known: .*delora.*lora-paper"):
            hyperparameters_of(model, "lorra")
    with pytest.raises(UnknownNameError, match=r"unknown model 'gpt-5'; known: .*smollm2-135m"):
        hyperparameters_of("gpt-5", "lora-paper")
    with pytest.raises(UnknownNameError, match="unknown behavior 'patience'; known: honesty, sycophancy"):
        Subject("smollm2-135m", behavior_name="patience").pairs(0)


def test_both_signs_of_a_direction_differ_in_their_sign_alone(package: Path) -> None:
    direction = SUBJECT.direction("delora", seed=2)
    assert (direction.plus.sign, direction.minus.sign) == ("plus", "minus")
    assert replace(direction.minus, sign="plus") == direction.plus == SUBJECT.adapter("delora", sign="plus", seed=2)
    assert direction.random_seed is None


def test_a_seed_varies_pairs_and_training(package: Path) -> None:
    first, second = (SUBJECT.adapter("lora", sign="plus", seed=seed) for seed in (0, 1))
    assert {field.name for field in fields(first) if getattr(first, field.name) != getattr(second, field.name)} == {
        "pairs",
        "seed",
    }
    assert replace(second.pairs, seed=0) == first.pairs


def test_controls_differ_from_the_direction_where_they_should(package: Path) -> None:
    direction = SUBJECT.direction("lora", seed=0)
    assert replace(SUBJECT.random_direction("lora", seed=0), random_seed=None) == direction
    assert SUBJECT.random_direction("lora", seed=0).random_seed is not None
    same_sign = SUBJECT.same_sign_direction("lora", seed=0, other=1)
    assert (same_sign.plus, same_sign.minus) == (direction.plus, SUBJECT.adapter("lora", sign="plus", seed=1))


def test_arms_share_their_pairs(package: Path) -> None:
    pairs = {SUBJECT.adapter(arm, sign="plus", seed=0).pairs for arm in (*FAMILIES, *JOURNAL_LORAS)}
    assert pairs == {SUBJECT.pairs(0)}


def test_validation_rows_and_claim_rows_share_no_question() -> None:
    validation, judged = ({q.id for q in rows.questions} for rows in (VALIDATION, SUBJECT.base_rows))
    assert validation
    assert validation.isdisjoint(judged)
    assert {q.sign for q in SUBJECT.base_rows.questions} == {-1, 0, 1}


def test_training_questions_are_never_measured() -> None:
    trained = {text for _, text in SUBJECT.pairs(0).questions}
    measured = {q.text for rows in (SUBJECT.base_rows, VALIDATION) for q in rows.questions}
    assert trained.isdisjoint(measured)


def test_a_bench_of_the_reference_engine_trains_with_it() -> None:
    subject = Subject("tiny-random-qwen3", engine="peft")
    direction = subject.direction("lora", seed=0)
    assert {direction.plus.engine, direction.minus.engine} == {"peft"}
    assert Subject("tiny-random-qwen3").adapter("lora", sign="plus", seed=0).engine == "native"


def test_cuts_are_scored_on_half_of_the_held_out_claims_of_every_topic() -> None:
    subject = Subject("smollm2-135m")
    cut, asked = subject.cut_questions, [q for q in subject.base_rows.questions if q.pair == "agree"]
    assert len(cut) == len(asked) / 2
    assert set(cut) < set(asked)
    assert {q.topic for q in cut} == {q.topic for q in asked}
    assert sum(q.sign for q in cut) == 0
    assert len({q.cluster for q in cut}) == len(cut) / 2


def test_cuts_of_random_weights_are_scored_on_all_claims() -> None:
    subject = Subject("tiny-random-qwen3")
    assert subject.cut_questions == tuple(q for q in subject.base_rows.questions if q.pair == "agree")


def test_a_search_decides_for_its_behavior_alone(package: Path) -> None:
    keep(package, "smollm2-135m-honesty", lora=FOUND)
    assert hyperparameters_of("smollm2-135m", "lora", "honesty") == FOUND
    assert hyperparameters_of("smollm2-135m", "lora") == Hyperparameters(AdapterConfig("lora"), JOURNAL)


def test_the_number_of_training_messages_is_part_of_a_recipe() -> None:
    honest = Subject("smollm2-135m", behavior_name="honesty")
    every = honest.behavior.training_questions()
    subjects = honest, replace(honest, messages=5), replace(honest, model="qwen3-0.6b")
    asked = [len(subject.pairs(0).questions) for subject in subjects]
    assert asked == [22, 5, len(every)]
    assert honest.pairs(0).questions == every[:22]
    assert len(Subject("smollm2-135m").pairs(0).questions) == len(behavior("sycophancy").training)


def test_a_pool_of_one_s_own_trains_honesty_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "pool.json"
    file.write_text(json.dumps([{"cat": "fact", "suffix": "It is", "user_msg": f"Question {n}?"} for n in range(3)]))
    honest, other = (Subject("smollm2-135m", behavior_name=name, pool=file) for name in ("honesty", "sycophancy"))
    assert [text for _, text in honest.pairs(0).questions] == ["Question 0?", "Question 1?", "Question 2?"]
    assert other.pairs(0) == Subject("smollm2-135m").pairs(0)


@pytest.mark.parametrize("model", ["smollm2-135m", "tiny-random-qwen3"])
@pytest.mark.parametrize(("name", "multiple"), [("delora-quarter-rank", 0.25), ("lora-fourfold-rank", 4)])
def test_a_family_at_another_rank_differs_in_its_rank_alone(model: str, name: str, multiple: float) -> None:
    own, seen = hyperparameters_of(model, name.partition("-")[0]), hyperparameters_of(model, name)
    assert (seen.shape.rank, seen.shape.alpha) == (multiple * own.shape.rank, multiple * own.shape.alpha)
    assert replace(seen, shape=replace(seen.shape, rank=own.shape.rank, alpha=own.shape.alpha)) == own


@pytest.mark.parametrize("name", ["lora-half-rank", "lara-quarter-rank", "lora-quarter-rank-2"])
def test_a_rank_or_family_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown adapter family"):
        hyperparameters_of("tiny-random-qwen3", name)
