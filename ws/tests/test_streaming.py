"""What is heard of an answer while it is written is the answer that sampling gives, whichever pass the model runs."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from transformers import GenerationConfig

from ws.engine import streaming
from ws.engine.greedy import greedy_answers
from ws.engine.streaming import Choosing, streamed
from ws.errors import DataError
from ws.models.chat import turn_ends
from ws.models.language import LanguageModel
from ws.tests.small import PAIRS
from ws.tests.test_greedy import prompts_of
from ws.training.pairs import sampled

STEPS = 6
GREEDY = Choosing()
DRAWN = Choosing(temperature=0.8, seed=3)


@pytest.fixture(params=["packed", "plain", "alone"])
def passes(lm: LanguageModel, request: pytest.FixtureRequest) -> LanguageModel:
    return replace(lm, passes=request.param)


def heard(lm: LanguageModel, prompt: Sequence[int], choosing: Choosing) -> tuple[list[int], list[list[int]]]:
    """An answer, and what was heard of it."""
    seen: list[list[int]] = []
    answer = streamed(lm, prompt, lambda ids: seen.append([*ids]), new_tokens=STEPS, choosing=choosing)
    return answer, seen


def test_greedy_answers_are_those_of_a_batch_and_of_transformers(passes: LanguageModel) -> None:
    lm, prompts = passes, prompts_of(passes)
    answers = [heard(lm, prompt, GREEDY)[0] for prompt in prompts]
    assert answers == greedy_answers(lm, prompts, new_tokens=STEPS)
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = torch.tensor([prompt])
        how = {"attention_mask": torch.ones_like(ids), "max_new_tokens": STEPS, "do_sample": False}
        output = lm.model.generate(ids, eos_token_id=list(turn_ends(lm)), pad_token_id=0, **how)
        assert output[0, len(prompt) :].tolist() == answer


def test_drawn_answers_are_those_that_training_draws(passes: LanguageModel) -> None:
    recipe = replace(PAIRS, seed=DRAWN.seed, max_new_tokens=STEPS, temperature=DRAWN.temperature, top_p=DRAWN.top_p)
    for prompt in prompts_of(passes):
        assert [heard(passes, prompt, DRAWN)[0]] == sampled(passes, [prompt], recipe)


def test_each_token_is_heard_once_it_is_there(passes: LanguageModel) -> None:
    answer, seen = heard(passes, prompts_of(passes)[0], GREEDY)
    assert seen == [answer[:n] for n in range(1, len(answer) + 1)]
    assert len(seen) > 1


def test_a_seed_gives_an_answer_again_and_leaves_other_random_numbers_alone(lm: LanguageModel) -> None:
    prompt = prompts_of(lm)[0]
    first = heard(lm, prompt, DRAWN)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert heard(lm, prompt, DRAWN) == first
    assert torch.equal(torch.get_rng_state(), before)
    others = [heard(lm, prompt, replace(DRAWN, seed=seed)) for seed in range(4, 8)]
    assert any(other != first for other in others)


@pytest.mark.parametrize("choosing", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_what_a_model_says_of_sampling_is_not_heard(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch, choosing: Choosing
) -> None:
    expected = heard(lm, prompts_of(lm)[0], choosing)
    config = GenerationConfig(do_sample=True, temperature=0.1, top_p=0.1, top_k=1, repetition_penalty=50.0)
    monkeypatch.setattr(lm.model, "generation_config", config)
    assert heard(lm, prompts_of(lm)[0], choosing) == expected


def test_an_answer_stops_at_its_end_of_turn(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = prompts_of(lm)[0]
    whole, _ = heard(lm, prompt, GREEDY)
    monkeypatch.setattr(streaming, "turn_ends", lambda lm: (whole[2],))
    assert heard(lm, prompt, GREEDY)[0] == whole[: whole.index(whole[2]) + 1]


def test_whoever_hears_may_end_it(lm: LanguageModel) -> None:
    def enough(ids: Sequence[int]) -> None:
        if len(ids) == 2:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        streamed(lm, prompts_of(lm)[0], enough, new_tokens=STEPS, choosing=GREEDY)
    assert heard(lm, prompts_of(lm)[0], GREEDY)[0] == greedy_answers(lm, prompts_of(lm)[:1], new_tokens=STEPS)[0]


@pytest.mark.parametrize("bad", [{"temperature": -1.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.1}])
def test_a_choice_without_meaning_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(DataError, match="expected a temperature from 0 on"):
        Choosing(**bad)
