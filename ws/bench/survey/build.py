"""A tiny random model of an architecture, with weights large enough that a wrong mask, scale or rotation shows."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from ws.bench.survey.settings import CHANGES, STARTS
from ws.bench.survey.shrink import shrunk

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GAIN = 1.5
"""Factor by which a linear layer scales its input; with small weights attention would be near uniform."""
SPREAD = 0.2
"""Standard deviation of scales and biases around the library's start values, so that none is 1 or 0."""


def architectures() -> dict[str, str]:
    """The names of transformers' classes of causal language models, by the model type of their configuration."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return dict(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_model(architecture: str) -> "PreTrainedModel":
    """The model that AutoModelForCausalLM makes of the architecture's shrunk configuration, with large weights."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    default = CONFIG_MAPPING[architecture](**STARTS.get(architecture, {}))
    config = shrunk(default, CHANGES.get(architecture, {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)
        make_loud(model)
    return model


def make_loud(model: nn.Module) -> None:
    """Give every matrix random entries that scale its input by GAIN, and add noise to all other parameters."""
    for name, parameter in sorted(dict(model.named_parameters()).items()):
        noise = torch.randn(parameter.shape)
        if parameter.ndim >= 2 and "weight" in name:
            parameter.data.copy_(GAIN * parameter.shape[-1] ** -0.5 * noise)
        else:
            parameter.data.add_(SPREAD * noise)
