"""Exports of tiny models, for tests of every format."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ws.delta.weight_delta import WeightDelta
from ws.exports import llama_cpp
from ws.exports.questions import Asked
from ws.exports.what import Exported
from ws.models import tiny
from ws.models.language import LanguageModel
from ws.models.table import weights_of
from ws.models.yesno import AnswerTokens
from ws.steering.interventions import Ready, Weights, shifted, weights_ready
from ws.store import Store
from ws.tests import gguf_writing
from ws.tests.small import adapter
from ws.training.direction import Direction

in_llama_cpp = pytest.mark.skipif(llama_cpp.why_absent() is not None, reason=f"{llama_cpp.why_absent()}")
"""For tests that ask llama.cpp itself, which is an optional extra."""


def of_delta(lm: LanguageModel, delta: WeightDelta, *, coeff: float = 1.0) -> Exported:
    """An update of weights, to be exported."""
    return Exported(lm, weights_ready(lm, delta), coeff, "given dW")


def of_steps(lm: LanguageModel, steps: Mapping[int, Tensor], *, coeff: float = 1.0) -> Exported:
    """Vectors for the stream behind some blocks, to be exported."""
    ready = Ready(min(steps), partial(shifted, lm, steps))
    return Exported(lm, ready, coeff, "given vectors", {block: coeff * step for block, step in steps.items()})


@cache
def llama_file(architecture: str, folder: Path) -> tuple[LanguageModel, Path]:
    """A tiny model of one of llama.cpp's architectures, and its own GGUF file in float32."""
    tokenizer = tiny.tiny_tokenizer(["a stone floats on water"])
    model = gguf_writing.random_model(architecture, len(tokenizer), num_hidden_layers=4).requires_grad_(False)
    lm = LanguageModel(f"tiny {architecture}", model, tokenizer, weights_of("tiny-random-qwen3"), passes="plain")
    return lm, gguf_writing.write(folder / f"{architecture}.gguf", model, tokenizer, pre="qwen2")


def of_family(lm: LanguageModel, store: Store, family: str) -> Exported:
    """A trained dW, to be exported."""
    weights = Weights(Direction(adapter(family), adapter(family, sign="minus")))
    return Exported(lm, weights.ready(lm, store), 1.0, weights.describe())


@cache
def random_prompts(lm: LanguageModel, lengths: Sequence[int] = (3, 9, 20, 31)) -> Asked:
    """Prompts of random tokens, whose first tokens stand for answers: no chat template is needed."""
    generator = torch.Generator().manual_seed(0)
    size = lm.model.config.vocab_size
    prompts = tuple(tuple(torch.randint(5, size, (n,), generator=generator).tolist()) for n in lengths)
    return Asked((), prompts, AnswerTokens((7, 8), (9,)))
