"""Training text: the model's own answers under personas that show a behavior and under personas that show its opposite.

Source: persona data of the weight-steering recipe, Fierro & Roger 2025, sec. F.1. The persona is only in the prompt
that generates an answer; training sees question and answer without it (`ws.training.train`).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from ws.engine.choice import begun
from ws.engine.loading import loaded
from ws.engine.nucleus import Nucleus
from ws.engine.passes import until
from ws.errors import DataError
from ws.models.chat import prompt_ids, turn_ends
from ws.models.language import LanguageModel, Placed
from ws.models.marks import holds_thought
from ws.store import Recipe, Store
from ws.store.progress import say, track

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 100
"""Prompts sampled together. A change of it gives every answer other random numbers."""


CUT_OFF = -1
"""Stands for the end-of-turn token of an answer that ran out of tokens; no token has this id."""

ALIKE = "the personas do not separate on this model: sharpen them, raise max_new_tokens or use a stronger model"
THINKS = (
    "the model thinks before it answers, though its chat template was asked for a form without a thought: "
    "use a model or a template that has one"
)
"""Advice for errors about too few pairs: why, and what to do."""


@dataclass(frozen=True)
class Pairs(Recipe):
    """One answer of each sign for every question and persona; `pairs.parquet` and `report.json`."""

    on: Placed
    questions: tuple[tuple[str, str], ...]
    """(question id, user message)."""
    positive: tuple[str, ...]
    """Personas that show the behavior; the i-th is paired with the i-th of `negative`."""
    negative: tuple[str, ...]
    seed: int
    max_new_tokens: int = 24
    temperature: float = 0.8
    top_p: float = 0.95

    def __post_init__(self) -> None:
        if not self.questions or not self.positive or len(self.positive) != len(self.negative):
            raise DataError(
                f"cannot pair {len(self.positive)} positive with {len(self.negative)} negative personas over "
                f"{len(self.questions)} questions; give questions and as many personas of one side as of the other"
            )

    def describe(self) -> str:
        return f"pairs seed {self.seed} on {self.on.describe()}"

    def build(self, out: Path, store: Store) -> None:
        table = answered(loaded(self.on, store), self)
        kept, report = filtered(table)
        say(f"pairs: {report['share_filtered']:.0%} of {len(table)} filtered {report['filtered']}")
        kept.to_parquet(out / "pairs.parquet")
        (out / "report.json").write_text(json.dumps(report, indent=2))


def read_pairs(store: Store, recipe: Pairs) -> pd.DataFrame:
    """The kept pairs: columns question_id, question, persona, plus, minus, plus_end, minus_end.

    An end is the token with which the model ended that answer, or CUT_OFF if it ran out of tokens.
    """
    return pd.read_parquet(store.get(recipe) / "pairs.parquet")


def answered(lm: LanguageModel, recipe: Pairs) -> pd.DataFrame:
    """Every question answered under every persona of both signs, unfiltered."""
    jobs = [
        (question_id, question, index, sign, persona)
        for question_id, question in recipe.questions
        for sign, personas in (("plus", recipe.positive), ("minus", recipe.negative))
        for index, persona in enumerate(personas)
    ]
    prompts = [prompt_ids(lm.tokenizer, user=question, system=persona) for _, question, _, _, persona in jobs]
    answers = sampled(lm, prompts, recipe)
    rows = [
        {"question_id": job[0], "question": job[1], "persona": job[2], "sign": job[3], "ids": tuple(ids)}
        for job, ids in zip(jobs, answers, strict=True)
    ]
    wide = pd.DataFrame(rows).pivot(index=["question_id", "question", "persona"], columns="sign", values="ids")
    ends = turn_ends(lm)
    order = {question_id: place for place, (question_id, _) in enumerate(recipe.questions)}
    table = wide.reset_index().sort_values(
        ["question_id", "persona"], key=lambda column: column.map(order) if column.name == "question_id" else column
    )
    for sign in ("plus", "minus"):
        said = [_parted(ids, ends) for ids in table[sign]]
        table[sign] = [_spoken(lm.tokenizer, ids) for ids, _ in said]
        table[f"{sign}_end"] = [end for _, end in said]
    return table.reset_index(drop=True)


def sampled(lm: LanguageModel, prompts: Sequence[Sequence[int]], recipe: Pairs) -> list[list[int]]:
    """A sampled continuation of each prompt, up to and including the end of turn, in the order given."""
    from transformers import TemperatureLogitsWarper

    by_length = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    batches = [by_length[i : i + BATCH] for i in range(0, len(by_length), BATCH)]
    read, ends = begun(lm, prompts), turn_ends(lm)
    nucleus = [TemperatureLogitsWarper(recipe.temperature), Nucleus(recipe.top_p)]
    answers: dict[int, list[int]] = {}
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        for batch in track(batches, f"answers of seed {recipe.seed}"):
            continuations = read.continued(
                batch,
                ends=ends,
                new_tokens=recipe.max_new_tokens,
                do_sample=True,
                processors=nucleus,
            )
            answers.update(zip(batch, continuations, strict=True))
    return [answers[i] for i in range(len(prompts))]


def filtered(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, object]]:
    """The usable pairs and a report that counts each reason for which the others were dropped.

    Raises: DataError if both sides are identical throughout or fewer than a quarter of the pairs is usable.
    """
    reasons = [_flaw(plus, minus) for plus, minus in zip(table["plus"], table["minus"], strict=True)]
    kept = table[[reason is None for reason in reasons]].reset_index(drop=True)
    counts = pd.Series([reason for reason in reasons if reason], dtype=object).value_counts().to_dict()
    if len(kept) < math.ceil(len(table) / 4):
        thinks = next(iter(counts)) == "thought"
        raise DataError(
            f"only {len(kept)} of {len(table)} pairs are usable (dropped: {counts}); {THINKS if thinks else ALIKE}"
        )
    share = 1 - len(kept) / len(table)
    return kept, {"pairs": len(table), "kept": len(kept), "share_filtered": share, "filtered": counts}


def is_repetitive(text: str) -> bool:
    """True where an answer is stuck: over half of its words (of at least 8) repeat the word just before."""
    words = text.split()
    return len(words) >= 8 and sum(a == b for a, b in pairwise(words)) > len(words) / 2


def _flaw(plus: str, minus: str) -> str | None:
    if holds_thought(plus) or holds_thought(minus):
        return "thought"
    if not plus.strip() or not minus.strip():
        return "empty"
    if plus.strip() == minus.strip():
        return "identical"
    if is_repetitive(plus) or is_repetitive(minus):
        return "repeated token"
    return None


def _parted(ids: Sequence[int], ends: Sequence[int]) -> tuple[list[int], int]:
    """The tokens before the end of turn, and the end-of-turn token (or CUT_OFF)."""
    said = until(ends, list(ids))
    return (said[:-1], said[-1]) if said and said[-1] in ends else (said, CUT_OFF)


def _spoken(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    whole = tokenizer.decode(ids)
    # The marks of a thought may be special tokens, which decoding would drop.
    return (whole if holds_thought(whole) else tokenizer.decode(ids, skip_special_tokens=True)).strip()
