"""What enters the linear maps of the unchanged model, at the last tokens of prompts: the base activations that
constructions are made of.

The mean over prompts is all that they need, since a linear map takes a mean of inputs to the mean of its outputs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ws.engine.choice import prepared
from ws.engine.depth import PackedBatch
from ws.engine.loading import loaded
from ws.engine.passes import Batch
from ws.errors import ModelError
from ws.lenses.modules import layer_of
from ws.models.anatomy import block_of
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel, Placed, layer_range
from ws.steering.states import Prompt
from ws.store import Recipe, Store

LAYERS = 0.3, 0.8
"""The blocks that a construction changes, as fractions of the depth: those that the journal's adapters are in."""

Means = Mapping[str, Float[Tensor, " _"]]
"""A mean vector by the path of a module."""


@dataclass(frozen=True)
class MeanInputs(Recipe):
    """`means.safetensors`: the mean input of each linear map of some blocks, at the last token of every prompt."""

    on: Placed
    prompts: tuple[Prompt, ...]
    layers: tuple[float, float] = LAYERS

    def describe(self) -> str:
        return f"mean inputs at {len(self.prompts)} prompts on {self.on.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        blocks = layer_range(lm.n_layers, *self.layers)
        save_means(mean_inputs(lm, self.prompts, lm.linears(blocks.start, blocks.stop)), out)


def read_means(store: Store, recipe: Recipe, *, device: torch.device) -> dict[str, Float[Tensor, " _"]]:
    """The mean vectors of `MeanInputs`, or of another recipe that keeps means, in fp32."""
    from safetensors.torch import load_file

    return {path: mean.to(device) for path, mean in load_file(store.get(recipe) / "means.safetensors").items()}


def save_means(means: Means, out: Path) -> None:
    """Write mean vectors into the folder of an artifact."""
    from safetensors.torch import save_file

    save_file({path: mean.float().cpu().contiguous() for path, mean in means.items()}, out / "means.safetensors")


def mean_inputs(lm: LanguageModel, prompts: Sequence[Prompt], modules: Mapping[str, nn.Module]) -> Means:
    """The mean of what enters each module at the last token of every prompt, summed in float64."""
    return _means(lm, prompts, modules, _entering)


def mean_outputs(lm: LanguageModel, prompts: Sequence[Prompt], modules: Mapping[str, nn.Module]) -> Means:
    """The mean of what leaves each module at the last token of every prompt, summed in float64."""
    return _means(lm, prompts, modules, _leaving)


def within(lm: LanguageModel, layers: tuple[float, float], name: str) -> dict[str, nn.Module]:
    """The modules of this name in some blocks, by their full paths.

    Raises: ModelError if a block has not exactly one.
    """
    blocks = layer_range(lm.n_layers, *layers)
    found = {
        path: module
        for path, module in lm.model.named_modules()
        if path.endswith(f".{name}") and block_of(path) in blocks
    }
    if sorted(map(layer_of, found)) != list(blocks):
        raise ModelError(
            f"{lm.name} has {len(found)} modules called {name} in blocks {blocks.start} to {blocks.stop - 1}; expected "
            "one in each, as Llama and Qwen have it: this construction needs it, use another one"
        )
    return found


Taken = Callable[[tuple[Tensor, ...], Any], Tensor]
"""Chooses among the inputs and the output of a module."""


def _entering(inputs: tuple[Tensor, ...], output: object) -> Tensor:
    return inputs[0]


def _leaving(inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output


def _means(
    lm: LanguageModel, prompts: Sequence[Prompt], modules: Mapping[str, nn.Module], taken: Taken
) -> dict[str, Float[Tensor, " _"]]:
    asked = tuple(tuple(prompt_ids(lm.tokenizer, **prompt._asdict())) for prompt in prompts)
    batch, sums = prepared(lm, asked, start=0), dict[str, Tensor]()
    with watching(modules, taken) as seen:
        # The states themselves are not needed; reading them runs the model.
        for place, _ in batch.states(lm, [slice(-1, None)] * len(asked)):
            column = columns(batch, place)[-1]
            for path, value in seen.items():
                sums[path] = sums.get(path, 0.0) + value[0, column].double()
    return {path: total / len(asked) for path, total in sums.items()}


def columns(batch: Batch, place: int) -> range | list[int]:
    """Where the tokens of a prompt lie in the sequence that the model has just read."""
    if isinstance(batch, PackedBatch):
        return batch.where[place][1].tolist()
    return range(len(batch.texts[place]))  # type: ignore[attr-defined]  # the other implementation


@contextmanager
def watching(modules: Mapping[str, nn.Module], taken: Taken = _entering) -> Iterator[dict[str, Tensor]]:
    """What was last taken of each module, by its path; what enters it, unless told otherwise: [1, seq, d]."""
    seen: dict[str, Tensor] = {}
    handles = [module.register_forward_hook(partial(_keep, seen, path, taken)) for path, module in modules.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _keep(
    seen: dict[str, Tensor], path: str, taken: Taken, _: nn.Module, inputs: tuple[Tensor, ...], output: object
) -> None:
    seen[path] = taken(inputs, output)
