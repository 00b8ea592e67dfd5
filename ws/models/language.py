"""A language model in memory: what the rest of the package sees of it, and how it is loaded, once a process."""

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from ws.errors import ShapeError
from ws.models import anatomy, downloads
from ws.models.chat import check_chat
from ws.models.hardware import available_device, compute_dtype
from ws.models.weights import ModelWeights, Pins, own_files
from ws.store import Store
from ws.store.progress import without_bars

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Passes = Literal["packed", "plain", "alone"]
"""Packed sequences; the model's own forward pass over prompts of equal length; or over one prompt, without a cache."""


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A frozen causal language model in evaluation mode, with its tokenizer."""

    name: str
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    recipe: ModelWeights
    passes: Passes = "packed"
    """How its prompts are run, see `ws.engine.choice`."""

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    @property
    def layers(self) -> nn.ModuleList:
        """The decoder's blocks, first to last."""
        return anatomy.blocks(self.model)

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return anatomy.width(self.model)

    def linears(self, start: int, stop: int) -> dict[str, nn.Module]:
        """Every linear map inside the blocks start, ..., stop - 1, by its full path in `model`; see
        `ws.models.anatomy`.

        Raises: ShapeError if the model does not have these blocks.
        """
        return anatomy.linears(self.model, start, stop)


@dataclass(frozen=True)
class Placed:
    """Weights and the device that computes with them. Both are part of a key, since a GPU's numbers differ a little."""

    weights: ModelWeights
    device: str = "cpu"

    def describe(self) -> str:
        return self.weights.name if self.device == "cpu" else f"{self.weights.name} ({self.device})"


def layer_range(n_layers: int, start: float = 0.3, stop: float = 0.8) -> range:
    """The blocks between two fractions of the depth, both rounded down: 9 to 23 of 30, 8 to 21 of 28.

    Raises: ShapeError if no block lies between them.
    """
    # The small term undoes products such as 0.29 * 100 = 28.999999999999996.
    first, end = (math.floor(fraction * n_layers + 1e-9) for fraction in (start, stop))
    if not 0 <= first < end <= n_layers:
        raise ShapeError(
            f"no layers between {start} and {stop} of a depth of {n_layers}; give 0 <= start < stop <= 1, "
            "wide enough to hold a layer"
        )
    return range(first, end)


def load(
    weights: ModelWeights,
    *,
    store: Store,
    device: str = "cpu",
    dtype: str = "float32",
    attention: str | None = None,
) -> LanguageModel:
    """The model, read once per process for each device, dtype and attention; all callers share it.

    Without a name of its own, attention is torch's `scaled_dot_product_attention` for a model that has it, and plain
    products and a softmax for one that caps its scores, such as Gemma 2, adds sinks, such as GPT-OSS, or is older.

    Raises: DownloadError if its files cannot be had or are not the pinned ones; DeviceError if the device
    is absent; ChatError if it cannot be asked a question or answer Yes or No.
    """
    there = available_device(device)
    return _read(weights, _folder(weights, store), there, compute_dtype(dtype, there), attention)


def _folder(weights: ModelWeights, store: Store) -> Path:
    match weights.kind:
        case "hf":
            return _snapshot(weights.place, weights.version, weights.pins)
        case "files":
            return downloads.in_place(own_files(weights, store), dict(weights.pins))
        case _:
            return store.get(weights)


@functools.cache
def _snapshot(repo: str, revision: str, pins: Pins) -> Path:
    return downloads.snapshot(repo, revision, dict(pins))


@functools.cache
def _read(
    weights: ModelWeights, folder: Path, device: torch.device, dtype: torch.dtype, attention: str | None
) -> LanguageModel:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    local = {"local_files_only": True, "trust_remote_code": False}
    with without_bars():
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        # Checked before anything that takes long is read or built.
        check_chat(tokenizer)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, attn_implementation=attention, **local
        )
    return LanguageModel(weights.name, model.to(device).eval().requires_grad_(False), tokenizer, weights)
