"""A tiny random model of an architecture, loud enough that a wrong mask, scale or rotation shows in its answers."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from ws.bench.survey.settings import CHANGES, STARTS
from ws.bench.survey.shrink import shrunk

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GAIN = 1.5
"""What a linear layer multiplies the size of its input by: small weights would leave attention near uniform."""
SPREAD = 0.2
"""Of scales and biases around what the library starts them from, so that none is 1 or 0."""


def architectures() -> dict[str, str]:
    """The classes of transformers' causal language models, by the model type that their configuration names."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return dict(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_model(architecture: str) -> "PreTrainedModel":
    """The model that AutoModelForCausalLM makes of the architecture's configuration, shrunk, with loud weights."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    default = CONFIG_MAPPING[architecture](**STARTS.get(architecture, {}))
    config = shrunk(default, CHANGES.get(architecture, {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)
        make_loud(model)
    return model


def make_loud(model: nn.Module) -> None:
    """Give every matrix random entries that keep the size of what it is applied to, and shake every other value."""
    for name, parameter in sorted(dict(model.named_parameters()).items()):
        noise = torch.randn(parameter.shape)
        if parameter.ndim >= 2 and "weight" in name:
            parameter.data.copy_(GAIN * parameter.shape[-1] ** -0.5 * noise)
        else:
            parameter.data.add_(SPREAD * noise)
