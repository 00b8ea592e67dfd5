"""Yes/No after a chain of thought: the model thinks about each question first (greedily) and then answers.

On-policy, the steered model answers after its own thought, so that steering may act through the thought. Off-policy,
every arm and coefficient answers after the unchanged model's thought, so that steering cannot act that way. Every
thought is closed by the special token, whether it ended by itself or ran out of tokens: the text of that token may be
tokenized in a way that the model has never seen at the end of a thought.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from ws.behaviors import Question
from ws.engine.choice import prepared
from ws.engine.greedy import greedy_answers
from ws.engine.loading import loaded
from ws.errors import ChatError, DataError
from ws.models.chat import prompt_ids, text_ids, turn_ends
from ws.models.language import LanguageModel, Placed
from ws.models.marks import MARKS, marks_of
from ws.scoring.rows import Rows, answers_of, frame, score
from ws.steering.interventions import Intervention, Nothing
from ws.store import Recipe, Store
from ws.store.progress import track
from ws.store.tables import read_table

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 64
"""Thoughts that run at once, limited by the device's memory for their keys and values."""


@dataclass(frozen=True)
class Thoughts(Recipe):
    """`thoughts.parquet`: the greedy thought about each question under an intervention at one coefficient."""

    on: Placed
    questions: tuple[Question, ...]
    intervention: Intervention
    coeff: float
    new_tokens: int = 64
    """Number of tokens after which a thought is cut off, counting its end mark."""

    def __post_init__(self) -> None:
        Rows(self.on, self.questions, "", self.intervention, (self.coeff,))  # For its checks of these fields.
        _check_length(self.new_tokens)

    def describe(self) -> str:
        return f"{len(self.questions)} thoughts at {self.coeff:+g}, {self.intervention.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        _, closing = think_tokens(lm.tokenizer)
        ready, system = self.intervention.ready(lm, store), self.intervention.system(self.coeff)
        prompts = [opened(lm.tokenizer, question, system=system) for question in self.questions]
        with ready.at(self.coeff):
            said = _by_length(lm, prompts, new_tokens=self.new_tokens, label=self.describe())
        ends = turn_ends(lm)
        thoughts, closed = zip(*(cut(tokens, closing=closing, ends=ends) for tokens in said), strict=True)
        table = pd.DataFrame(
            {
                "question_id": [question.id for question in self.questions],
                "thought": thoughts,
                "text": [lm.tokenizer.decode(thought) for thought in thoughts],
                "closed": closed,
            }
        )
        table.to_parquet(out / "thoughts.parquet")


def read_thoughts(store: Store, recipe: Thoughts) -> pd.DataFrame:
    """Columns question_id, thought, text, closed, in the order of the questions.

    `thought` lists the token ids between the marks, without <think>, </think> or end of turn.
    `closed` says whether the model itself ended the thought with its mark (</think> or its own spelling of it).
    """
    table = pd.read_parquet(store.get(recipe) / "thoughts.parquet")
    return table.assign(thought=[ids.tolist() for ids in table["thought"]])


@dataclass(frozen=True)
class ThoughtRows(Recipe):
    """`rows.parquet`: a row per coefficient and question, scored after a thought."""

    on: Placed
    questions: tuple[Question, ...]
    prefill: str
    intervention: Intervention
    coeffs: tuple[float, ...] = (1.0,)
    policy: Literal["on", "off"] = "on"
    """Whose thought is answered after: "on", the steered model's own; "off", the unchanged model's."""
    new_tokens: int = 64

    def __post_init__(self) -> None:
        Rows(self.on, self.questions, self.prefill, self.intervention, self.coeffs)  # For its checks of these fields.
        _check_length(self.new_tokens)
        if self.policy not in ("on", "off"):
            raise DataError(
                f"policy {self.policy!r}; expected 'on' (the steered model's own thoughts) or 'off' (the unchanged "
                "model's); choose one"
            )

    def thoughts(self, coeff: float) -> Thoughts:
        """The thoughts before the rows of a coefficient; at 0 every arm shares the unchanged model's thoughts."""
        if self.policy == "off" or not coeff:
            return Thoughts(self.on, self.questions, Nothing(), 0.0, self.new_tokens)
        return Thoughts(self.on, self.questions, self.intervention, coeff, self.new_tokens)

    def describe(self) -> str:
        coeffs = " ".join(f"{coeff:+g}" for coeff in self.coeffs)
        return f"{len(self.questions)} rows {self.policy}-policy at {coeffs}, {self.intervention.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        think_tokens(lm.tokenizer)  # Raises for a model that does not think, before anything that takes long.
        ready, answers, frames = self.intervention.ready(lm, store), answers_of(lm), []
        for coeff in track(self.coeffs, f"score {self.describe()}"):
            # Outside `ready.at`: thoughts are made and prompts prepared while the model is unchanged.
            thoughts, system = read_thoughts(store, self.thoughts(coeff)), self.intervention.system(coeff)
            prompts = tuple(
                tuple(after_thought(lm.tokenizer, question, thought, system=system, prefill=self.prefill))
                for question, thought in zip(self.questions, thoughts["thought"], strict=True)
            )
            batch = prepared(lm, prompts, start=ready.start)
            with ready.at(coeff, tokens=batch.nodes):
                rows = frame(self.questions, coeff, score(lm, batch, answers))
            frames.append(rows.assign(closed=thoughts["closed"], thought_tokens=thoughts["thought"].map(len)))
        pd.concat(frames, ignore_index=True).to_parquet(out / "rows.parquet")


def read_thought_rows(store: Store, recipe: ThoughtRows) -> pd.DataFrame:
    """The columns of `ws.scoring.rows.read_rows` without norm, then closed and thought_tokens.

    thought_tokens: the length of the thought, without its marks.
    """
    return read_table(store.get(recipe) / "rows.parquet")


def think_tokens(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, int]:
    """The tokens <think> and </think>, or the model's own marks of a thought.

    Raises: ChatError if the tokenizer lacks one of them.
    """
    known, marks = tokenizer.get_vocab(), marks_of(tokenizer)
    if marks is None:
        missing = [mark for mark in MARKS[0] if mark not in known]
        raise ChatError(
            f"the tokenizer {tokenizer.name_or_path!r} has no token {' and no '.join(missing)}; expected both, to "
            "begin and end a thought: use a model that thinks, such as qwen3-0.6b, or score without thoughts (Rows)"
        )
    return known[marks.opening], known[marks.closing]


def opened(tokenizer: "PreTrainedTokenizerBase", question: Question, *, system: str | None) -> list[int]:
    """Token ids of a system message, a question as a user turn, and the mark that begins the model's thought."""
    return prompt_ids(tokenizer, user=question.text, system=system, thinking=True)


def after_thought(
    tokenizer: "PreTrainedTokenizerBase",
    question: Question,
    thought: Sequence[int],
    *,
    system: str | None,
    prefill: str,
) -> list[int]:
    """Token ids up to where the model answers: the question, the thought between its marks, then `prefill`."""
    _, closing = think_tokens(tokenizer)
    asked = opened(tokenizer, question, system=system)
    return [*asked, *thought, closing, *text_ids(tokenizer, "\n\n"), *text_ids(tokenizer, prefill)]


def cut(tokens: Sequence[int], *, closing: int, ends: Sequence[int]) -> tuple[list[int], bool]:
    """The tokens before the first end of thought or of turn, and whether the thought was what ended first."""
    end = next((place for place, token in enumerate(tokens) if token in (closing, *ends)), len(tokens))
    return list(tokens[:end]), end < len(tokens) and tokens[end] == closing


def _by_length(lm: LanguageModel, prompts: Sequence[list[int]], *, new_tokens: int, label: str) -> list[list[int]]:
    """Greedy continuations in the order given, computed in batches of prompts of similar length."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    said: dict[int, list[int]] = {}
    for batch in track([order[i : i + BATCH] for i in range(0, len(order), BATCH)], label):
        answers = greedy_answers(lm, [prompts[i] for i in batch], new_tokens=new_tokens)
        said.update(zip(batch, answers, strict=True))
    return [said[i] for i in range(len(prompts))]


def _check_length(new_tokens: int) -> None:
    if new_tokens < 1:
        raise DataError(f"thoughts of up to {new_tokens} tokens; expected 1 or more; for none at all, use Rows")
