"""The contrast of personas at the tokens that the end of the prompt attends to, instead of at the end itself.

    dW' = W [sum_t w_t (x+_t - x-_t) / sum_t w_t] x0^T / |x0|^2        for each W that writes the stream

t runs over the tokens with which a prompt under a persona and the one under its counterpart both end: the user's
message and the beginning of the answer. x+_t and x-_t are the inputs of W there. With a+_t and a-_t, the attention that
the last token pays to t in that block (mean over heads), the weights are

    min           min(a+, a-)         what is attended to under both personas
    max           max(a+, a-)         what is attended to under either
    difference    |a+ - a-|           where the personas make it attend elsewhere

Means are over messages; the pairs of personas take turns over them.

Source: research journal, 2026-04-27, two-goal frame ("attention min/max/diff"); formulas of the weights as in its
public code, which takes principal components of such sums, here their mean is written.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ws.constructed.base import Construction, weights_of, writers
from ws.constructed.inputs import LAYERS, read_means, save_means, watching, within
from ws.constructed.persona import persona_writes
from ws.delta.weight_delta import WeightDelta
from ws.engine.loading import loaded
from ws.engine.plain import own_logits
from ws.errors import MismatchError, ModelError
from ws.lenses.modules import layer_of
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel, Placed, layer_range
from ws.steering.states import Prompt
from ws.store import Recipe, Store
from ws.store.progress import track

Kind = Literal["min", "max", "difference"]

Weighing = Callable[[Tensor, Tensor], Tensor]
WEIGHTS: Mapping[Kind, Weighing] = {
    "min": torch.minimum,
    "max": torch.maximum,
    "difference": lambda plus, minus: (plus - minus).abs(),
}
"""The weight of each token from the attention that is paid to it under both personas."""

ATTENTION = "self_attn"
"""What Llama, Qwen and Gemma call the attention of a block."""


@dataclass(frozen=True)
class AttendedContrasts(Recipe):
    """`means.safetensors`: by "kind.path" the weighted contrast of the inputs of each linear map of some blocks.

    Raises: MismatchError unless there are as many prompts of each side, of the same messages.
    """

    on: Placed
    plus: tuple[Prompt, ...]
    minus: tuple[Prompt, ...]
    layers: tuple[float, float] = LAYERS

    def __post_init__(self) -> None:
        asked = [[(prompt.user, prompt.prefill) for prompt in side] for side in (self.plus, self.minus)]
        if not self.plus or asked[0] != asked[1]:
            raise MismatchError(
                f"{len(self.plus)} prompts under personas for and {len(self.minus)} under personas against a behavior; "
                "expected one or more of each, of the same messages in one order"
            )

    def describe(self) -> str:
        return f"attended contrasts at {len(self.plus)} messages on {self.on.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm, sums = loaded(self.on, store), dict[str, Tensor]()
        for plus, minus in track(list(zip(self.plus, self.minus, strict=True)), self.describe()):
            for name, value in attended(lm, plus, minus, layers=self.layers).items():
                sums[name] = sums.get(name, torch.zeros(())) + value.double().cpu()
        save_means({name: total / len(self.plus) for name, total in sums.items()}, out)


@dataclass(frozen=True)
class AttendedWrite(Construction):
    """The contrast at attended tokens, in every residual writer."""

    attended: AttendedContrasts
    kind: Kind = "max"

    def construct(self, lm: LanguageModel, store: Store) -> WeightDelta:
        found = read_means(store, self.attended, device=lm.device)
        mine = f"{self.kind}."
        difference = {name.removeprefix(mine): value for name, value in found.items() if name.startswith(mine)}
        plain = read_means(store, self.contrast.plain, device=lm.device)
        weights = writers({path: W for path, W in weights_of(lm).items() if path in plain}, d_model=lm.d_model)
        return persona_writes(weights, difference, plain)

    def describe(self) -> str:
        return f"persona contrast at tokens of {self.kind} attention of {self.on.describe()}"


def attended(
    lm: LanguageModel, plus: Prompt, minus: Prompt, *, layers: tuple[float, float]
) -> dict[str, Float[Tensor, " _"]]:
    """By "kind.path" the weighted contrast of two prompts that differ in the persona alone."""
    asked = [prompt_ids(lm.tokenizer, **prompt._asdict()) for prompt in (plus, minus)]
    n = shared_end(*asked)
    (x_plus, a_plus), (x_minus, a_minus) = (_read(lm, ids, n, layers) for ids in asked)
    found = {}
    for kind, weigh in WEIGHTS.items():
        for path, x in x_plus.items():
            block = layer_of(path)
            found[f"{kind}.{path}"] = weighted(x - x_minus[path], weigh(a_plus[block], a_minus[block]))
    return found


def shared_end(one: list[int], other: list[int]) -> int:
    """How many tokens two prompts have in common at their ends."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((n for n, (mine, its) in enumerate(pairs) if mine != its), min(len(one), len(other)))


def weighted(x: Float[Tensor, "token d"], weights: Float[Tensor, " token"]) -> Float[Tensor, " d"]:
    """The mean over tokens, by weights that need not sum to 1; zero if all of them are 0."""
    total = weights.sum()
    return weights @ x / total if total else torch.zeros_like(x[0])


def _read(
    lm: LanguageModel, ids: list[int], n: int, layers: tuple[float, float]
) -> tuple[dict[str, Float[Tensor, "token _"]], dict[int, Float[Tensor, " token"]]]:
    """At the last n tokens of a prompt: what enters each linear map, and the last token's attention by block."""
    blocks = layer_range(lm.n_layers, *layers)
    maps, attention = lm.linears(blocks.start, blocks.stop), within(lm, layers, ATTENTION)
    # A prompt at a time in the model's own pass, since packed prompts keep no attention weights.
    with weighing(lm), watching(maps) as entering, watching(attention, _weights) as weights, torch.no_grad():
        own_logits(lm, [ids], keep=1)
    paid = {layer_of(path): value[0, :, -1, -n:].float().mean(dim=0) for path, value in weights.items()}
    return {path: value[0, -n:].float() for path, value in entering.items()}, paid


def _weights(inputs: tuple[Tensor, ...], output: tuple[Tensor | None, ...]) -> Float[Tensor, "1 head query key"]:
    """The attention weights that a block's attention gives beside its output."""
    if len(output) < 2 or output[1] is None:
        raise ModelError(
            "this model's attention gives no weights beside its output, and this construction needs them; use another"
        )
    return output[1]


@contextmanager
def weighing(lm: LanguageModel) -> Iterator[None]:
    """The model with attention that keeps its weights."""
    before = lm.model.config._attn_implementation
    lm.model.set_attn_implementation("eager")
    try:
        yield
    finally:
        lm.model.set_attn_implementation(before)
