"""Residual states: the stream at each prompt's last token, at every depth, with or without steering.

State l is the stream that enters block l, so state l + 1 is the stream that leaves block l; the last state is taken
before the final norm. Prompts are packed (`ws.engine.packing`), so a shared prefix is computed once, and states below
the lowest layer that a direction touches are those of the unchanged model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ws.delta.steering import steered
from ws.delta.weight_delta import lowest_layer
from ws.engine.choice import prepared
from ws.engine.loading import loaded
from ws.engine.passes import Batch
from ws.errors import MismatchError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel, Placed
from ws.store import Recipe, Store
from ws.training.direction import Direction, direction_delta


class Prompt(NamedTuple):
    """One prompt; a tuple of plain values, so that a recipe can hold it."""

    user: str
    system: str | None = None
    prefill: str = ""


@dataclass(frozen=True)
class States(Recipe):
    """`states.safetensors`: [depth + 1, prompts, d_model] in fp32; of the unchanged model if `direction` is None."""

    on: Placed
    prompts: tuple[Prompt, ...]
    direction: Direction | None = None
    coeff: float = 0.0

    def __post_init__(self) -> None:
        if (self.direction is None) != (self.coeff == 0):
            raise MismatchError(
                f"states at coefficient {self.coeff:+g} of {self.direction and self.direction.describe()}; "
                "give a direction and a coefficient, or neither for the unchanged model"
            )
        if self.direction is not None and self.direction.on != self.on:
            raise MismatchError(
                f"cannot read states of {self.on.describe()} under {self.direction.describe()}: "
                "adapter for another model"
            )

    def describe(self) -> str:
        what = "base model" if self.direction is None else f"{self.coeff:+g} {self.direction.describe()}"
        return f"states of {len(self.prompts)} prompts, {what}"

    def build(self, out: Path, store: Store) -> None:
        from safetensors.torch import save_file

        lm = loaded(self.on, store)
        save_file({"states": self._states(lm, store)}, out / "states.safetensors")

    def _states(self, lm: LanguageModel, store: Store) -> Float[Tensor, "depth prompts d_model"]:
        if self.direction is None:
            return last_states(lm, self.prompts)
        delta = direction_delta(self.direction, lm, store)
        start = lowest_layer(delta.tensors)
        batch = batched(lm, self.prompts, start=start)
        with steered(lm, delta, coeff=self.coeff):
            above = states_above(lm, batch)
        below = read_states(store, replace(self, direction=None, coeff=0.0))[:start]
        return torch.cat([below, above])


def read_states(store: Store, recipe: States) -> Float[Tensor, "depth prompts d_model"]:
    """Each prompt's states, in the order of the recipe's prompts."""
    from safetensors.torch import load_file

    return load_file(store.get(recipe) / "states.safetensors")["states"]


def batched(lm: LanguageModel, prompts: Sequence[Prompt], *, start: int) -> Batch:
    """The packed prompts and the states that enter layer `start`; must be called on the unchanged model."""
    return prepared(lm, tuple(tuple(prompt_ids(lm.tokenizer, **prompt._asdict())) for prompt in prompts), start=start)


def last_states(lm: LanguageModel, prompts: Sequence[Prompt]) -> Float[Tensor, "depth prompts d_model"]:
    """The states at each prompt's last token, in fp32 on the CPU, of the model as it is now."""
    # No way of steering changes what enters the first layer, so this batch may be made on a steered model.
    return states_above(lm, batched(lm, prompts, start=0))


def states_above(lm: LanguageModel, batch: Batch) -> Float[Tensor, "depth prompts d_model"]:
    """The states at each prompt's last token from state `batch.start` on, of the model as it is now."""
    found = torch.empty(lm.n_layers + 1 - batch.start, batch.prompts, lm.d_model)
    for place, states in batch.states(lm, [slice(-1, None)] * batch.prompts):
        found[:, place] = states[:, 0].float().cpu()
    return found
