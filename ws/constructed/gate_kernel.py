"""What a gated MLP would write of the contrast of personas if its gates stayed at their mean.

    dW'_down = W_down diag(g) W_up (u+ - u-) x0^T / |x0|^2

u+ and u- are the mean inputs of W_up under the personas; g is the mean of the activated gate, and x0 the mean input of
W_down, both without a persona. W_down diag(g) W_up is the kernel: the MLP made linear at its mean gate.

Source: research journal, 2026-04-27, two-goal frame ("gate-kernel"); its public code takes the kernel's top left
singular directions, here the contrast itself goes through it.
"""

from dataclasses import dataclass
from pathlib import Path

from ws.constructed.base import Construction, read_contrast, weights_of, written
from ws.constructed.inputs import LAYERS, mean_outputs, read_means, save_means, within
from ws.constructed.ov_write import beside
from ws.delta.weight_delta import WeightDelta
from ws.engine.loading import loaded
from ws.models.language import LanguageModel, Placed
from ws.steering.states import Prompt
from ws.store import Recipe, Store

DOWN, UP, GATE = "down_proj", "up_proj", "act_fn"
"""How Llama, Qwen and Gemma call the parts of an MLP; the last is the function behind the gate's projection."""


@dataclass(frozen=True)
class MeanGates(Recipe):
    """`means.safetensors`: the mean activated gate of the MLP of some blocks, at the last token of every prompt."""

    on: Placed
    prompts: tuple[Prompt, ...]
    layers: tuple[float, float] = LAYERS

    def describe(self) -> str:
        return f"mean gates at {len(self.prompts)} prompts on {self.on.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.on, store)
        save_means(mean_outputs(lm, self.prompts, within(lm, self.layers, GATE)), out)


@dataclass(frozen=True)
class GateKernel(Construction):
    """The contrast through the gate kernel of every block, in its down projection."""

    gates: MeanGates

    def construct(self, lm: LanguageModel, store: Store) -> WeightDelta:
        difference, plain = read_contrast(self.contrast, lm, store)
        gates = read_means(store, self.gates, device=lm.device)
        weights, updates = weights_of(lm), {}
        for path, up in beside(plain, DOWN, UP).items():
            gate = gates[f"{path.removesuffix(DOWN)}{GATE}"]
            updates[path] = written(weights[path] @ (gate * (weights[up] @ difference[up])), plain[path])
        return WeightDelta(updates)

    def describe(self) -> str:
        return f"persona contrast through the gate kernels of {self.on.describe()}"
