"""Prompts whose shared beginnings are read once continue as in a padded batch that is read in full, and as alone."""

from collections.abc import Sequence
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from ws.engine import continuation
from ws.engine.choice import begun
from ws.engine.packing import pack
from ws.errors import DataError
from ws.models.language import LanguageModel
from ws.tests.architectures import ARCHITECTURES, random_model

WINDOW = 12
KINDS = ["sliding_attention", "full_attention", "sliding_attention"]
PROMPTS = (
    [5, 6, 7, 8],
    [5, 6, 7, 9, 10, 11, 12, 13, 14, 15],
    [60],
    [5, 6, 7, 8, 20, 21],
    [40, 41],
    [5, 6, 7, 8],
    [5, 6, 30, 31],
)
"""Forks, a prompt inside another, twins, strangers, and one with nothing before its last token."""
BATCHES = {
    "all": range(len(PROMPTS)),
    "reversed": range(len(PROMPTS))[::-1],
    "no-padding": (0, 5, 6),
    "one": (1,),
    "one-token": (2,),
}
NODES = 14
"""Distinct beginnings of PROMPTS without their last tokens, and the whole of the prompt of one token."""
STOP = 2
"""An end of turn that tiny random models seldom say."""
NEW = 8

every_batch = pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
SAMPLING = {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "top_k": 0}
"""For `generate`; of ours, PROCESSORS do what two of them do."""
PROCESSORS = [TemperatureLogitsWarper(0.8), TopPLogitsWarper(0.95)]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    found = random_model(request.param, kinds=KINDS, window=WINDOW)
    found.model.requires_grad_(False)
    return found


def padded(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], *, stop: int, new_tokens: int, **how: object
) -> list[list[int]]:
    """What `generate` says of a batch that it reads in full, up to and including `stop`."""
    width = max(map(len, prompts))
    output = lm.model.generate(
        input_ids=torch.tensor([[stop] * (width - len(prompt)) + [*prompt] for prompt in prompts]),
        attention_mask=torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]),
        max_new_tokens=new_tokens,
        pad_token_id=stop,
        eos_token_id=stop,
        **how,
    )
    rows = output[:, width:].tolist()
    return [row[: row.index(stop) + 1] if stop in row else row for row in rows]


def drawn(
    lm: LanguageModel, batch: Sequence[int], *, seed: int, stop: int = STOP
) -> tuple[list[list[int]], list[list[int]]]:
    """What is sampled of a batch with shared beginnings, and what is sampled of the padded batch."""
    read = begun(lm, PROMPTS)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ours = read.continued(batch, ends=(stop,), new_tokens=NEW, do_sample=True, processors=PROCESSORS)
        torch.manual_seed(seed)
        return ours, padded(lm, [PROMPTS[place] for place in batch], stop=stop, new_tokens=NEW, **SAMPLING)


@every_batch
@pytest.mark.parametrize("seed", [0])
def test_a_seed_draws_what_it_draws_of_a_padded_batch(lm: LanguageModel, batch: Sequence[int], seed: int) -> None:
    ours, theirs = drawn(lm, batch, seed=seed)
    assert ours == theirs


@pytest.mark.parametrize("seed", [1])
def test_rows_that_end_early_draw_the_same_too(lm: LanguageModel, seed: int) -> None:
    unstopped, _ = drawn(lm, BATCHES["all"], seed=seed)
    stop = unstopped[3][2]
    ours, theirs = drawn(lm, BATCHES["all"], seed=seed, stop=stop)
    assert ours == theirs
    assert ours[3][-1] == stop
    assert min(map(len, ours)) <= 3
    assert all(stop not in answer[:-1] for answer in ours)


def test_all_batches_go_on_from_one_reading(lm: LanguageModel) -> None:
    read = begun(lm, PROMPTS)
    say = partial(read.continued, ends=(STOP,), new_tokens=NEW)
    assert [answer for place in BATCHES["all"] for answer in say([place])] == say(BATCHES["all"])


def test_beginnings_may_lie_in_several_sequences(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuation, "pack", partial(pack, budget=6))
    assert len(continuation.pack(PROMPTS)) > 1
    ours, theirs = drawn(lm, BATCHES["all"], seed=0)
    assert ours == theirs


class Recorded:
    """A processor that changes no score and keeps all."""

    def __init__(self) -> None:
        self.scores: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.scores.append(scores.clone())
        return scores


@every_batch
def test_every_token_stands_where_it_stands_in_a_prompt_alone(lm: LanguageModel, batch: Sequence[int]) -> None:
    seen = Recorded()
    answers = begun(lm, PROMPTS).continued(batch, ends=(STOP,), new_tokens=NEW, processors=[seen])
    # Some texts outgrow Gemma's window, in which each token sees fewer than are behind it.
    assert min(NEW, *map(len, answers)) > 1
    for row, (place, answer) in enumerate(zip(batch, answers, strict=True)):
        text = torch.tensor([[*PROMPTS[place], *answer[:-1]]])
        alone = lm.model(text, use_cache=False).logits[0, len(PROMPTS[place]) - 1 :]
        ours = torch.stack([scores[row] for scores in seen.scores[: len(answer)]])
        torch.testing.assert_close(ours, alone, rtol=0, atol=1e-4)


def test_a_shared_beginning_is_read_once_and_then_only_the_last_tokens_run(lm: LanguageModel) -> None:
    ran: list[tuple[int, ...]] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        ran.append(tuple(inputs[0].shape[:2]))

    handle = lm.layers[0].register_forward_pre_hook(count)
    try:
        read = begun(lm, PROMPTS)
        assert ran == [(1, NODES)]
        read.continued((0, 1, 3), ends=(STOP,), new_tokens=4)
    finally:
        handle.remove()
    assert ran[1:] == [(3, 1)] * 4


@pytest.mark.parametrize("prompts", [[], [[5, 6], []]], ids=["none", "empty"])
def test_nothing_to_go_on_from_is_refused(lm: LanguageModel, prompts: list[list[int]]) -> None:
    with pytest.raises(DataError, match="need at least one, each with at least one token"):
        begun(lm, prompts)
