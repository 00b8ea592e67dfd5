"""Rows that llama.cpp scores: the same questions and answers, put to a model's GGUF file with dW as a LoRA on it.

llama.cpp keeps its cache in float32 and leaves flash attention out, so that the file alone makes a difference.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ws.engine.loading import loaded
from ws.exports import gguf_lora, llama_cpp
from ws.exports.base import Limits
from ws.exports.check import check_same
from ws.exports.llama_cpp import LlamaCpp, opened
from ws.exports.model_file import ModelFile, read_model_file
from ws.exports.what import Exported
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel
from ws.models.yesno import ANSWERS, Scores, answer_start, scores
from ws.scoring.rows import Rows, answers_of, frame, prompts_of
from ws.scoring.text import KEY, TextRows
from ws.store import Store
from ws.store.progress import track

Prompts = Sequence[tuple[int, ...]]

T = TypeVar("T")


def release() -> str:
    """The release of llama.cpp that scores here."""
    return llama_cpp.RELEASES["xllamacpp"]


@dataclass(frozen=True, kw_only=True)
class LlamaRows(Rows):
    """`rows.parquet` as of `Rows`, by llama.cpp."""

    file: ModelFile
    release: str = field(default_factory=release)

    def describe(self) -> str:
        return f"{super().describe()}, in llama.cpp, {self.file.describe()}"

    def why_not_here(self) -> str | None:
        return llama_cpp.why_absent()

    def build(self, out: Path, store: Store) -> None:
        llama_cpp.native()
        lm = loaded(self.on, store)
        answers = answers_of(lm, self.answers)
        prompts = prompts_of(lm, self.questions, answer_start(lm.tokenizer, self.prefill, ANSWERS[self.answers]))

        def scored(model: LlamaCpp, coeff: float) -> pd.DataFrame:
            each = in_turn(
                prompts, lambda place: scores(model.logits(prompts[place], last=1), answers), self.describe()
            )
            both = Scores(torch.cat([one.log_yes for one in each]), torch.cat([one.log_no for one in each]))
            return frame(self.questions, coeff, both)

        score_in_llama(self, lm, store, prompts, scored).to_parquet(out / "rows.parquet")


@dataclass(frozen=True, kw_only=True)
class LlamaTextRows(TextRows):
    """`rows.parquet` as of `TextRows`, by llama.cpp."""

    file: ModelFile
    release: str = field(default_factory=release)

    def describe(self) -> str:
        return f"{super().describe()}, in llama.cpp, {self.file.describe()}"

    def why_not_here(self) -> str | None:
        return llama_cpp.why_absent()

    def build(self, out: Path, store: Store) -> None:
        llama_cpp.native()
        lm = loaded(self.on, store)
        spoken = [one for one in self.answers.spoken(lm, store) if self.pair in (None, one.pair)]
        table = pd.DataFrame(spoken)[list(KEY)].assign(tokens=[len(one.ids) for one in spoken])
        whole = [(*prompt_ids(lm.tokenizer, user=one.message), *one.ids) for one in spoken]

        def scored(model: LlamaCpp, coeff: float) -> pd.DataFrame:
            said = [len(one.ids) for one in spoken]
            each = in_turn(whole, lambda place: log_p(model, whole[place], said=said[place]), self.describe())
            return table.assign(coeff=coeff, log_p=torch.stack(each).numpy())

        score_in_llama(self, lm, store, whole, scored).to_parquet(out / "rows.parquet")


def in_turn(prompts: Prompts, scored: Callable[[int], T], what: str) -> list[T]:
    """What is found at each prompt's place, asked in an order in which neighbours begin alike."""
    order = sorted(range(len(prompts)), key=prompts.__getitem__)
    found = {place: scored(place) for place in track(order, f"score {what}")}
    return [found[place] for place in range(len(prompts))]


def log_p(model: LlamaCpp, tokens: tuple[int, ...], *, said: int) -> Float[Tensor, ""]:
    """The mean log-probability of the last `said` tokens, each after all before it.

    Units: nats per token.
    """
    # Each token is predicted at the token before it.
    logits = model.logits(tokens[:-1], last=said)
    return -torch.nn.functional.cross_entropy(logits, torch.tensor(tokens[-said:]))


def score_in_llama(
    recipe: LlamaRows | LlamaTextRows,
    lm: LanguageModel,
    store: Store,
    prompts: Prompts,
    scored: Callable[[LlamaCpp, float], pd.DataFrame],
) -> pd.DataFrame:
    """What `scored` finds in llama.cpp at each coefficient, with the norm of what coefficient 1 adds.

    Raises: DataError or ModelError for what no LoRA of llama.cpp can hold.
    """
    ready = recipe.intervention.ready(lm, store)
    what = Exported(lm, ready, 1.0, recipe.intervention.describe())
    file, longest, frames = read_model_file(store, recipe.file), max(map(len, prompts)), []
    with tempfile.TemporaryDirectory() as scratch, opened(file, longest=longest, exactly=True) as model:
        check_same(model, file, what)
        lora = Path(scratch) / "dw.gguf"
        if any(recipe.coeffs):
            gguf_lora.write(lora, what, Limits())
        for coeff in recipe.coeffs:
            with model.with_lora(lora, scale=coeff) if coeff else nullcontext():
                frames.append(scored(model, coeff))
    return pd.concat(frames, ignore_index=True).assign(norm=ready.norm)
