"""A greedy answer is what a loop over argmax says of each prompt alone, whatever the model's files say of sampling."""

from functools import partial

import pytest
import torch
from transformers import GenerationConfig

from ws.engine import greedy
from ws.engine.greedy import greedy_answers
from ws.engine.passes import until
from ws.models.chat import prompt_ids, turn_ends
from ws.models.language import LanguageModel
from ws.steering.interventions import Activations
from ws.store import Store
from ws.tests.small import fingerprint
from ws.tests.test_interventions import Given

ASKED = ("Is water dry?", "Do stones float on the sea at night?", "Is?", "Do stones float on water?")
STEPS = 6


@pytest.fixture(scope="module")
def prompts(lm: LanguageModel) -> list[list[int]]:
    return prompts_of(lm)


def prompts_of(lm: LanguageModel) -> list[list[int]]:
    """Prompts of different lengths, neither ascending nor descending."""
    prompts = [prompt_ids(lm.tokenizer, user=user) for user in ASKED]
    lengths = [len(prompt) for prompt in prompts]
    assert len(set(lengths)) == len(lengths)
    assert lengths not in (sorted(lengths), sorted(lengths, reverse=True))
    return prompts


def likeliest(lm: LanguageModel, prompt: list[int], *, stop: int, steps: int = STEPS) -> list[int]:
    """One whole forward pass a token, of a prompt that is alone and therefore unpadded."""
    said: list[int] = []
    while len(said) < steps and stop not in said:
        with torch.no_grad():
            said.append(int(lm.model(torch.tensor([prompt + said]), use_cache=False).logits[0, -1].argmax()))
    return said


def test_each_prompt_is_answered_as_if_alone_and_in_the_order_given(
    lm: LanguageModel, prompts: list[list[int]]
) -> None:
    slow = partial(likeliest, lm, stop=turn_ends(lm)[0])
    assert greedy_answers(lm, prompts, new_tokens=STEPS) == [slow(prompt) for prompt in prompts]


def test_an_answer_stops_at_its_end_of_turn_and_the_others_go_on(
    lm: LanguageModel, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = [likeliest(lm, prompts[0], stop=-1, steps=2)[-1], likeliest(lm, prompts[1], stop=-1, steps=4)[-1]]
    monkeypatch.setattr(greedy, "turn_ends", lambda lm: tuple(ends))
    answers = greedy_answers(lm, prompts, new_tokens=STEPS)
    unstopped = [likeliest(lm, prompt, stop=-1) for prompt in prompts]
    assert answers == [until(ends, said) for said in unstopped]
    assert max(map(len, answers)) == STEPS
    assert [answers[place][-1] for place in (0, 1)] == ends


def test_a_model_that_is_steered_answers_steered(lm: LanguageModel, store: Store, prompts: list[list[int]]) -> None:
    before, base = fingerprint(lm), greedy_answers(lm, prompts, new_tokens=STEPS)
    with Activations(Given(), (2, 4)).ready(lm, store).at(2.0):
        answers = greedy_answers(lm, prompts, new_tokens=STEPS)
        slow = [likeliest(lm, prompt, stop=turn_ends(lm)[0]) for prompt in prompts]
    assert answers == slow != base
    assert fingerprint(lm) == before


def test_what_a_model_says_of_sampling_is_not_heard(
    lm: LanguageModel, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = greedy_answers(lm, prompts, new_tokens=4 * STEPS)
    sampling = GenerationConfig(do_sample=True, temperature=0.6, top_p=0.9, top_k=20, repetition_penalty=2.0)
    monkeypatch.setattr(lm.model, "generation_config", sampling)
    assert greedy_answers(lm, prompts, new_tokens=4 * STEPS) == expected
