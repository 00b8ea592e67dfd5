"""Written: what a steered model really says, judged by the unchanged model.

The steered model answers messages that nothing is trained on, without a persona. The unchanged model judges each
answer: how likely it would be from somebody who shows the behavior, against somebody who shows its opposite. The judges
are system prompts that neither training nor any rival of dW has.

All arms draw with the same random numbers: an arm that changes nothing writes the unchanged model's answers token for
token, and a difference between two arms is not one of luck.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from ws.behaviors.brought import Judges
from ws.behaviors.messages import Message
from ws.engine.choice import prepared
from ws.engine.loading import loaded
from ws.errors import DataError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel, Placed
from ws.scoring.side_effects import check_made_for, endings_nll
from ws.scoring.text import refuse_repeats
from ws.steering.interventions import Intervention, Ready
from ws.store import Recipe, Store
from ws.store.progress import track
from ws.store.tables import read_table
from ws.training.pairs import Pairs, sampled


@dataclass(frozen=True)
class WrittenRows(Recipe):
    """`rows.parquet`: a row per coefficient and message, judged by one of the pairs of judges."""

    on: Placed
    messages: tuple[Message, ...]
    judges: Judges
    intervention: Intervention
    coeffs: tuple[float, ...]
    seed: int
    """Of the sampling; another one than any training has."""
    max_new_tokens: int = 24
    temperature: float = 0.8
    top_p: float = 0.95

    def __post_init__(self) -> None:
        if not self.messages or not self.judges or not self.coeffs:
            raise DataError(
                f"{len(self.messages)} messages before {len(self.judges)} pairs of judges at {len(self.coeffs)} "
                "coefficients; give one or more of each"
            )
        refuse_repeats(self.messages)
        check_made_for(self.intervention, self.on)
        for coeff in self.coeffs:
            self.intervention.check(coeff)

    def describe(self) -> str:
        coeffs = " ".join(f"{coeff:+g}" for coeff in self.coeffs)
        return f"written answers to {len(self.messages)} messages at {coeffs}, {self.intervention.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        ready = self.intervention.ready(lm, store)
        written = [self._write(lm, ready, coeff) for coeff in track(self.coeffs, self.describe())]
        # Judged together, so that a message is read once for all coefficients.
        table = judged(lm, self.messages * len(written), [ids for answers in written for ids in answers], self.judges)
        coeffs = [coeff for coeff in self.coeffs for _ in self.messages]
        table.assign(coeff=coeffs, norm=ready.norm).to_parquet(out / "rows.parquet")

    def _write(self, lm: LanguageModel, ready: Ready, coeff: float) -> list[list[int]]:
        """The answers of the model steered by `coeff`, up to and including the end of turn."""
        system = self.intervention.system(coeff)
        prompts = [prompt_ids(lm.tokenizer, user=message.text, system=system) for message in self.messages]
        with ready.at(coeff):
            return sampled(lm, prompts, self._sampling())

    def _sampling(self) -> Pairs:
        """How training samples its answers, with this recipe's seed and length; the personas there are not used."""
        return Pairs(
            self.on,
            tuple((message.id, message.text) for message in self.messages),
            positive=tuple(plus for plus, _ in self.judges),
            negative=tuple(minus for _, minus in self.judges),
            seed=self.seed,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
        )


def read_written_rows(store: Store, recipe: WrittenRows) -> pd.DataFrame:
    """Columns question_id and cluster (message), topic, phrasing and pair (judge), sign, coeff, tokens.

    log_ratio: log P of the answer under the judge for the behavior minus that under its counterpart; log_p: that of the
    unchanged model without a judge, which is low for broken text; both are means over tokens, in nats. answer: its
    words. norm: as in `read_rows`.
    """
    return read_table(store.get(recipe) / "rows.parquet")


def judged(
    lm: LanguageModel, messages: Sequence[Message], answers: Sequence[Sequence[int]], judges: Judges
) -> pd.DataFrame:
    """The columns of `read_written_rows` without coeff and norm; `lm` must be unchanged.

    Pairs of judges take turns, message by message: all are used, at the cost of one. A message has one pair throughout.
    """
    places = {message: place for place, message in enumerate(dict.fromkeys(messages))}
    turns = [places[message] % len(judges) for message in messages]
    voices: list[Sequence[str | None]] = [*zip(*(judges[turn] for turn in turns), strict=True), [None] * len(turns)]
    plus, minus, plain = (log_p_under(lm, messages, answers, each) for each in voices)
    asked = pd.DataFrame(messages, columns=Message._fields)
    names = [f"judge-{turn}" for turn in turns]
    return pd.DataFrame(
        {
            "question_id": asked["id"],
            "cluster": asked["id"],
            "topic": asked["topic"],
            "phrasing": names,
            "pair": names,
            "sign": 1,
            "tokens": [len(ids) for ids in answers],
            "log_ratio": (plus - minus).numpy(),
            "log_p": plain.numpy(),
            "answer": lm.tokenizer.batch_decode(list(answers), skip_special_tokens=True),
        }
    )


def log_p_under(
    lm: LanguageModel, messages: Sequence[Message], answers: Sequence[Sequence[int]], voices: Sequence[str | None]
) -> Float[Tensor, " answers"]:
    """The mean log-probability of each answer's tokens after its message, under a system prompt of its own.

    Units: nats per token.
    """
    prompts = tuple(
        (*prompt_ids(lm.tokenizer, user=message.text, system=voice), *ids)
        for message, ids, voice in zip(messages, answers, voices, strict=True)
    )
    return -endings_nll(lm, prepared(lm, prompts, start=0), answers)
