"""The whole model with dW added to its weights: a folder as transformers keeps one, in safetensors.

In bfloat16 most of dW is smaller than the distance to the next number: few entries change, each by more than it should.
So what is left is measured twice, in the weights and in what the model does. transformers refuses to save a model that
it has read from a GGUF file, since its config still says how that file was quantised; here it is saved without that.

Source: transformers 5, `PreTrainedModel.save_pretrained`, for the layout.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ws.delta.folders.delta import folder_delta
from ws.delta.folders.reading import read_settings
from ws.delta.weight_delta import WeightDelta
from ws.exports.base import Limits, Written
from ws.exports.twins import sharing
from ws.exports.what import Exported
from ws.models.anatomy import as_matrix
from ws.models.language import LanguageModel
from ws.store.progress import without_bars

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TITLE, READER = "Merged weights", "transformers"
HOLDS: tuple[str, ...] = (
    *("config.json", "generation_config.json", "*.safetensors", "model.safetensors.index.json"),
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "chat_template.jinja"),
)
KINDS: tuple[str, ...] = ()


def write(place: Path, what: Exported, limits: Limits) -> Written:
    """Writes model and tokenizer; what bfloat16 leaves of dW is measured on the way."""
    dtype = getattr(torch, limits.dtype)
    model, left = merged(what, dtype)
    with without_bars():
        model.save_pretrained(place)
        what.lm.tokenizer.save_pretrained(place)
    held = f"{what.lm.name} with dW added, in {limits.dtype}"
    if dtype == torch.float32:
        return Written(held)
    return Written(
        f"{held}: {left.said}",
        partial(_computing, what.lm, model),
        partial(_computing, what.lm, rounded(what.lm, dtype)),
    )


@dataclass(frozen=True)
class Left:
    """What rounding leaves of dW in the weights, over all layers that it changes."""

    entries: int
    changed: int
    """How many entries are other numbers than without dW."""
    dot: float
    """Sum over entries of the change that is left times dW."""
    change_sq: float
    delta_sq: float

    def __add__(self, other: "Left") -> "Left":
        return Left(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @property
    def said(self) -> str:
        """In words."""
        share, cosine = self.dot / self.delta_sq, self.dot / (self.delta_sq * self.change_sq) ** 0.5
        return (
            f"{self.changed / self.entries:.0%} of the entries change, the change points along dW with a cosine of "
            f"{cosine:.2f} and has {share:.2f} of its length in that direction"
        )


def merged(what: Exported, dtype: torch.dtype) -> tuple["PreTrainedModel", Left]:
    """The model with dW added and rounded to a dtype, over weights of its own where they differ, and what is left."""
    delta, linears = what.delta, what.lm.linears(0, what.lm.n_layers)
    owners = {id(linears[path].weight): path for path in delta.tensors}
    instead: dict[int, nn.Parameter] = {}
    left = Left(0, 0, 0.0, 0.0, 0.0)
    for parameter in what.lm.model.parameters():
        path, value = owners.get(id(parameter)), parameter.detach()
        if path is not None:
            plain, step = as_matrix(linears[path], value), delta.tensors[path].dense()
            moved = (plain + step).to(dtype)
            left += remaining(plain.to(dtype), moved, step)
            value = as_matrix(linears[path], moved)
        if path is not None or value.dtype != dtype:
            instead[id(parameter)] = nn.Parameter(value.to(dtype).contiguous(), requires_grad=False)
    return without_quantisation(sharing(what.lm.model, instead)), left


def remaining(
    plain: Float[Tensor, "d_out d_in"], moved: Float[Tensor, "d_out d_in"], step: Float[Tensor, "d_out d_in"]
) -> Left:
    """What is left of a step between the rounded weights without it and with it."""
    change, exact = moved.double() - plain.double(), step.double()
    return Left(
        change.numel(),
        int((change != 0).sum()),
        (change * exact).sum().item(),
        change.square().sum().item(),
        exact.square().sum().item(),
    )


def without_quantisation(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model, whose own config no longer says that it was read from a quantised file."""
    for holder, name in ((model.config, "quantization_config"), (model, "hf_quantizer")):
        if hasattr(holder, name):
            delattr(holder, name)
    return model


def rounded(lm: LanguageModel, dtype: torch.dtype) -> "PreTrainedModel":
    """The model without dW, its weights rounded to a dtype."""
    there = {id(value): nn.Parameter(value.detach().to(dtype), requires_grad=False) for value in lm.model.parameters()}
    return sharing(lm.model, there)


@contextmanager
def _computing(lm: LanguageModel, model: "PreTrainedModel") -> Iterator[LanguageModel]:
    """A model with rounded weights, which computes in float32."""
    yield replace(lm, model=sharing(model).float())


@contextmanager
def read_back(place: Path, what: Exported) -> Iterator[LanguageModel]:
    """The model in the folder as transformers loads it, in float32 whatever its file is in."""
    from transformers import AutoModelForCausalLM

    with without_bars():
        model = AutoModelForCausalLM.from_pretrained(
            place, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
    yield replace(what.lm, model=model.to(what.lm.device).eval().requires_grad_(False))


def delta_of(place: Path, what: Exported) -> WeightDelta | None:
    """The weights in the folder minus the model's own; None if rounding changed more of them than dW did."""
    return folder_delta(place, what.lm) if read_settings(place / "config.json")["dtype"] == "float32" else None


def usage(place: Path, what: Exported) -> str:
    """Loading it."""
    return f'model = transformers.AutoModelForCausalLM.from_pretrained("{place}", dtype="auto")'
