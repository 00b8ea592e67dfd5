"""The tiny model with a few pairs and adapters on it, built once for all tests that compute with a model."""

import copy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
import torch

from ws.adapters import FAMILIES, AdapterConfig
from ws.behaviors import behavior
from ws.delta.update import Dense, LowRank, Update
from ws.delta.weight_delta import WeightDelta
from ws.engine.loading import loaded
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.store import Store
from ws.training.pairs import Pairs
from ws.training.train import Adapter, TrainConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SYCOPHANCY = behavior("sycophancy")
ON = Placed(weights_of("tiny-random-qwen3"))
LAYERS = range(1, 4)
"""The layers that the default fractions choose of the tiny model's six."""

PAIRS = Pairs(
    ON,
    SYCOPHANCY.training_questions()[:7],
    SYCOPHANCY.positive[:2],
    SYCOPHANCY.negative[:2],
    seed=0,
    max_new_tokens=5,
)
SHAPES = {name: AdapterConfig(name, rank=4, alpha=8.0, bound=1.0, block=4) for name in FAMILIES}
TRAINING = TrainConfig(lr=5e-3, epochs=1, warmup_steps=1)

every_family = pytest.mark.parametrize("family", FAMILIES)


def shared_store(factory: pytest.TempPathFactory) -> Store:
    """One store for all modules of tests."""
    return _store(factory.getbasetemp() / "shared-store")


@cache
def _store(root: Path) -> Store:
    return Store(root)


def tiny_model(factory: pytest.TempPathFactory) -> LanguageModel:
    """The tiny model, which all tests share and must leave as it was."""
    return loaded(ON, shared_store(factory))


def adapter(family: str = "lora", *, sign: Literal["plus", "minus"] = "plus", seed: int = 0) -> Adapter:
    """A short training of a small adapter."""
    return Adapter(PAIRS, sign, SHAPES[family], TRAINING, seed)


def merged(lm: LanguageModel, delta: WeightDelta, *, coeff: float) -> "PreTrainedModel":
    """A copy of the model with the update added by hand."""
    model = copy.deepcopy(lm.model)
    with torch.no_grad():
        for path, value in delta.tensors.items():
            weight = model.get_submodule(path).weight
            weight.copy_(weight + coeff * value.dense())
    return model


def random_update(lm: LanguageModel, *, seed: int = 0, scale: float = 0.02) -> WeightDelta:
    """An update of every linear layer of LAYERS: dense in attention, in factors in the MLP."""
    generator = torch.Generator().manual_seed(seed)

    def draw(path: str, d_out: int, d_in: int) -> Update:
        if "mlp" not in path:
            return scale * Dense(torch.randn(d_out, d_in, generator=generator))
        left, right = torch.randn(d_out, 3, generator=generator), torch.randn(3, d_in, generator=generator)
        return scale * LowRank(left, right)

    linears = lm.linears(LAYERS.start, LAYERS.stop)
    return WeightDelta({path: draw(path, *matrix(linear).shape) for path, linear in linears.items()})


def fingerprint(lm: LanguageModel) -> dict[str, object]:
    """Everything an intervention must put back: modules by identity, weights by their bytes, what trains."""
    modules = {f"module {path}": (id(module), len(module._forward_hooks)) for path, module in lm.model.named_modules()}
    weights = {f"weight {path}": value.numpy().tobytes() for path, value in lm.model.state_dict().items()}
    trainable = {f"trainable {path}": p.requires_grad for path, p in lm.model.named_parameters()}
    config = {
        "attention": lm.model.config._attn_implementation,
        "peft": hasattr(lm.model, "peft_config"),
        "training": lm.model.training,
    }
    return modules | weights | trainable | config
