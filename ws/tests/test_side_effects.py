"""Passages and answers get the scores that each has alone, on the same tokens under every intervention."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ws.behaviors.neutral_text import read_passages
from ws.engine.greedy import greedy_answers
from ws.errors import DataError, MismatchError
from ws.models.chat import prompt_ids, turn_ends
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.scoring.side_effects import ASKED, SideEffects, perplexity, read_answers, read_text, repetition
from ws.steering.interventions import Activations, Intervention, Nothing, SystemPrompt, Weights
from ws.store import Store
from ws.tests.small import ON, adapter, fingerprint, merged
from ws.tests.test_interventions import Given
from ws.training.direction import Direction, direction_delta

PASSAGES = read_passages()[:4]
MESSAGES = ("Hi", "What is rain?", "Name three rivers that you know.")
DIRECTION = Direction(adapter(), adapter(sign="minus"))
TERSE, WEIGHTS = SystemPrompt("You are terse."), Weights(DIRECTION)
ARMS = (Nothing(), TERSE, WEIGHTS, Activations(Given(), (2, 4)))

every = pytest.mark.parametrize("intervention", ARMS, ids=lambda one: type(one).__name__)


def effects(intervention: Intervention, *coeffs: float, new_tokens: int = 6) -> SideEffects:
    return SideEffects(ON, intervention, coeffs, PASSAGES, MESSAGES, new_tokens)


def strength(intervention: Intervention) -> float:
    return 0.0 if intervention == Nothing() else 1.0


def nll_alone(lm: LanguageModel, model: torch.nn.Module, passage: str, *, system: str | None) -> float:
    """A passage's mean nats per token, from a whole forward pass and a sum over its tokens one by one."""
    asked = prompt_ids(lm.tokenizer, user=ASKED, system=system)
    said = lm.tokenizer.encode(passage, add_special_tokens=False)
    with torch.no_grad():
        log_p = model(torch.tensor([[*asked, *said]])).logits[0].log_softmax(dim=-1)
    return -sum(float(log_p[len(asked) + place - 1, token]) for place, token in enumerate(said)) / len(said)


@pytest.mark.parametrize(
    ("intervention", "coeff"), [(WEIGHTS, 0.0), (WEIGHTS, -0.7), (TERSE, 1.0)], ids=["base", "Weights", "SystemPrompt"]
)
def test_nll_is_that_of_each_passage_alone(
    store: Store, lm: LanguageModel, intervention: Intervention, coeff: float
) -> None:
    model = merged(lm, direction_delta(DIRECTION, lm, store), coeff=coeff) if intervention == WEIGHTS else lm.model
    expected = [nll_alone(lm, model, passage, system=intervention.system(coeff)) for passage in PASSAGES]
    text = read_text(store, effects(intervention, coeff))
    assert text["nll"].to_list() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("intervention", ARMS[1:], ids=lambda one: type(one).__name__)
def test_steering_moves_nll_and_not_what_is_scored(store: Store, intervention: Intervention) -> None:
    base, text = read_text(store, effects(Nothing(), 0.0)), read_text(store, effects(intervention, 1.0))
    assert (text["nll"] - base["nll"]).abs().min() > 2e-4
    assert text[["passage", "tokens"]].equals(base[["passage", "tokens"]])


@every
def test_coefficient_zero_is_the_base_model_bit_for_bit(store: Store, intervention: Intervention) -> None:
    for read in (read_text, read_answers):
        found, base = (read(store, effects(arm, 0.0)) for arm in (intervention, Nothing()))
        pd.testing.assert_frame_equal(found, base, check_exact=True)


def test_coefficients_are_scored_each_as_if_alone(store: Store) -> None:
    for read in (read_text, read_answers):
        alone = [read(store, effects(WEIGHTS, coeff)) for coeff in (-0.7, 0.0, 1.0)]
        together = read(store, effects(WEIGHTS, -0.7, 0.0, 1.0))
        pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True), check_exact=True)


@every
def test_answers_are_the_greedy_ones_of_the_steered_model(
    store: Store, lm: LanguageModel, intervention: Intervention
) -> None:
    coeff = strength(intervention)
    prompts = [prompt_ids(lm.tokenizer, user=user, system=intervention.system(coeff)) for user in MESSAGES]
    with intervention.ready(lm, store).at(coeff):
        said = greedy_answers(lm, prompts, new_tokens=6)
    answers = read_answers(store, effects(intervention, coeff))
    assert answers["message"].to_list() == list(MESSAGES)
    assert answers["answer"].to_list() == [lm.tokenizer.decode(tokens, skip_special_tokens=True) for tokens in said]
    assert set(answers["tokens"]) == {6}


def test_the_end_of_turn_is_no_part_of_an_answer(
    store: Store, lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, stop = lm.tokenizer.encode(" a b a b a b", add_special_tokens=False), turn_ends(lm)[0]
    canned = [[*words, stop], [stop], [words[0], stop]]
    monkeypatch.setattr("ws.scoring.side_effects.greedy_answers", lambda lm, prompts, *, new_tokens: canned)
    effects(Nothing(), 0.0).build(tmp_path, store)
    answers = pd.read_parquet(tmp_path / "answers.parquet")
    assert answers["answer"].to_list() == [" a b a b a b", "", lm.tokenizer.decode(words[:1])]
    assert answers["tokens"].to_list() == [len(words), 0, 1]
    assert answers["repetition"].to_list() == [repetition(words), 0, 0]
    assert repetition(words) > 0


def test_a_broken_model_repeats_itself(store: Store) -> None:
    broken = Activations(Given(), (2, 4))
    answers = read_answers(store, effects(broken, 0.0, 1e8, new_tokens=20))
    mean = answers.groupby("coeff")["repetition"].mean()
    assert mean[0.0] < 0.2
    assert mean[1e8] > 0.8


def test_reading_side_effects_leaves_no_trace(store: Store, lm: LanguageModel, tmp_path: Path) -> None:
    before = fingerprint(lm)
    replace(effects(WEIGHTS, 0.5), passages=PASSAGES[:1], messages=MESSAGES[:1]).build(tmp_path, store)
    assert fingerprint(lm) == before


@given(st.lists(st.integers(1, 40), min_size=1), st.floats(0.1, 5))
def test_perplexity_is_that_of_all_tokens_alike(tokens: list[int], scale: float) -> None:
    nll = [scale / (place + 1) for place in range(len(tokens))]
    every_token = [nats for nats, number in zip(nll, tokens, strict=True) for _ in range(number)]
    expected = torch.tensor(every_token, dtype=torch.float64).mean().exp().item()
    assert perplexity(pd.DataFrame({"tokens": tokens, "nll": nll})) == pytest.approx(expected)


def test_a_model_without_numbers_has_no_perplexity() -> None:
    assert perplexity(pd.DataFrame({"tokens": [3, 4], "nll": [1e4, 1.0]})) == math.inf
    assert math.isnan(perplexity(pd.DataFrame({"tokens": [3, 4], "nll": [math.nan, 1.0]})))


def repeated_slowly(tokens: Sequence[int], n: int) -> float:
    seen: list[list[int]] = []
    again = 0
    for start in range(len(tokens) - n + 1):
        gram = list(tokens[start : start + n])
        again += gram in seen
        seen.append(gram)
    return again / len(seen) if seen else 0.0


@given(st.lists(st.integers(0, 2)), st.integers(1, 4))
def test_repetition_is_the_share_of_grams_seen_before(tokens: list[int], n: int) -> None:
    assert repetition(tokens, n=n) == pytest.approx(repeated_slowly(tokens, n))


def test_repetition_is_of_three_tokens_unless_told_otherwise() -> None:
    assert repetition([1, 2, 3]) == 0
    assert repetition([7, 7, 7, 7]) == 0.5
    with pytest.raises(DataError, match="expected n of 1 or more"):
        repetition([1, 2], n=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coeffs": ()}, "give one or more of each"),
        ({"messages": ()}, "give one or more of each"),
        ({"new_tokens": 0}, "give one or more of each"),
        ({"passages": ()}, "expected one or more with words in each"),
        ({"passages": ("Rain is water.", " ")}, "expected one or more with words in each"),
        ({"intervention": TERSE, "coeffs": (1.0, 2.0)}, "words have no strength"),
    ],
    ids=str,
)
def test_nothing_to_score_or_to_answer_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(effects(WEIGHTS, 1.0), **changes)


@pytest.mark.parametrize("intervention", ARMS[2:], ids=lambda one: type(one).__name__)
def test_an_intervention_of_another_model_is_refused(intervention: Intervention) -> None:
    with pytest.raises(MismatchError, match="it was made for tiny-random-qwen3; make it anew"):
        replace(effects(intervention, 1.0), on=Placed(weights_of("smollm2-135m")))
