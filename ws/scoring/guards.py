"""The measurement bugs of the journal, each scored on the same rows as the correct way.

Three bugs moved published numbers: tokens cached for an older answer header, an end of thought written as text instead
of its token, and right padding with logits read at the last column. Every row is scored alone (the reference), packed
(our way) and in each buggy way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from ws.behaviors import Question
from ws.engine.choice import prepared
from ws.engine.loading import loaded
from ws.models.chat import prompt_ids, text_ids
from ws.models.language import LanguageModel, Placed
from ws.models.marks import marks_of
from ws.models.yesno import AnswerTokens, Scores, scores
from ws.scoring.rows import answers_of, prompts_of, score
from ws.scoring.thought import after_thought, think_tokens
from ws.stats.estimate import Estimate
from ws.store import Recipe, Store
from ws.store.progress import track
from ws.store.tables import read_table

BATCH = 8


@dataclass(frozen=True)
class Guards(Recipe):
    """`guards.parquet`: a row per way of scoring and question, columns way, question_id, cluster, log_ratio, pmass.

    Ways: alone, packed, right_padded; other_header_alone and other_header_packed, the same questions with
    `other_prefill`, scored after the ones with `prefill`; and for a model with thinking tokens thought_guarded,
    thought_token and thought_text.
    """

    on: Placed
    questions: tuple[Question, ...]
    prefill: str
    other_prefill: str

    def describe(self) -> str:
        return f"measurement guards on {self.on.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        answers = answers_of(lm)
        frames = []
        for way, measured in track(list(_ways(lm, self, answers).items()), "measurement guards"):
            frames.append(_frame(way, self.questions, measured()))
        pd.concat(frames, ignore_index=True).to_parquet(out / "guards.parquet")


def read_guards(store: Store, recipe: Guards) -> pd.DataFrame:
    """The rows of all ways of scoring; columns and ways as in `Guards`."""
    return read_table(store.get(recipe) / "guards.parquet")


def distance(store: Store, recipe: Guards, one: str, other: str) -> Estimate:
    """The mean absolute difference of the log-ratio between two ways of scoring, in nats."""
    table = read_guards(store, recipe).set_index("question_id")
    first, second = (table[table["way"] == way] for way in (one, other))
    gap = (first["log_ratio"] - second["log_ratio"]).abs()
    lines = first.assign(seed=0, value=gap).rename_axis("row").reset_index()
    return Estimate.of(lines, sources=[store.key(recipe)])


def score_alone(lm: LanguageModel, prompts: Sequence[Sequence[int]], answers: AnswerTokens) -> Scores:
    """Each prompt in a forward pass of its own: slow, but without padding, packing or cache."""
    with torch.no_grad():
        logits = [lm.model(torch.tensor([list(p)], device=lm.device), use_cache=False).logits[0, -1] for p in prompts]
    return _on_cpu(scores(torch.stack(logits), answers))


def score_right_padded(lm: LanguageModel, prompts: Sequence[Sequence[int]], answers: AnswerTokens) -> Scores:
    """The bug: batches padded on the right, read at the last column, which is padding for all but the longest."""
    pad, parts = lm.tokenizer.pad_token_id, []
    for first in range(0, len(prompts), BATCH):
        batch = prompts[first : first + BATCH]
        width = max(map(len, batch))
        ids = torch.tensor([[*p, *[pad] * (width - len(p))] for p in batch], device=lm.device)
        real = torch.tensor([[1] * len(p) + [0] * (width - len(p)) for p in batch], device=lm.device)
        with torch.no_grad():
            parts.append(lm.model(ids, attention_mask=real, use_cache=False).logits[:, -1])
    return _on_cpu(scores(torch.cat(parts), answers))


def _ways(lm: LanguageModel, recipe: Guards, answers: AnswerTokens) -> dict[str, Callable[[], Scores]]:
    first = prompts_of(lm, recipe.questions, recipe.prefill)
    other = prompts_of(lm, recipe.questions, recipe.other_prefill)
    ways: dict[str, Callable[[], Scores]] = {
        "packed": lambda: score(lm, prepared(lm, first, start=0), answers),
        "other_header_packed": lambda: score(lm, prepared(lm, other, start=0), answers),
        "alone": partial(score_alone, lm, first, answers),
        "other_header_alone": partial(score_alone, lm, other, answers),
        "right_padded": partial(score_right_padded, lm, first, answers),
    }
    if marks_of(lm.tokenizer) is not None:
        for way in ("guarded", "token", "text"):
            prompts = [_thinking_prompt(lm, question, recipe.prefill, way) for question in recipe.questions]
            ways[f"thought_{way}"] = partial(score_alone, lm, prompts, answers)
    return ways


def _thinking_prompt(lm: LanguageModel, question: Question, prefill: str, way: str) -> list[int]:
    """A prompt with an open thought, closed by `after_thought`, by the special token, or (the bug) by its text."""
    tokenizer = lm.tokenizer
    asked = prompt_ids(tokenizer, user=question.text, thinking=True)
    _, closing = think_tokens(tokenizer)
    answer, blank, spelled = (
        text_ids(tokenizer, text) for text in (prefill, "\n\n", tokenizer.convert_ids_to_tokens(closing))
    )
    match way:
        case "guarded":
            return after_thought(tokenizer, question, [], system=None, prefill=prefill)
        case "token":
            return [*asked, closing, *blank, *answer]
    return [*asked, *spelled, *blank, *answer]


def _on_cpu(answer: Scores) -> Scores:
    return Scores(answer.log_yes.cpu(), answer.log_no.cpu())


def _frame(way: str, questions: Sequence[Question], answer: Scores) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "way": way,
            "question_id": [q.id for q in questions],
            "cluster": [q.cluster for q in questions],
            "log_ratio": answer.log_ratio.numpy(),
            "pmass": answer.pmass.numpy(),
        }
    )
