"""Rows: every Yes/No question scored under every coefficient of one intervention, on one model.

Each way of steering is scored on identical rows. Prompts are packed (`ws.engine.packing`), states below the first
changed layer are computed once for all coefficients (`ws.engine.depth`), and the output head runs only on each prompt's
last token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch

from ws.behaviors import Question
from ws.engine.choice import prepared
from ws.engine.loading import loaded
from ws.engine.passes import Batch
from ws.errors import DataError, MismatchError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel, Placed
from ws.models.yesno import ANSWERS, YES_NO, AnswerTokens, Scores, answer_start, answer_tokens, scores
from ws.steering.interventions import Intervention
from ws.store import Recipe, Store
from ws.store.progress import track
from ws.store.tables import read_table

COEFFS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
"""Steered coefficients; 0 is the unchanged model, scored once for all interventions."""

KEY = ("question_id", "cluster", "topic", "phrasing", "pair", "sign")
"""Columns that identify a row, whatever the answer."""


@dataclass(frozen=True)
class Rows(Recipe):
    """`rows.parquet`: a row per coefficient and question."""

    on: Placed
    questions: tuple[Question, ...]
    prefill: str
    intervention: Intervention
    coeffs: tuple[float, ...] = (1.0,)
    answers: str = YES_NO.kind
    """The answers that are compared, a key of `ws.models.yesno.ANSWERS`; for letters, the columns of yes hold A."""

    def __post_init__(self) -> None:
        if not self.questions or not self.coeffs:
            raise DataError(f"{len(self.questions)} rows at {len(self.coeffs)} coefficients; give one or more of each")
        if self.intervention.on not in (None, self.on):
            raise MismatchError(
                f"cannot score {self.intervention.describe()} on {self.on.describe()}: it was made for "
                f"{self.intervention.on.describe()}; make it anew for this model"
            )
        for coeff in self.coeffs:
            self.intervention.check(coeff)

    def describe(self) -> str:
        coeffs = " ".join(f"{coeff:+g}" for coeff in self.coeffs)
        return f"{len(self.questions)} rows at {coeffs}, {self.intervention.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        ready, answers, frames = self.intervention.ready(lm, store), answers_of(lm, self.answers), []
        start = answer_start(lm.tokenizer, self.prefill, ANSWERS[self.answers])
        for coeff in track(self.coeffs, f"score {self.describe()}"):
            prompts = prompts_of(lm, self.questions, start, system=self.intervention.system(coeff))
            batch = prepared(lm, prompts, start=ready.start)
            with ready.at(coeff, tokens=batch.nodes):
                frames.append(frame(self.questions, coeff, score(lm, batch, answers)))
        pd.concat(frames, ignore_index=True).assign(norm=ready.norm).to_parquet(out / "rows.parquet")


def read_rows(store: Store, recipe: Rows) -> pd.DataFrame:
    """Columns of KEY, coeff, log_yes, log_no, log_ratio (nats), pmass, and norm.

    norm: Frobenius norm of what coefficient 1 adds to the weights, in base-weight units; 0 if it adds nothing to them.
    """
    return read_table(store.get(recipe) / "rows.parquet")


@lru_cache(maxsize=2)
def answers_of(lm: LanguageModel, kind: str = YES_NO.kind) -> AnswerTokens:
    """The model's yes and no tokens, or those of other answers; cached, since it takes reading the vocabulary."""
    return answer_tokens(lm.tokenizer, ANSWERS[kind])


@lru_cache(maxsize=8)
def prompts_of(
    lm: LanguageModel, questions: tuple[Question, ...], prefill: str, *, system: str | None = None
) -> tuple[tuple[int, ...], ...]:
    """Token ids of each question: a system message if there is one, the user's turn, and the start of the answer.

    Raises: ChatError if the model's chat template has no place for a system message.
    """
    return tuple(tuple(prompt_ids(lm.tokenizer, user=q.text, system=system, prefill=prefill)) for q in questions)


def score(lm: LanguageModel, batch: Batch, answers: AnswerTokens) -> Scores:
    """Yes and no at each prompt's last real token, in the order of the prompts."""
    log_yes, log_no = torch.empty(batch.prompts), torch.empty(batch.prompts)
    for places, logits in batch.ends(lm):
        part = scores(logits, answers)
        log_yes[places], log_no[places] = part.log_yes.cpu(), part.log_no.cpu()
    return Scores(log_yes, log_no)


def frame(questions: Sequence[Question], coeff: float, answer: Scores) -> pd.DataFrame:
    """The scores of one coefficient as a table of rows."""
    asked = pd.DataFrame(questions, columns=Question._fields).rename(columns={"id": "question_id"})
    return asked[list(KEY)].assign(
        coeff=coeff,
        log_yes=answer.log_yes.numpy(),
        log_no=answer.log_no.numpy(),
        log_ratio=answer.log_ratio.numpy(),
        pmass=answer.pmass.numpy(),
    )
