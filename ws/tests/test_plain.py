"""The model's own forward pass and packed sequences give the same numbers, on models for which both are right."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import Tensor

from ws.behaviors.neutral_text import read_passages
from ws.contest.rivals import answer_states
from ws.engine import plain as plain_passes
from ws.engine.blocks import stream, watched
from ws.engine.choice import begun, packs, prepared
from ws.engine.greedy import greedy_answers
from ws.engine.nucleus import Nucleus
from ws.engine.plain import PlainBatch, groups, own_logits
from ws.errors import DataError, MismatchError
from ws.models.language import LanguageModel
from ws.scoring.rows import answers_of, prompts_of, score
from ws.scoring.side_effects import passages_at
from ws.steering.interventions import Ready, shifted, weights_ready
from ws.steering.iso_kl import divergence_at
from ws.steering.states import Prompt, last_states
from ws.tests.architectures import random_model
from ws.tests.small import LAYERS, PAIRS, SHAPES, SYCOPHANCY, TRAINING, fingerprint, random_update
from ws.tests.told import Told
from ws.training import train
from ws.training.train import Adapter, Below, question_rows, trained

QUESTIONS = SYCOPHANCY.questions("validation")[:4]
MESSAGES = ("What floats on water, and why?", "Hi", "Hi!")
PROMPTS = ((5, 6, 7, 8), (5, 6, 7, 9, 10), (5, 6, 7, 8, 9), (60,))
STOP = 2

Measured = Callable[[LanguageModel], Tensor]


@pytest.fixture(params=["plain", "alone"])
def plain(lm: LanguageModel, request: pytest.FixtureRequest) -> LanguageModel:
    return replace(lm, passes=request.param)


def steering(lm: LanguageModel) -> Ready:
    return weights_ready(lm, random_update(lm))


def numbers(table: pd.DataFrame, *columns: str) -> Tensor:
    return torch.tensor(table[list(columns)].to_numpy())


def scored(lm: LanguageModel) -> Tensor:
    ready, found = steering(lm), []
    batch = prepared(lm, prompts_of(lm, QUESTIONS, SYCOPHANCY.prefill), start=ready.start)
    for coeff in (-0.5, 1.0):
        with ready.at(coeff, tokens=batch.nodes):
            seen = score(lm, batch, answers_of(lm))
        found += [seen.log_yes, seen.log_no]
    return torch.stack(found)


def diverged(lm: LanguageModel) -> Tensor:
    table = divergence_at(lm, steering(lm), MESSAGES, coeff=0.5, system="You are kind.", new_tokens=4)
    assert table["kl"].mean() > 0.01
    return numbers(table, "message", "token", "kl")


def surprised(lm: LanguageModel) -> Tensor:
    return numbers(passages_at(lm, read_passages()[:2], steering(lm), 0.5, system=None), "tokens", "nll")


def states(lm: LanguageModel) -> Tensor:
    return last_states(lm, [Prompt(message) for message in MESSAGES])


def states_of_answers(lm: LanguageModel) -> Tensor:
    return answer_states(lm, MESSAGES, ["You are kind."] * 3, ["Yes it does", "no", "never ever"])


@pytest.mark.parametrize("measured", [scored, diverged, surprised, states, states_of_answers])
def test_every_consumer_reads_the_same(lm: LanguageModel, plain: LanguageModel, measured: Measured) -> None:
    before = fingerprint(lm)
    torch.testing.assert_close(measured(plain), measured(lm), rtol=1e-3, atol=1e-4)
    assert fingerprint(lm) == before


def test_adapters_train_alike(lm: LanguageModel, plain: LanguageModel) -> None:
    asked = [(f"q{i}", f"What do you think about number {i}?") for i in range(4)]
    said = [(*question, 0, f"Yes, {i}", "No", 2, 2) for i, question in enumerate(asked)]
    columns = ["question_id", "question", "persona", "plus", "minus", "plus_end", "minus_end"]
    rows = question_rows(lm.tokenizer, pd.DataFrame(said, columns=columns), sign="plus")
    recipe = Adapter(PAIRS, "plus", SHAPES["lora"], TRAINING, seed=0)
    found = []
    for one in (lm, plain):
        below = Below.of(one, [text for row in rows for text in row.texts], start=LAYERS.start)
        adapters, curves = trained(one, rows, below, recipe)
        found.append((adapters, curves["loss"] + curves["gradient_norm"]))
        assert train.loss(one, rows, below).item() > 1
    (packed, its), (unpacked, others) = found
    assert others == pytest.approx(its, rel=1e-4)
    for path, params in packed.items():
        # Adam moves a parameter by the sign of its first gradients, which rounding decides where they are nearly zero.
        close = {name: ((unpacked[path][name] - value).abs() < 1e-4).float().mean() for name, value in params.items()}
        assert min(close.values()) > 0.99


def test_greedy_answers_agree(lm: LanguageModel, plain: LanguageModel) -> None:
    prompts = [lm.tokenizer.encode(message) for message in MESSAGES]
    assert greedy_answers(plain, prompts, new_tokens=6) == greedy_answers(lm, prompts, new_tokens=6)


def test_sampled_answers_stop_and_keep_to_the_nucleus(lm: LanguageModel, plain: LanguageModel) -> None:
    # A nucleus that only the likeliest token fits into is greedy, whatever the stream of random numbers.
    [greedy] = begun(lm, PROMPTS[:1]).continued([0], ends=(STOP,), new_tokens=5)
    stop = greedy[2]
    read = begun(plain, PROMPTS)
    with torch.random.fork_rng():
        answers = read.continued((3, 0, 2, 0), ends=(stop,), new_tokens=5, do_sample=True, processors=[Nucleus(1e-6)])
    expected = begun(lm, PROMPTS).continued((3, 0, 2, 0), ends=(stop,), new_tokens=5)
    assert answers == expected
    assert answers[1] == greedy[: greedy.index(stop) + 1]


def test_prompts_of_one_length_run_together_and_no_others() -> None:
    assert groups(PROMPTS, (0, 1, 2, 3), together=True) == [[3], [0], [1, 2]]
    assert groups(PROMPTS, (2, 1), together=False) == [[2], [1]]
    assert [len(run) for run in groups([[0] * 2000] * 5, range(5), together=True)] == [2, 2, 1]


@pytest.mark.parametrize(("passes", "runs"), [("packed", 1), ("plain", 3), ("alone", 4)])
def test_no_pass_runs_twice(lm: LanguageModel, passes: str, runs: int) -> None:
    one, ran = replace(lm, passes=passes), []
    batch = prepared(one, PROMPTS, start=2)
    handle = lm.layers[-1].register_forward_pre_hook(lambda module, inputs: ran.append(inputs[0].shape[:2]))
    try:
        places = torch.cat([places for places, _ in batch.ends(one)])
    finally:
        handle.remove()
    assert sorted(places.tolist()) == [*range(len(PROMPTS))]
    assert len(ran) == runs


def test_a_model_that_gives_all_logits_is_read_at_the_last(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = own_logits(lm, PROMPTS[:1], keep=2)
    monkeypatch.setattr(plain_passes, "_takes", lambda model: frozenset({"use_cache"}))
    torch.testing.assert_close(own_logits(lm, PROMPTS[:1], keep=2), kept, rtol=0, atol=1e-5)
    assert own_logits(lm, PROMPTS[:1], keep=4).shape[1] == 4


@pytest.mark.parametrize("passes", ["packed", "plain"])
@pytest.mark.parametrize("prompts", [(), ((5, 6), ())], ids=["none", "empty"])
def test_nothing_to_read_is_refused(lm: LanguageModel, passes: str, prompts: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(DataError, match=f"cannot read {len(prompts)} prompts: need at least one"):
        prepared(replace(lm, passes=passes), prompts, start=0)


def test_a_prompt_longer_than_a_window_is_read_by_the_model_itself(told: Told) -> None:
    gemma = random_model("Gemma3", kinds=["sliding_attention", "full_attention"], window=8)
    fits, exceeds = (5, 6, 7, 8, 9, 10, 11, 12), (5, 6, 7, 8, 9, 10, 11, 12, 13)
    assert (packs(gemma, [fits]), packs(gemma, [fits, exceeds])) == (True, False)
    batch = prepared(gemma, (exceeds, fits), start=1)
    assert isinstance(batch, PlainBatch)
    assert sum("prompt run through its own forward pass" in line for line in told) == 1
    found = dict(batch.read(gemma, [slice(-1, None)] * 2))
    torch.testing.assert_close(found[0]()[0], own_logits(gemma, [exceeds], keep=1)[0, 0])
    answers = begun(gemma, (exceeds, fits)).continued((0, 1), ends=(STOP,), new_tokens=3)
    text = [*exceeds]
    for token in answers[0]:
        assert token == own_logits(gemma, [text], keep=1)[0, 0].argmax()
        text.append(token)


@pytest.mark.parametrize("beside", [(), ("cache",)], ids=["stream", "tuple"])
def test_a_block_may_return_its_stream_beside_something_else(
    lm: LanguageModel, beside: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lm.layers[1], "forward", lambda x: (x, *beside) if beside else x)
    with shifted(lm, {1: torch.ones(lm.d_model)}, coeff=2.0):
        out = lm.layers[1](torch.zeros(1, 3, lm.d_model))
    assert out[1:] == beside if beside else torch.is_tensor(out)
    assert torch.equal(stream(out), torch.full((1, 3, lm.d_model), 2.0))


def test_a_block_that_runs_twice_has_no_states_by_depth(lm: LanguageModel) -> None:
    twice = r"14 states of .* where 7 were expected: it does not run each of its 6 blocks once"
    with pytest.raises(MismatchError, match=twice), watched(lm, start=0):
        [own_logits(lm, PROMPTS[:1], keep=1) for _ in range(2)]
