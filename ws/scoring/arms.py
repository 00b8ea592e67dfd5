"""Arms: any intervention scored on the same Yes/No rows, and the proof that the rows are the same.

A method that is scored on fewer, other or differently labelled rows is not comparable, so nothing is dropped: a row
that one arm has and another lacks is an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from ws.behaviors import Question
from ws.engine.choice import prepared
from ws.engine.loading import loaded
from ws.errors import DataError, MismatchError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel, Placed
from ws.models.yesno import ANSWERS, YES_NO, Scores, answer_start
from ws.scoring.rows import answers_of, score
from ws.steering.interventions import Intervention
from ws.store import Recipe, Store
from ws.store.progress import track

Key = tuple[str | int, ...]

KEY = ("question_id", "cluster", "topic", "phrasing", "pair", "sign")
"""What a row is, apart from how an arm answered it."""


@dataclass(frozen=True)
class ArmRows(Recipe):
    """`rows.parquet`, as `ws.scoring.rows.Rows` has them: a line per coefficient and question."""

    on: Placed
    questions: tuple[Question, ...]
    prefill: str
    intervention: Intervention
    coeffs: tuple[float, ...] = (1.0,)
    answers: str = YES_NO.kind
    """What is compared: a key of `ws.models.yesno.ANSWERS`; of letters, A stands in the columns of yes."""

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
            system = self.intervention.system(coeff)
            batch = prepared(lm, prompts_under(lm, self.questions, start, system), start=ready.start)
            with ready.at(coeff, tokens=batch.nodes):
                frames.append(frame(self.questions, coeff, score(lm, batch, answers)))
        pd.concat(frames, ignore_index=True).to_parquet(out / "rows.parquet")


def read_arm_rows(store: Store, recipe: ArmRows) -> pd.DataFrame:
    """The columns of `ws.scoring.rows.read_rows`."""
    return pd.read_parquet(store.get(recipe) / "rows.parquet")


@lru_cache(maxsize=8)
def prompts_under(
    lm: LanguageModel, questions: tuple[Question, ...], prefill: str, system: str | None
) -> tuple[tuple[int, ...], ...]:
    """Token ids of each question as a user turn behind a system message, with the start of the answer filled in.

    Raises: ChatError if the model's chat template has no place for a system message.
    """
    return tuple(
        tuple(prompt_ids(lm.tokenizer, user=question.text, system=system, prefill=prefill)) for question in questions
    )


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


def check_identical(arms: Mapping[str, pd.DataFrame]) -> None:
    """Whether every arm has the same rows, equally labelled, under each of its seeds and coefficients.

    Arms may differ in their seeds and coefficients: a prompt has neither -1 nor a seed.
    Raises: DataError naming an arm, the rows that it lacks or repeats, and what to do; also for no arm, or one without
        rows.
    """
    if not arms or any(table.empty for table in arms.values()):
        empty = [arm for arm, table in arms.items() if table.empty]
        raise DataError(f"nothing to compare: {f'{empty[0]!r} has no rows' if empty else 'no arm'}; score some first")
    parts = {(arm, *part): rows for arm, table in arms.items() for part, rows in _parts(table)}
    every = {row: arm for (arm, *_), rows in parts.items() for row in rows}
    for (arm, where), rows in parts.items():
        if repeated := len(rows) - len(set(rows)):
            raise DataError(f"arm {arm!r}{where} repeats {repeated} rows; expected each once; score it anew")
        if missing := sorted(every.keys() - set(rows)):
            raise DataError(
                f"arm {arm!r}{where} lacks {len(missing)} of {len(every)} rows that {every[missing[0]]!r} has: "
                f"{', '.join(map(_named, missing[:3]))}{' ...' if len(missing) > 3 else ''}; "
                "score all arms on one tuple of questions"
            )


def _parts(table: pd.DataFrame) -> list[tuple[tuple[str], list[Key]]]:
    """The keys of the rows of each seed and coefficient, and in words which these are."""
    by = [name for name in ("seed", "coeff") if name in table]
    groups = table.groupby(by) if by else [((), table)]
    return [
        (("".join(f", {name} {value:g}" for name, value in zip(by, values, strict=True)),), _keys(rows))
        for values, rows in groups
    ]


def _keys(rows: pd.DataFrame) -> list[Key]:
    return list(rows[list(KEY)].itertuples(index=False, name=None))


def _named(key: Key) -> str:
    return f"{key[0]} (sign {key[-1]:+d}, cluster {key[1]})"
