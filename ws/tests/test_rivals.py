"""Steering vectors agree with their formulas, with numpy and with `repeng`."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ws.behaviors import Question
from ws.contest.rivals import (
    MeanDifference,
    PCAVectors,
    PersonaVectors,
    RandomVectors,
    answer_prompts,
    answer_states,
    leading_direction,
    persona_prompts,
)
from ws.errors import DataError, MismatchError, ShapeError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel
from ws.steering.interventions import read_vectors
from ws.steering.states import Prompt, States, last_states
from ws.store import Store
from ws.tests.small import ON, PAIRS, SYCOPHANCY, adapter, fingerprint
from ws.training.direction import Direction
from ws.training.pairs import read_pairs

ASKED = [text for _, text in SYCOPHANCY.training_questions()[:5]]
SIDES = persona_prompts(ASKED, SYCOPHANCY.positive[:2], SYCOPHANCY.negative[:2], prefills=("My answer:",))
HIGH, LOW = States(ON, SIDES.high), States(ON, SIDES.low)
MEAN, PCA = MeanDifference(HIGH, LOW), PCAVectors(HIGH, LOW)
QUESTIONS: tuple[Question, ...] = SYCOPHANCY.questions("validation")[:8]


def noisy(*, push: float, seed: int = 0, pairs: int = 12, width: int = 5) -> Tensor:
    """Differences that share a push along the first axis and vary along the second."""
    noise = torch.randn(pairs, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return noise * torch.tensor([0.1, 1.0, 0.1, 0.1, 0.1]) + push * torch.eye(width, dtype=torch.float64)[0]


def along(direction: Tensor, axis: int) -> float:
    return abs(float(direction[axis]))


@settings(deadline=None)
@given(st.integers(0, 1000), st.booleans(), st.integers(2, 9))
def test_the_leading_direction_is_that_of_numpys_covariance(seed: int, centred: bool, pairs: int) -> None:
    differences = noisy(push=0.5, seed=seed, pairs=pairs)
    found = leading_direction(differences, centred=centred)
    samples = differences.numpy() - (differences.numpy().mean(axis=0) if centred else 0)
    expected = np.linalg.eigh(samples.T @ samples)[1][:, -1]
    assert abs(found.numpy() @ expected) == pytest.approx(1, abs=1e-9)
    assert (differences @ found > 0).sum() * 2 >= pairs


@settings(deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_swapping_the_sides_turns_the_direction(seed: int, centred: bool) -> None:
    # A push of 5 is far from the noise of 1, so that the leading direction is no close call.
    differences = noisy(push=5.0, seed=seed, pairs=11)
    found = leading_direction(differences, centred=centred)
    torch.testing.assert_close(leading_direction(-differences, centred=centred), -found)


def test_centring_loses_what_all_pairs_share() -> None:
    differences = noisy(push=5.0)
    assert along(leading_direction(differences, centred=False), 0) > 0.9
    assert along(leading_direction(differences, centred=True), 0) < 0.5


def test_a_draw_is_settled_by_the_sum() -> None:
    differences = torch.tensor([[3.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    for sign in (+1, -1):
        found = leading_direction(sign * differences, centred=False)
        torch.testing.assert_close(found, sign * torch.tensor([1.0, 0.0], dtype=torch.float64))


def test_no_difference_has_no_direction() -> None:
    assert not leading_direction(torch.zeros(3, 5), centred=False).any()
    with pytest.raises(ShapeError, match="one pair has no principal direction once its mean is taken out"):
        leading_direction(torch.ones(1, 5), centred=True)


def test_the_mean_difference_is_that_of_the_states(lm: LanguageModel, store: Store) -> None:
    expected = (last_states(lm, SIDES.high).mean(dim=1) - last_states(lm, SIDES.low).mean(dim=1))[1:]
    torch.testing.assert_close(read_vectors(store, MEAN), expected, atol=1e-5, rtol=1e-4)


def test_pca_is_of_the_block_that_it_is_added_to(lm: LanguageModel, store: Store) -> None:
    differences = last_states(lm, SIDES.high) - last_states(lm, SIDES.low)
    found = read_vectors(store, PCA)
    assert found.shape == (lm.n_layers, lm.d_model)
    for layer, vector in enumerate(found):
        torch.testing.assert_close(vector, leading_direction(differences[layer + 1], centred=False))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(lm.n_layers))


def alone(lm: LanguageModel, question: str, persona: str, answer: str) -> Tensor:
    """What each block leaves at the answer's tokens by transformers' own hidden states; the last one is normed."""
    ids = prompt_ids(lm.tokenizer, user=question, system=persona)
    said = lm.tokenizer.encode(answer, add_special_tokens=False)
    with torch.no_grad():
        states = lm.model(input_ids=torch.tensor([ids + said]), output_hidden_states=True).hidden_states
    return torch.stack([state[0, len(ids) :].mean(dim=0) for state in states[1:-1]])


def test_a_persona_vector_is_of_the_answers_own_tokens(lm: LanguageModel, store: Store) -> None:
    table = read_pairs(store, PAIRS)
    means = {
        side: torch.stack(
            [
                alone(lm, row.question, personas[row.persona], getattr(row, side))
                for row in table.itertuples(index=False)
            ]
        ).mean(dim=0)
        for side, personas in (("plus", PAIRS.positive), ("minus", PAIRS.negative))
    }
    found = read_vectors(store, PersonaVectors(PAIRS))
    torch.testing.assert_close(found[:-1], means["plus"] - means["minus"], atol=1e-4, rtol=1e-3)
    assert found[-1].any()


def test_reading_answers_leaves_no_trace(lm: LanguageModel) -> None:
    before = fingerprint(lm)
    answer_states(lm, ASKED[:1], SYCOPHANCY.positive[:1], ["Rain is water."])
    assert fingerprint(lm) == before


@pytest.mark.parametrize("like", [MEAN, PCA], ids=["mean", "pca"])
def test_random_vectors_have_the_lengths_and_nothing_else(store: Store, like: MeanDifference | PCAVectors) -> None:
    vectors, drawn = read_vectors(store, like), read_vectors(store, RandomVectors(like, 0))
    torch.testing.assert_close(drawn.norm(dim=1), vectors.norm(dim=1))
    cosine = torch.nn.functional.cosine_similarity(drawn, vectors, dim=1)
    assert cosine.abs().max() < 0.6
    assert not torch.equal(drawn, read_vectors(store, RandomVectors(like, 1)))


def test_personas_are_paired_question_by_question() -> None:
    sides = persona_prompts(["q", "r"], ["p", "P"], ["n", "N"], prefills=("x", "y"))
    assert sides.high == (Prompt("q", "p", "x"), Prompt("q", "P", "x"), Prompt("r", "p", "y"), Prompt("r", "P", "y"))
    assert [prompt.system for prompt in sides.low] == ["n", "N", "n", "N"]
    assert [prompt._replace(system=None) for prompt in sides.low] == [p._replace(system=None) for p in sides.high]


def test_personas_without_a_counterpart_are_refused() -> None:
    no_message, no_persona = ([], ["p"], ["n"], [""]), (["q"], [], [], [""])
    unequal, prefills = (["q"], ["p"], ["n", "N"], [""]), (["q"], ["p"], ["n"], ["", ""])
    for asked, positive, negative, begun in (no_message, no_persona, unequal, prefills):
        with pytest.raises(DataError, match="give messages, as many personas of one side"):
            persona_prompts(asked, positive, negative, prefills=begun)


def test_the_high_answer_is_the_one_that_shows_the_behavior() -> None:
    sides = answer_prompts(QUESTIONS, prefill="My answer: **")
    said = {prompt.user: prompt.prefill.removeprefix("My answer: **") for prompt in sides.high}
    assert said == {q.text: "Yes" if q.sign > 0 else "No" for q in QUESTIONS}
    assert {high.prefill for high in sides.high} == {low.prefill for low in sides.low}
    assert all(high.prefill != low.prefill for high, low in zip(*sides, strict=True))
    with pytest.raises(DataError, match="leave out facts"):
        answer_prompts(SYCOPHANCY.neutral_questions(), prefill="")


@pytest.mark.parametrize(
    "low",
    [
        States(ON, SIDES.low[:-1]),
        States(ON, SIDES.low, Direction(adapter(), adapter(sign="minus")), 1.0),
        replace(LOW, on=replace(ON, device="cuda")),
    ],
    ids=["fewer", "steered", "elsewhere"],
)
def test_states_that_are_no_pairs_are_refused(low: States) -> None:
    with pytest.raises(MismatchError, match="expected as many prompts of one model without a direction"):
        MeanDifference(HIGH, low)


@pytest.mark.skipif(
    find_spec("repeng") is None, reason="parity with repeng: needs `pip install --no-deps repeng scikit-learn`"
)
@pytest.mark.parametrize(("method", "centred"), [("pca_diff", True), ("pca_center", False)])
def test_pca_is_that_of_repeng(
    lm: LanguageModel, store: Store, monkeypatch: pytest.MonkeyPatch, method: str, centred: bool
) -> None:
    # repeng 0.4 was written for numpy 1, where float64 had this name too.
    monkeypatch.setattr(np, "float_", np.float64, raising=False)
    from repeng import ControlVector, DatasetEntry

    # An odd number of pairs, so that as many cannot point one way as the other.
    high, low = SIDES.high[:9], SIDES.low[:9]
    pairs = [[prompt_ids(lm.tokenizer, **side._asdict()) for side in pair] for pair in zip(high, low, strict=True)]
    texts = [DatasetEntry(*map(lm.tokenizer.decode, pair)) for pair in pairs]
    assert [lm.tokenizer.encode(entry.positive) for entry in texts] == [ids for ids, _ in pairs]
    blocks = list(range(lm.n_layers - 1))  # repeng reads the last block's output behind the final norm
    theirs = ControlVector.train(lm.model, lm.tokenizer, texts, hidden_layers=blocks, method=method).directions
    ours = read_vectors(store, PCAVectors(States(ON, high), States(ON, low), centred))
    expected = torch.stack([torch.from_numpy(theirs[block]) for block in blocks])
    torch.testing.assert_close(ours[:-1], expected, atol=2e-3, rtol=0)
