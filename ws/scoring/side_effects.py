"""What steering does to a model besides the behavior: how well it still predicts plain prose, and how it answers.

A broken model is not a steered one: a method that wrecks the model can move Yes against No as far as it likes. So
each arm is also measured, at every coefficient, on passages that have nothing to do with a behavior and on greedy
answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ws.engine.choice import prepared
from ws.engine.endings import logits_at
from ws.engine.greedy import greedy_answers
from ws.engine.loading import loaded
from ws.engine.passes import Batch
from ws.errors import DataError, MismatchError
from ws.models.chat import prompt_ids, text_ids, turn_ends
from ws.models.language import LanguageModel, Placed
from ws.steering.interventions import Intervention, Ready
from ws.store import Recipe, Store
from ws.store.progress import track
from ws.store.tables import read_table

ASKED = "Write a short passage."
"""The user message that every passage answers."""


@dataclass(frozen=True)
class SideEffects(Recipe):
    """`text.parquet`: a row per coefficient and passage; `answers.parquet`: a row per coefficient and message.

    A passage is scored as the model's answer to ASKED, after the arm's system message if it has one, since plain text
    would have no place for a system message. Only the tokens of the passage count, which are the same for every arm.
    """

    on: Placed
    intervention: Intervention
    coeffs: tuple[float, ...]
    passages: tuple[str, ...]
    messages: tuple[str, ...]
    """User messages to answer."""
    new_tokens: int = 48
    """Number of tokens after which an answer is cut off."""

    def __post_init__(self) -> None:
        if not self.coeffs or not self.messages or self.new_tokens < 1:
            raise DataError(
                f"{len(self.messages)} messages at {len(self.coeffs)} coefficients, answered in {self.new_tokens} "
                "tokens; give one or more of each"
            )
        check_passages(self.passages)
        check_made_for(self.intervention, self.on)
        for coeff in self.coeffs:
            self.intervention.check(coeff)

    def describe(self) -> str:
        coeffs = " ".join(f"{coeff:+g}" for coeff in self.coeffs)
        read = f"{len(self.passages)} passages, {len(self.messages)} answers"
        return f"side effects on {read} at {coeffs}, {self.intervention.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        ready, texts, answers = self.intervention.ready(lm, store), [], []
        for coeff in track(self.coeffs, self.describe()):
            system = self.intervention.system(coeff)
            texts.append(passages_at(lm, self.passages, ready, coeff, system=system))
            answers.append(answers_at(lm, self.messages, ready, coeff, system=system, new_tokens=self.new_tokens))
        pd.concat(texts, ignore_index=True).to_parquet(out / "text.parquet")
        pd.concat(answers, ignore_index=True).to_parquet(out / "answers.parquet")


def read_text(store: Store, recipe: SideEffects) -> pd.DataFrame:
    """Columns coeff, passage ("passage-03" is the fourth), tokens, nll (mean nats per token)."""
    return read_table(store.get(recipe) / "text.parquet")


def read_answers(store: Store, recipe: SideEffects) -> pd.DataFrame:
    """Columns coeff, message, answer (without special tokens), tokens (without the end of turn), repetition."""
    return read_table(store.get(recipe) / "answers.parquet")


def check_passages(passages: Sequence[str]) -> None:
    """Raises: DataError if there is no passage, or one has no words."""
    if not passages or not all(passage.strip() for passage in passages):
        raise DataError(f"{len(passages)} passages, expected one or more with words in each; see read_passages()")


def check_made_for(intervention: Intervention, on: Placed) -> None:
    """Raises: MismatchError for an intervention that was made for another model."""
    if intervention.on not in (None, on):
        raise MismatchError(
            f"cannot steer {on.describe()} by {intervention.describe()}: it was made for "
            f"{intervention.on.describe()}; make it anew for this model"
        )


def passages_at(
    lm: LanguageModel, passages: Sequence[str], ready: Ready, coeff: float, *, system: str | None
) -> pd.DataFrame:
    """The passages scored at one coefficient; the columns of `read_text`."""
    spoken = [tuple(text_ids(lm.tokenizer, passage)) for passage in passages]
    prompts = tuple(tuple(prompt_ids(lm.tokenizer, user=ASKED, system=system, prefill=passage)) for passage in passages)
    batch = prepared(lm, prompts, start=ready.start)
    with ready.at(coeff, tokens=batch.nodes):
        nll = endings_nll(lm, batch, spoken)
    return pd.DataFrame(
        {
            "coeff": coeff,
            "passage": [f"passage-{index:02d}" for index in range(len(passages))],
            "tokens": [len(tokens) for tokens in spoken],
            "nll": nll.tolist(),
        }
    )


def endings_nll(lm: LanguageModel, batch: Batch, endings: Sequence[Sequence[int]]) -> Float[Tensor, " prompts"]:
    """The mean negative log-likelihood of each prompt's last tokens given all before them, from fp32 logits.

    Units: nats per token.
    """
    nll = torch.empty(len(endings))
    # Each token is predicted at the token before it.
    for place, logits in logits_at(lm, batch, [slice(-len(said) - 1, -1) for said in endings]):
        said = torch.tensor(endings[place], device=lm.device)
        nll[place] = torch.nn.functional.cross_entropy(logits.float(), said)
    return nll


def perplexity(text: pd.DataFrame) -> float:
    """exp of the mean nats per token over all tokens of a table; pass the rows of one coefficient."""
    mean_nats = (text["nll"] * text["tokens"]).sum(skipna=False) / text["tokens"].sum()
    # torch, since it gives infinity where Python's exp raises and numpy's warns.
    return float(torch.tensor(mean_nats, dtype=torch.float64).exp())


def answers_at(
    lm: LanguageModel, messages: Sequence[str], ready: Ready, coeff: float, *, system: str | None, new_tokens: int
) -> pd.DataFrame:
    """The greedy answers at one coefficient; the columns of `read_answers`."""
    ends, prompts = turn_ends(lm), [prompt_ids(lm.tokenizer, user=user, system=system) for user in messages]
    with ready.at(coeff):
        answers = greedy_answers(lm, prompts, new_tokens=new_tokens)
    said = [[token for token in answer if token not in ends] for answer in answers]
    return pd.DataFrame(
        {
            "coeff": coeff,
            "message": list(messages),
            "answer": lm.tokenizer.batch_decode(said, skip_special_tokens=True),
            "tokens": [len(tokens) for tokens in said],
            "repetition": [repetition(tokens) for tokens in said],
        }
    )


def repetition(tokens: Sequence[int], *, n: int = 3) -> float:
    """The share of n-grams that occurred earlier in the same tokens; 0 if there are fewer than n tokens.

    Raises: DataError unless n is 1 or more.
    """
    if n < 1:
        raise DataError(f"repetition of {n}-grams; expected n of 1 or more: give 3, say")
    grams = list(zip(*(tokens[start:] for start in range(n)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
