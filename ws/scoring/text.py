"""Text: how likely a steered model finds what the unchanged model says under opposite personas.

The unchanged model answers messages that nothing is trained on, under personas that show a behavior and under their
counterparts. Then a steered model reads these answers, without a persona before them: if it finds those of one side
more likely than before, and those of the other side less, it moved towards that side. No answer is left out, so that
rows are the same for every seed and every way of steering.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from ws.behaviors.messages import Message
from ws.engine.choice import prepared
from ws.engine.loading import loaded
from ws.errors import DataError
from ws.models.chat import prompt_ids, text_ids
from ws.models.language import LanguageModel, Placed
from ws.scoring.side_effects import check_made_for, endings_nll
from ws.steering.interventions import Intervention, Ready
from ws.store import Recipe, Store
from ws.store.progress import track
from ws.store.tables import read_table
from ws.training.pairs import Pairs, sampled

FIRST_PAIR = "pair-0"
"""The `pair` of the rows under the first pair of personas that answer a message."""

KEY = ("question_id", "cluster", "topic", "phrasing", "pair", "sign")
"""Columns that identify an answer, named as those of `ws.scoring.rows.KEY`."""


class Spoken(NamedTuple):
    """An answer to a message."""

    question_id: str
    cluster: str
    """Id of the message; answers to one message are not independent."""
    topic: str
    phrasing: str
    """Under which personas, or of which kind, it is; the same for both sides."""
    pair: str
    """Its place among the pairs of answers to the message: "pair-0" is the first."""
    sign: int
    """+1 if it shows the behavior, -1 if its opposite."""
    message: str
    ids: tuple[int, ...]
    """Its tokens."""


class Answers(ABC):
    """Answers to messages, of both sides of a behavior."""

    @abstractmethod
    def spoken(self, lm: LanguageModel, store: Store) -> tuple[Spoken, ...]:
        """The answers as tokens of this model, as many of each side to every message."""

    @abstractmethod
    def describe(self) -> str:
        """One short human phrase."""


@dataclass(frozen=True)
class SampledAnswers(Recipe, Answers):
    """`answers.parquet`: what the unchanged model says to each message under some pairs of opposite personas.

    Message i is answered under the pairs i, i + 1, ... of all personas, counted in a circle, so that all are used.
    """

    on: Placed
    messages: tuple[Message, ...]
    positive: tuple[str, ...]
    """Personas that show the behavior; the i-th is paired with the i-th of `negative`."""
    negative: tuple[str, ...]
    seed: int
    """Of the sampling; another one than any training has."""
    pairs: int = 2
    """Pairs of personas that answer each message."""
    max_new_tokens: int = 24
    temperature: float = 0.8
    top_p: float = 0.95

    def __post_init__(self) -> None:
        if not self.messages or not 1 <= self.pairs <= len(self.positive) or len(self.positive) != len(self.negative):
            raise DataError(
                f"{len(self.messages)} messages under {self.pairs} pairs of {len(self.positive)} personas for and "
                f"{len(self.negative)} against a behavior; give messages, as many personas of one side as of the "
                "other, and no more pairs than there are"
            )
        refuse_repeats(self.messages)

    def describe(self) -> str:
        return f"answers to {len(self.messages)} messages, seed {self.seed} on {self.on.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm, asked = loaded(self.on, store), self._asked()
        prompts = [prompt_ids(lm.tokenizer, user=one.message, system=persona) for one, persona in asked]
        answers = sampled(lm, prompts, self._sampling())
        table = pd.DataFrame([one._replace(ids=tuple(ids)) for (one, _), ids in zip(asked, answers, strict=True)])
        said = lm.tokenizer.batch_decode(answers)
        table.assign(answer=said, ids=table["ids"].map(list)).to_parquet(out / "answers.parquet")

    def spoken(self, lm: LanguageModel, store: Store) -> tuple[Spoken, ...]:
        """Up to and including the end of turn, if the model came to it: so no answer is empty."""
        table = read_answers(store, self)[list(Spoken._fields)]
        return tuple(Spoken._make((*row[:-1], tuple(row[-1].tolist()))) for row in table.itertuples(index=False))

    def _asked(self) -> list[tuple[Spoken, str]]:
        """Each answer to come, and the persona that will give it."""
        sides = (("plus", +1, self.positive), ("minus", -1, self.negative))
        return [
            (
                Spoken(
                    f"{message.id}/{persona}/{side}",
                    message.id,
                    message.topic,
                    f"personas {persona}",
                    f"pair-{pair}",
                    sign,
                    message.text,
                    (),
                ),
                personas[persona],
            )
            for place, message in enumerate(self.messages)
            for pair in range(self.pairs)
            for persona in [(place + pair) % len(self.positive)]
            for side, sign, personas in sides
        ]

    def _sampling(self) -> Pairs:
        """How training samples its answers, with this recipe's seed and length."""
        return Pairs(
            self.on,
            tuple((message.id, message.text) for message in self.messages),
            self.positive,
            self.negative,
            self.seed,
            self.max_new_tokens,
            self.temperature,
            self.top_p,
        )


class GivenPair(NamedTuple):
    """Two answers to a message, of opposite sides; a tuple of plain values, so that a recipe can hold it."""

    id: str
    cluster: str
    topic: str
    message: str
    plus: str
    minus: str


@dataclass(frozen=True)
class GivenAnswers(Answers):
    """Answers that somebody wrote; the model's end of turn does not follow them."""

    pairs: tuple[GivenPair, ...]

    def __post_init__(self) -> None:
        if empty := [pair.id for pair in self.pairs for said in (pair.plus, pair.minus) if not said.strip()]:
            raise DataError(f"an answer of {empty[0]!r} is empty; expected words of both sides; write them")
        refuse_repeats(self.pairs)

    def spoken(self, lm: LanguageModel, store: Store) -> tuple[Spoken, ...]:
        return tuple(
            Spoken(
                f"{pair.id}/{side}",
                pair.cluster,
                pair.topic,
                "given",
                FIRST_PAIR,
                sign,
                pair.message,
                tuple(text_ids(lm.tokenizer, said)),
            )
            for pair in self.pairs
            for side, sign, said in (("plus", +1, pair.plus), ("minus", -1, pair.minus))
        )

    def describe(self) -> str:
        return f"{len(self.pairs)} pairs of given answers"


def read_answers(store: Store, recipe: SampledAnswers) -> pd.DataFrame:
    """The columns of `Spoken`, and `answer`: its words, with the special tokens among them."""
    return pd.read_parquet(store.get(recipe) / "answers.parquet")


def refuse_repeats(asked: Sequence[Message | GivenPair]) -> None:
    """Raises: DataError if two share an id, by which rows are told apart."""
    repeated, times = max(Counter(one.id for one in asked).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
        raise DataError(f"{times} messages have the id {repeated!r}; expected each once; rename one")


@dataclass(frozen=True)
class TextRows(Recipe):
    """`rows.parquet`: a row per coefficient and answer."""

    on: Placed
    answers: Answers
    intervention: Intervention
    coeffs: tuple[float, ...] = (1.0,)
    pair: str | None = None
    """Only the answers of this pair, such as FIRST_PAIR; None takes all."""

    def __post_init__(self) -> None:
        if not self.coeffs:
            raise DataError("text at 0 coefficients; give one or more")
        check_made_for(self.intervention, self.on)
        for coeff in self.coeffs:
            self.intervention.check(coeff)

    def describe(self) -> str:
        coeffs = " ".join(f"{coeff:+g}" for coeff in self.coeffs)
        return f"text at {coeffs}, {self.intervention.describe()}, {self.answers.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        spoken = [one for one in self.answers.spoken(lm, store) if self.pair in (None, one.pair)]
        if not spoken:
            raise DataError(f"no answer of {self.pair} in {self.answers.describe()}; expected one or more; ask for all")
        table = pd.DataFrame(spoken)[list(KEY)].assign(tokens=[len(one.ids) for one in spoken])
        ready, frames = self.intervention.ready(lm, store), []
        for coeff in track(self.coeffs, f"score {self.describe()}"):
            log_p = log_p_of(lm, spoken, ready, coeff, system=self.intervention.system(coeff))
            frames.append(table.assign(coeff=coeff, log_p=log_p.numpy()))
        pd.concat(frames, ignore_index=True).assign(norm=ready.norm).to_parquet(out / "rows.parquet")


def read_text_rows(store: Store, recipe: TextRows) -> pd.DataFrame:
    """Columns of KEY, tokens, coeff, log_p (mean nats per token, from fp32 logits), and norm as in `read_rows`."""
    return read_table(store.get(recipe) / "rows.parquet")


def log_p_of(
    lm: LanguageModel, spoken: Sequence[Spoken], ready: Ready, coeff: float, *, system: str | None
) -> Float[Tensor, " answers"]:
    """The mean log-probability of each answer's tokens after its message, steered by `coeff`.

    Units: nats per token.
    """
    asked = {one.message: prompt_ids(lm.tokenizer, user=one.message, system=system) for one in spoken}
    # Answers to one message share its tokens, which are packed once.
    batch = prepared(lm, tuple((*asked[one.message], *one.ids) for one in spoken), start=ready.start)
    with ready.at(coeff, tokens=batch.nodes):
        return -endings_nll(lm, batch, [one.ids for one in spoken])
