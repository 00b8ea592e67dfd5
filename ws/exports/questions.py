"""Log-ratios of held-out questions, by which an export is compared with what it was made of."""

import random
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ws.behaviors import Question, behavior
from ws.behaviors.brought import asks
from ws.engine.plain import plain_batch
from ws.errors import DataError
from ws.models.language import LanguageModel
from ws.models.yesno import YES_NO, AnswerTokens, answer_start
from ws.scoring.rows import answers_of, prompts_of, score
from ws.study.subject import Subject

FEW = 40
"""How many questions a round trip is compared on: each is read three times, by a model that packs nothing."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Held-out questions as prompts of one model."""

    questions: tuple[Question, ...]
    prompts: tuple[tuple[int, ...], ...]
    answers: AnswerTokens

    def log_ratios(self, lm: LanguageModel) -> Float[Tensor, " rows"]:
        """log P(Yes) - log P(No) of each question, in nats, by the model's own forward pass as it is now."""
        return score(lm, plain_batch(self.prompts, start=0, together=lm.passes != "alone"), self.answers).log_ratio


def asked(subject: Subject, lm: LanguageModel, *, most: int | None = None) -> Asked:
    """The behavior's held-out questions, or some of them from all topics alike; sycophancy's if it asks none.

    Raises: DataError for fewer than one.
    """
    asking = subject.behavior if asks(subject.behavior) else behavior("sycophancy")
    every = asking.questions("heldout")[: subject.scale.rows]
    if most is not None and most < 1:
        raise DataError(f"{most} questions; expected 1 or more")
    # Drawn, since any stride might fall on one phrasing alone.
    chosen = sorted(random.Random(0).sample(range(len(every)), min(most or len(every), len(every))))
    questions = tuple(every[place] for place in chosen)
    start = answer_start(lm.tokenizer, asking.prefill, YES_NO)
    return Asked(questions, prompts_of(lm, questions, start), answers_of(lm))
