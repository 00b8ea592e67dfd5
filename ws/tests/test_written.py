"""What a steered model writes is drawn with common random numbers, and judged as each answer is alone."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from ws.behaviors.judges import JUDGES as OF_BEHAVIORS
from ws.behaviors.messages import Message
from ws.errors import DataError
from ws.models.language import LanguageModel
from ws.scoring import written
from ws.scoring.written import WrittenRows, judged, log_p_under, read_written_rows
from ws.steering.interventions import Activations, Intervention, Nothing, SystemPrompt, Weights
from ws.store import Store
from ws.tests.small import ON, adapter, fingerprint
from ws.tests.test_interventions import Given
from ws.tests.test_text import MESSAGES, log_p_alone
from ws.training.direction import Direction

JUDGES = OF_BEHAVIORS["sycophancy"]
DIRECTION = Direction(adapter(), adapter(sign="minus"))
ARMS = (SystemPrompt("You are terse."), Weights(DIRECTION), Activations(Given(), (2, 4)))

every = pytest.mark.parametrize("intervention", ARMS, ids=lambda one: type(one).__name__)


def recipe(intervention: Intervention, *coeffs: float) -> WrittenRows:
    return WrittenRows(ON, MESSAGES, JUDGES, intervention, coeffs, seed=2000, max_new_tokens=5)


def rows_at(table: pd.DataFrame, coeff: float) -> pd.DataFrame:
    return table[table["coeff"] == coeff].reset_index(drop=True)


@every
def test_an_arm_that_changes_nothing_writes_the_base_models_answers(store: Store, intervention: Intervention) -> None:
    rows, base = (read_written_rows(store, made) for made in (recipe(intervention, 0.0, 1.0), recipe(Nothing(), 0.0)))
    still, moved = rows_at(rows, 0.0), rows_at(rows, 1.0)
    assert still["answer"].equals(base["answer"])
    assert still["log_ratio"].to_list() == pytest.approx(base["log_ratio"].to_list(), abs=2e-5)
    assert not moved["answer"].equals(base["answer"])


def test_another_seed_writes_other_answers_for_the_same_rows(store: Store) -> None:
    one = recipe(Nothing(), 0.0)
    first, other = (read_written_rows(store, made) for made in (one, replace(one, seed=2001)))
    assert first["question_id"].equals(other["question_id"])
    assert not first["answer"].equals(other["answer"])


def test_pairs_of_judges_take_turns(store: Store) -> None:
    rows = rows_at(read_written_rows(store, recipe(ARMS[1], -1.0, 1.0)), 1.0)
    assert rows["question_id"].to_list() == [message.id for message in MESSAGES]
    assert rows["pair"].to_list() == ["judge-0", "judge-1", "judge-0"]


@every
def test_the_unchanged_model_judges(
    store: Store, lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, intervention: Intervention
) -> None:
    before, seen = fingerprint(lm), []

    def heard(*args: object) -> pd.DataFrame:
        seen.append(fingerprint(lm))
        return judged(*args)

    monkeypatch.setattr(written, "judged", heard)
    recipe(intervention, 1.0).build(tmp_path, store)
    assert seen == [before]


def test_a_judgement_is_that_of_each_answer_alone(lm: LanguageModel) -> None:
    answers = [[11, 12, 13], [14], [15, 16]]
    rows = judged(lm, MESSAGES, answers, JUDGES).set_index("question_id")
    for message, ids, judges in zip(MESSAGES, answers, (*JUDGES, JUDGES[0]), strict=True):
        plain, plus, minus = (log_p_alone(lm, lm.model, message.text, ids, system=voice) for voice in (None, *judges))
        row = rows.loc[message.id]
        assert row["log_ratio"] == pytest.approx(plus - minus, abs=2e-5)
        assert row["log_p"] == pytest.approx(plain, abs=2e-5)
        assert row["tokens"] == len(ids)


def test_judges_changed_round_judge_the_other_way_round(lm: LanguageModel) -> None:
    answers = [[11, 12, 13], [14], [15, 16]]
    turned = tuple((minus, plus) for plus, minus in JUDGES)
    one, other = (judged(lm, MESSAGES, answers, judges)["log_ratio"] for judges in (JUDGES, turned))
    torch.testing.assert_close(torch.tensor(one), -torch.tensor(other), atol=1e-5, rtol=0)


def test_each_answer_has_a_voice_of_its_own(lm: LanguageModel) -> None:
    answers = [[11, 12, 13], [14], [15, 16]]
    voices = (None, "You are terse.", None)
    alone = [
        log_p_alone(lm, lm.model, one.text, ids, system=voice)
        for one, ids, voice in zip(MESSAGES, answers, voices, strict=True)
    ]
    assert log_p_under(lm, MESSAGES, answers, voices).tolist() == pytest.approx(alone, abs=2e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": ()}, "0 messages before 2 pairs of judges at 1 coefficients"),
        ({"judges": ()}, "3 messages before 0 pairs of judges"),
        ({"coeffs": ()}, "at 0 coefficients"),
        ({"coeffs": (1.0,)}, "the unchanged model at coefficient"),
        ({"messages": (*MESSAGES, Message("m1", "talk", "Ho"))}, "2 messages have the id 'm1'"),
    ],
)
def test_what_cannot_be_written_or_judged_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(recipe(Nothing(), 0.0), **change)
