"""What the attention heads write differently under the personas, of those heads alone that cause the behavior.

    dW'_O = sum over chosen heads h of W_O[h] (z+_h - z-_h) x0^T / |x0|^2

z+_h and z-_h are the mean outputs of head h under the personas, W_O[h] is the part of W_O that reads it, and x0 is the
mean input of W_O without a persona. A head is chosen by its causal effect: its own term is added to the weights, and
answers of the unchanged model to validation messages show how far that moves the model towards the behavior.

Todd et al. patch a head's mean output under shuffled demonstrations and add the sum of the chosen heads' means to the
stream of one block; here the patch is what will be written, and every head writes in its own block.

Source: Todd et al. 2024, "Function Vectors in Large Language Models", arXiv:2310.15213, sec. 2.2 and 2.3 (average
indirect effect, top 10 heads).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ws.constructed.base import Construction, Contrast, Weights, read_contrast, weights_of, written
from ws.constructed.independence import check_untrained
from ws.constructed.inputs import Means
from ws.constructed.ov_write import OUT, head_width
from ws.delta.weight_delta import WeightDelta
from ws.engine.loading import loaded
from ws.errors import DataError, ModelError, ShapeError
from ws.lenses.modules import layer_of
from ws.models.language import LanguageModel, Placed
from ws.scoring.text import FIRST_PAIR, SampledAnswers, Spoken, log_p_of
from ws.steering.interventions import Ready, untouched, weights_ready
from ws.store import Recipe, Store
from ws.store.progress import track


class Head(NamedTuple):
    """An attention head: the path of the output projection that reads it, and its place among the block's heads."""

    path: str
    place: int


@dataclass(frozen=True)
class HeadEffects(Recipe):
    """`effects.parquet`: how far the term of each head alone moves validation answers towards the behavior.

    A row per head: path, place, effect (nats per token).
    """

    contrast: Contrast
    answers: SampledAnswers
    messages: int = 8
    """How many messages' answers are read, the first ones: each head has a pass of its own."""

    def __post_init__(self) -> None:
        check_untrained(self)
        if self.messages < 1:
            raise DataError(f"heads chosen on {self.messages} messages; expected one or more")

    @property
    def on(self) -> Placed:
        return self.contrast.plain.on

    def describe(self) -> str:
        return f"causal effects of heads on {self.on.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        difference, plain = read_contrast(self.contrast, lm, store)
        asked = {message.text for message in self.answers.messages[: self.messages]}
        spoken = [one for one in self.answers.spoken(lm, store) if one.pair == FIRST_PAIR and one.message in asked]
        terms = head_terms(weights_of(lm), difference, plain, d_head=head_width(lm))
        found = head_effects(lm, terms, spoken)
        rows = [(*head, effect) for head, effect in found.items()]
        pd.DataFrame(rows, columns=["path", "place", "effect"]).to_parquet(out / "effects.parquet")


def read_effects(store: Store, recipe: HeadEffects) -> dict[Head, float]:
    """The effect of each head, in nats per token."""
    table = pd.read_parquet(store.get(recipe) / "effects.parquet")
    return {Head(path, place): effect for path, place, effect in table.itertuples(index=False)}


@dataclass(frozen=True)
class FunctionVectors(Construction):
    """The terms of the heads with the largest causal effects."""

    effects: HeadEffects
    heads: int = 10

    def construct(self, lm: LanguageModel, store: Store) -> WeightDelta:
        difference, plain = read_contrast(self.contrast, lm, store)
        chosen = top_heads(read_effects(store, self.effects), self.heads)
        return heads_write(weights_of(lm), difference, plain, chosen, d_head=head_width(lm))

    def describe(self) -> str:
        return f"function vectors of {self.heads} heads of {self.on.describe()}"


def head_terms(weights: Weights, difference: Means, plain: Means, *, d_head: int) -> dict[Head, WeightDelta]:
    """The update that each head alone would bring. Raises: ModelError for a model without output projections."""
    heads = [
        Head(path, place)
        for path in sorted(plain, key=lambda path: (layer_of(path), path))
        if path.endswith(f".{OUT}")
        for place in range(weights[path].shape[1] // d_head)
    ]
    if not heads:
        raise ModelError(f"no layer called {OUT}; expected one in every block, as Llama and Qwen have it")
    return {head: heads_write(weights, difference, plain, [head], d_head=d_head) for head in heads}


def heads_write(
    weights: Weights, difference: Means, plain: Means, heads: Iterable[Head], *, d_head: int
) -> WeightDelta:
    """The sum of the terms of some heads: an update of rank 1 in each output projection that reads one of them."""
    by_path: dict[str, list[int]] = defaultdict(list)
    for head in heads:
        by_path[head.path].append(head.place)
    return WeightDelta(
        {
            path: written(weights[path] @ _only(difference[path], places, d_head), plain[path])
            for path, places in by_path.items()
        }
    )


def head_effects(lm: LanguageModel, terms: Mapping[Head, WeightDelta], spoken: Sequence[Spoken]) -> dict[Head, float]:
    """How far each update moves the answers of + personas above those of - personas, in nats per token."""
    signs = torch.tensor([float(one.sign) for one in spoken])

    def towards(ready: Ready, coeff: float) -> float:
        return float((2 * signs * log_p_of(lm, spoken, ready, coeff, system=None)).mean())

    still = towards(Ready(0, untouched), 0.0)
    return {
        head: towards(weights_ready(lm, terms[head]), 1.0) - still
        for head in track(list(terms), "causal effects of heads")
    }


def top_heads(effects: Mapping[Head, float], n: int) -> list[Head]:
    """The n heads with the largest effects towards the behavior. Raises: ShapeError if there are fewer heads."""
    if not 1 <= n <= len(effects):
        raise ShapeError(f"{n} of {len(effects)} heads; choose 1 to {len(effects)}")
    return sorted(effects, key=lambda head: (-effects[head], head))[:n]


def _only(z: Float[Tensor, " d_in"], places: Sequence[int], d_head: int) -> Float[Tensor, " d_in"]:
    """The outputs of some heads, and 0 for all others."""
    kept = torch.zeros_like(z)
    for place in places:
        kept[place * d_head : (place + 1) * d_head] = z[place * d_head : (place + 1) * d_head]
    return kept
