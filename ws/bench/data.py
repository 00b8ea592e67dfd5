"""The training rows for the plain way: one sequence for each answer, in the order in which ours takes questions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import pandas as pd
import torch

from ws.models.chat import prompt_ids
from ws.training.train import VALIDATION_EVERY, TrainConfig, answer_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


T = TypeVar("T")


@dataclass(frozen=True)
class Answered:
    """A prompt followed by one answer."""

    ids: tuple[int, ...]
    supervised: int
    """How many tokens at the end belong to the answer."""


Step = tuple[Answered, ...]
"""The answers that one step trains on."""


def sequences(
    tokenizer: "PreTrainedTokenizerBase", pairs: pd.DataFrame, *, sign: Literal["plus", "minus"]
) -> dict[str, Step]:
    """Every answer of each question behind its prompt, in the order of the table."""
    found: dict[str, list[Answered]] = {}
    for row in pairs.to_dict("records"):
        answer = answer_ids(tokenizer, row[sign], row[f"{sign}_end"])
        ids = (*prompt_ids(tokenizer, user=row["question"]), *answer)
        found.setdefault(str(row["question_id"]), []).append(Answered(ids, len(answer)))
    return {question: tuple(rows) for question, rows in found.items()}


def steps(questions: Mapping[str, Sequence[T]], config: TrainConfig, *, seed: int) -> list[tuple[T, ...]]:
    """The rows of every step over all epochs, in the order in which `ws.training.train.trained` draws questions."""
    kept = [rows for i, rows in enumerate(questions.values()) if i % VALIDATION_EVERY]
    generator = torch.Generator().manual_seed(seed)
    taken = []
    for _ in range(config.epochs):
        order = torch.randperm(len(kept), generator=generator).tolist()
        for first in range(0, len(order), config.questions_per_step):
            batch = order[first : first + config.questions_per_step]
            taken.append(tuple(row for i in batch for row in kept[i]))
    return taken


def timed(n_steps: int, *, epochs: int) -> list[int]:
    """The steps whose time is that of a step only; the first of each epoch is left out, since it includes start-up or
    validation."""
    an_epoch = math.ceil(n_steps / epochs)
    return [step for step in range(n_steps) if step % an_epoch]
