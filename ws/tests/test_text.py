"""Answers are sampled of both sides of a behavior, and each is scored as it is alone."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from ws.behaviors import behavior
from ws.behaviors.messages import Message
from ws.errors import DataError, MismatchError
from ws.models.chat import prompt_ids, text_ids, turn_ends
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.scoring.text import (
    FIRST_PAIR,
    KEY,
    Answers,
    GivenAnswers,
    GivenPair,
    SampledAnswers,
    TextRows,
    read_answers,
    read_text_rows,
)
from ws.steering.interventions import Activations, Intervention, Nothing, SystemPrompt, Weights
from ws.store import Store
from ws.tests.small import ON, adapter, merged
from ws.tests.test_interventions import Given
from ws.training.direction import Direction, direction_delta

SYCOPHANCY = behavior("sycophancy")
ASKED = ("Hi", "What is rain?", "Name two big rivers.")
MESSAGES = tuple(Message(f"m{place}", "talk", text) for place, text in enumerate(ASKED))
ANSWERS = SampledAnswers(ON, MESSAGES, SYCOPHANCY.positive, SYCOPHANCY.negative, seed=1000, max_new_tokens=5)
DIRECTION = Direction(adapter(), adapter(sign="minus"))
TERSE, WEIGHTS = SystemPrompt("You are terse."), Weights(DIRECTION)
ARMS = (TERSE, WEIGHTS, Activations(Given(), (2, 4)))

every = pytest.mark.parametrize("intervention", ARMS, ids=lambda one: type(one).__name__)


def scored(store: Store, intervention: Intervention, *coeffs: float, said: Answers = ANSWERS) -> pd.DataFrame:
    return read_text_rows(store, TextRows(ON, said, intervention, coeffs))


@pytest.fixture
def answers(store: Store) -> pd.DataFrame:
    return read_answers(store, ANSWERS)


def log_p_alone(
    lm: LanguageModel, model: torch.nn.Module, message: str, ids: list[int], *, system: str | None
) -> float:
    """The mean log-probability of an answer, from a whole forward pass and a sum over its tokens one by one."""
    asked = prompt_ids(lm.tokenizer, user=message, system=system)
    with torch.no_grad():
        log_p = model(torch.tensor([[*asked, *ids]])).logits[0].log_softmax(dim=-1)
    return sum(float(log_p[len(asked) + place - 1, token]) for place, token in enumerate(ids)) / len(ids)


def test_each_message_is_answered_on_both_sides_by_personas_that_rotate(answers: pd.DataFrame) -> None:
    assert list(answers["question_id"])[:4] == ["m0/0/plus", "m0/0/minus", "m0/1/plus", "m0/1/minus"]
    assert list(answers["phrasing"].unique()) == [f"personas {persona}" for persona in range(4)]
    sides = answers.groupby(["cluster", "pair", "phrasing"])["sign"].agg(sorted)
    assert sides.tolist() == [[-1, 1]] * 2 * len(MESSAGES)


def test_an_answer_is_said_under_its_persona(lm: LanguageModel, store: Store) -> None:
    # A nucleus this small holds the likeliest token alone.
    recipe = replace(ANSWERS, top_p=1e-6, pairs=1)
    for row in read_answers(store, recipe).itertuples():
        personas = SYCOPHANCY.positive if row.sign > 0 else SYCOPHANCY.negative
        persona = personas[int(row.phrasing.removeprefix("personas "))]
        asked = prompt_ids(lm.tokenizer, user=row.message, system=persona)
        with torch.no_grad():
            assert int(lm.model(torch.tensor([asked])).logits[0, -1].argmax()) == row.ids[0]


def test_answers_are_whole_with_the_end_of_turn_and_none_is_empty(lm: LanguageModel, answers: pd.DataFrame) -> None:
    ends = set(turn_ends(lm))
    for ids in answers["ids"]:
        assert not ends & set(ids[:-1])
        assert len(ids) == 5 or (ids.size and ids[-1] in ends)


def test_another_seed_samples_other_answers_for_the_same_rows(store: Store, answers: pd.DataFrame) -> None:
    other = read_answers(store, replace(ANSWERS, seed=1001))
    assert other[list(KEY)].equals(answers[list(KEY)])
    assert other["ids"].map(tuple).ne(answers["ids"].map(tuple)).any()


@pytest.mark.parametrize(("intervention", "coeff"), [(Nothing(), 0.0), (WEIGHTS, -0.7), (TERSE, 1.0)])
def test_log_p_is_that_of_each_answer_alone_without_its_persona(
    store: Store, lm: LanguageModel, answers: pd.DataFrame, intervention: Intervention, coeff: float
) -> None:
    model = merged(lm, direction_delta(DIRECTION, lm, store), coeff=coeff) if intervention == WEIGHTS else lm.model
    expected = [
        log_p_alone(lm, model, row.message, list(map(int, row.ids)), system=intervention.system(coeff))
        for row in answers.itertuples()
    ]
    rows = scored(store, intervention, coeff)
    assert rows["log_p"].to_list() == pytest.approx(expected, abs=2e-5)
    assert rows[list(KEY)].equals(answers[list(KEY)])
    assert rows["tokens"].to_list() == answers["ids"].map(len).to_list()


@every
def test_only_coefficient_zero_is_the_base_model_bit_for_bit(store: Store, intervention: Intervention) -> None:
    rows, base = scored(store, intervention, 0.0, 1.0), scored(store, Nothing(), 0.0)
    still, moved = (rows[rows["coeff"] == coeff].reset_index(drop=True) for coeff in (0.0, 1.0))
    pd.testing.assert_frame_equal(still.drop(columns="norm"), base.drop(columns="norm"), check_exact=True)
    assert (moved["log_p"] - base["log_p"]).abs().min() > 1e-4


def test_rows_of_a_pair_are_those_rows_of_all(store: Store) -> None:
    whole = scored(store, WEIGHTS, 1.0)
    first = read_text_rows(store, TextRows(ON, ANSWERS, WEIGHTS, (1.0,), FIRST_PAIR))
    same = whole[whole["pair"] == FIRST_PAIR].reset_index(drop=True)
    pd.testing.assert_frame_equal(first.drop(columns="log_p"), same.drop(columns="log_p"))
    assert first["log_p"].to_list() == pytest.approx(same["log_p"].to_list(), abs=2e-5)


def test_given_answers_are_scored_as_they_are_written(store: Store, lm: LanguageModel) -> None:
    pair = GivenPair("row-1", "weather", "own", "What is rain?", " Water.", "I do not say.")
    rows = scored(store, Nothing(), 0.0, said=GivenAnswers((pair,)))
    expected = [
        log_p_alone(lm, lm.model, pair.message, text_ids(lm.tokenizer, said), system=None)
        for said in (pair.plus, pair.minus)
    ]
    assert rows["log_p"].to_list() == pytest.approx(expected, abs=2e-5)
    assert rows[["question_id", "cluster", "sign"]].to_numpy().tolist() == [
        ["row-1/plus", "weather", 1],
        ["row-1/minus", "weather", -1],
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": ()}, "0 messages under 2 pairs"),
        ({"pairs": 6}, "under 6 pairs of 5 personas"),
        ({"pairs": 0}, "under 0 pairs"),
        ({"negative": SYCOPHANCY.negative[:4]}, "5 personas for and 4 against"),
        ({"messages": (*MESSAGES, MESSAGES[0])}, "2 messages have the id 'm0'"),
    ],
)
def test_answers_that_cannot_be_sampled_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(ANSWERS, **change)


def test_rows_that_cannot_be_scored_are_refused(store: Store) -> None:
    with pytest.raises(DataError, match="text at 0 coefficients"):
        TextRows(ON, ANSWERS, WEIGHTS, ())
    with pytest.raises(DataError, match="the unchanged model at coefficient"):
        TextRows(ON, ANSWERS, Nothing(), (1.0,))
    with pytest.raises(MismatchError, match="it was made for"):
        TextRows(Placed(weights_of("smollm2-135m")), ANSWERS, WEIGHTS)
    with pytest.raises(DataError, match="no answer of pair-7"):
        store.get(TextRows(ON, ANSWERS, Nothing(), (0.0,), "pair-7"))
    with pytest.raises(DataError, match="an answer of 'row-1' is empty"):
        GivenAnswers((GivenPair("row-1", "row-1", "own", "Hi", "Hello", " "),))
