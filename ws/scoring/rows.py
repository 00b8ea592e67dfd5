"""Rows: every Yes/No question scored under every coefficient of one direction, on one model.

Each method is scored on identical rows. Prompts are packed (`ws.engine.packing`), states below the first changed layer
are computed once and kept for the process (`ws.engine.depth`), and only the last real token meets the output head.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch

from ws.behaviors import Question
from ws.delta.steering import steered
from ws.delta.weight_delta import WeightDelta, lowest_layer
from ws.engine.choice import prepared
from ws.engine.loading import loaded
from ws.engine.passes import Batch
from ws.errors import MismatchError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel, Placed
from ws.models.yesno import ANSWERS, YES_NO, AnswerTokens, Scores, answer_tokens, scores
from ws.store import Recipe, Store
from ws.store.progress import track
from ws.training.direction import Direction, direction_delta

COEFFS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
"""Steered coefficients; 0 is the unchanged model, scored once."""


@dataclass(frozen=True)
class Rows(Recipe):
    """`rows.parquet`: a line per coefficient and question; direction None is the unchanged model at coefficient 0."""

    on: Placed
    questions: tuple[Question, ...]
    prefill: str
    direction: Direction | None = None
    coeffs: tuple[float, ...] = COEFFS

    def __post_init__(self) -> None:
        if self.direction is not None and self.direction.plus.pairs.on != self.on:
            raise MismatchError(
                f"cannot score {self.direction.describe()} on {self.on.describe()}: adapter for another model"
            )

    def describe(self) -> str:
        what = "base model" if self.direction is None else self.direction.describe()
        return f"{len(self.questions)} rows x {len(self.coeffs) if self.direction else 1}, {what}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        if self.direction is None:
            batch = prepared(lm, prompts_of(lm, self.questions, self.prefill), start=0)
            rows = _frame(self.questions, 0.0, score(lm, batch, answers_of(lm)))
        else:
            delta = direction_delta(self.direction, lm, store)
            coeffs = track(self.coeffs, f"score {self.describe()}")
            rows = swept(lm, self.questions, delta, coeffs=coeffs, prefill=self.prefill)
        rows.to_parquet(out / "rows.parquet")


def read_rows(store: Store, recipe: Rows) -> pd.DataFrame:
    """Columns question_id, cluster, topic, phrasing, pair, sign, coeff, log_yes, log_no, log_ratio, pmass (nats)."""
    return pd.read_parquet(store.get(recipe) / "rows.parquet")


def swept(
    lm: LanguageModel, questions: tuple[Question, ...], delta: WeightDelta, *, coeffs: Iterable[float], prefill: str
) -> pd.DataFrame:
    """The questions scored with each coefficient of an update in turn; a line per coefficient and question."""
    batch = prepared(lm, prompts_of(lm, questions, prefill), start=lowest_layer(delta.tensors))
    answers, frames = answers_of(lm), []
    for coeff in coeffs:
        with steered(lm, delta, coeff=coeff, tokens=batch.nodes):
            frames.append(_frame(questions, coeff, score(lm, batch, answers)))
    return pd.concat(frames, ignore_index=True)


@lru_cache(maxsize=2)
def answers_of(lm: LanguageModel, kind: str = YES_NO.kind) -> AnswerTokens:
    """The model's yes and no tokens, or those of other answers; finding them reads the whole vocabulary."""
    return answer_tokens(lm.tokenizer, ANSWERS[kind])


@lru_cache(maxsize=8)
def prompts_of(lm: LanguageModel, questions: tuple[Question, ...], prefill: str) -> tuple[tuple[int, ...], ...]:
    """Token ids of each question as a user turn, with the start of the answer filled in."""
    return tuple(tuple(prompt_ids(lm.tokenizer, user=q.text, prefill=prefill)) for q in questions)


def score(lm: LanguageModel, batch: Batch, answers: AnswerTokens) -> Scores:
    """Yes and no at each prompt's last real token, in the order of the prompts."""
    log_yes, log_no = torch.empty(batch.prompts), torch.empty(batch.prompts)
    for places, logits in batch.ends(lm):
        part = scores(logits, answers)
        log_yes[places], log_no[places] = part.log_yes.cpu(), part.log_no.cpu()
    return Scores(log_yes, log_no)


def _frame(questions: Sequence[Question], coeff: float, answer: Scores) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "question_id": [q.id for q in questions],
            "cluster": [q.cluster for q in questions],
            "topic": [q.topic for q in questions],
            "phrasing": [q.phrasing for q in questions],
            "pair": [q.pair for q in questions],
            "sign": [q.sign for q in questions],
            "coeff": coeff,
            "log_yes": answer.log_yes.numpy(),
            "log_no": answer.log_no.numpy(),
            "log_ratio": answer.log_ratio.numpy(),
            "pmass": answer.pmass.numpy(),
        }
    )
