"""GGUF files, llama.cpp's quantised models, as plain model folders in float32."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ws.errors import ModelFileError
from ws.models.gguf import model as gguf_model
from ws.models.gguf import tokenizer as gguf_tokenizer
from ws.store.memory import give_back
from ws.store.progress import say, without_bars

if TYPE_CHECKING:
    from gguf import GGUFReader
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

PROBES = 64
"""Number of tokens on which the saved model is compared with the one that was read."""

ROUNDING = 1e-4
"""Allowed difference as a part of the largest logit: where weights lie in memory may change the order of sums."""


def convert(gguf: Path, out: Path) -> None:
    """Write the weights of a quantised file, in float32, and its tokenizer as a plain model folder.

    Raises: ModelFileError if the file holds a setting that this reader does not know how to honour.
    """
    say(f"converting {gguf.name} to safetensors in float32, once")
    with _named(gguf), without_bars():
        tokenizer, logits = _written(gguf, out)
        give_back()  # the first model is freed; unless its memory goes back, a second one doubles the peak
        check_saved(out, tokenizer=tokenizer, logits=logits)


def _written(gguf: Path, out: Path) -> tuple["PreTrainedTokenizerFast", Float[Tensor, "seq vocab"]]:
    """The file's tokenizer and the logits of its model, after saving both tokenizer and model."""
    file, said = opened(gguf)
    tokenizer = gguf_tokenizer.read(gguf, said)
    model = gguf_model.read(file, said)
    tokenizer.save_pretrained(out)
    model.save_pretrained(out)
    return tokenizer, probed(model)


def opened(gguf: Path) -> tuple["GGUFReader", dict[str, object]]:
    """The file, its tensors still on disk, and its metadata."""
    from gguf import GGUFReader

    file = GGUFReader(gguf)
    return file, {name: field.contents() for name, field in file.fields.items()}


@contextlib.contextmanager
def _named(gguf: Path) -> Iterator[None]:
    """Errors about a file begin with its name."""
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"{gguf.name}: {error}") from error


def probed(model: "PreTrainedModel") -> Float[Tensor, "seq vocab"]:
    """Logits after tokens from all over the vocabulary."""
    ids = torch.linspace(0, model.config.vocab_size - 1, PROBES).long()[None]
    with torch.no_grad():
        return model(input_ids=ids).logits[0]


def check_saved(folder: Path, *, tokenizer: "PreTrainedTokenizerFast", logits: Float[Tensor, "seq vocab"]) -> None:
    """Raises: ModelFileError if what is loaded from the folder is another tokenizer, or computes other logits.

    For some architectures transformers builds a tokenizer of its own and ignores what the folder says.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    local = {"local_files_only": True, "trust_remote_code": False}
    loaded = AutoTokenizer.from_pretrained(folder, **local)
    if loaded.backend_tokenizer.to_str() != tokenizer.backend_tokenizer.to_str():
        raise ModelFileError(
            f"transformers makes another tokenizer, {type(loaded).__name__}, of what this file says; "
            + gguf_tokenizer.ORIGINAL_REMEDY
        )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, **local).eval()
    off = (probed(model) - logits).abs().max().item()
    if not off <= ROUNDING * logits.abs().max().item():
        raise ModelFileError(
            f"its model computes other logits once saved and loaded again, off by {off:.2g}; "
            + gguf_tokenizer.ORIGINAL_REMEDY
        )
