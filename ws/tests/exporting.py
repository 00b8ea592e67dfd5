"""Exports of tiny models, for tests of every format."""

from collections.abc import Sequence
from functools import cache

import torch

from ws.delta.weight_delta import WeightDelta
from ws.exports.questions import Asked
from ws.exports.what import Exported
from ws.models.language import LanguageModel
from ws.models.yesno import AnswerTokens
from ws.steering.interventions import Weights, weights_ready
from ws.store import Store
from ws.tests.small import adapter
from ws.training.direction import Direction


def of_delta(lm: LanguageModel, delta: WeightDelta, *, coeff: float = 1.0) -> Exported:
    """An update of weights, to be exported."""
    return Exported(lm, weights_ready(lm, delta), coeff, "given dW")


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
