"""Which of a model's files are read: config, tokenizer, chat template and safetensors; never code, never a pickle.

Everything here looks at names and headers only. So a model that cannot be steered is refused before its weights are
fetched or loaded.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from ws.errors import ModelError
from ws.files.gguf_header import TensorPlace, placed
from ws.files.names import is_name
from ws.files.notation import parsed, read_json
from ws.files.opening import content
from ws.files.safetensors_header import Stored, stored
from ws.files.showing import brief, brief_line
from ws.models.hardware import available_device
from ws.store.memory import available_bytes

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = frozenset({"tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt"})
"""Files that hold a tokenizer; one of them has to be there."""
SMALL = TOKENIZERS | {
    CONFIG,
    INDEX,
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer_config.json",
}
"""Every file that is read beside the weights."""

FP32_BYTES = 4

MOST_OF_INDEX = 16 << 20
"""The largest index: one of 92,000 tensors has 9 MB."""


def small_files(names: Collection[str], *, of: str) -> tuple[str, ...]:
    """Those of a model's file names that are config, tokenizer or belong to them; `of` is its folder or repository.

    Raises: ModelError if there is no config, no tokenizer or no safetensors, saying what there is instead.
    """
    if CONFIG not in names:
        raise ModelError(f"{of} has no {CONFIG}; {_instead(names)}")
    if not TOKENIZERS & set(names):
        raise ModelError(f"{of} has no tokenizer; expected one of {', '.join(sorted(TOKENIZERS))}: save it there too")
    if not {WEIGHTS, INDEX} & set(names):
        pickled = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt")))
        found = f"; {', '.join(pickled)} can run code when read and stay closed" if pickled else ""
        raise ModelError(
            f"{of} has neither {WEIGHTS} nor {INDEX}{found}; expected safetensors: save it with save_pretrained of a "
            "current transformers, or name a repository that has them"
        )
    # If there is a single file and an index, transformers reads the single file and no index.
    unread = {INDEX} if WEIGHTS in names else set()
    return tuple(sorted(set(names) & SMALL - unread))


def _instead(names: Collection[str]) -> str:
    if "adapter_config.json" in names:
        return "it is an adapter of PEFT, not a model: ws eval takes two of them, --plus FOLDER --minus FOLDER"
    if gguf := sorted(name for name in names if name.endswith(".gguf")):
        return f"name the file in it that is meant: {', '.join(gguf)}"
    return "expected the folder of one model, as save_pretrained writes it"


def weight_files(names: Collection[str], index: Callable[[], str], *, of: str) -> tuple[str, ...]:
    """The safetensors among the names: one file, or those that the text of `index` lists.

    Raises: ModelError if the index cannot be read, or names files that are not there or lie elsewhere.
    """
    if WEIGHTS in names:
        return (WEIGHTS,)
    try:
        listed = sorted(set(parsed(index().encode())["weight_map"].values()))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        said = brief_line(error)
        raise ModelError(f"{INDEX} of {of} cannot be read ({said}); expected a weight_map; fetch it anew") from None
    odd = [name for name in listed if not is_name(name) or not re.fullmatch(r"[\w.-]+\.safetensors", name)]
    if odd or not listed:
        raise ModelError(
            f"{INDEX} of {of} lists {brief(odd) if odd else 'no files'}; expected safetensors beside it; fetch it anew"
        )
    if missing := sorted(set(listed) - set(names)):
        raise ModelError(f"{of} lacks {', '.join(missing[:5])}, which {INDEX} lists; fetch it anew")
    return tuple(listed)


def model_files(folder: Path) -> tuple[str, ...]:
    """The names of the files of a folder that are its model.

    Raises: ModelError if they are not all there.
    """
    names = [path.name for path in folder.iterdir() if path.is_file()]
    small = small_files(names, of=str(folder))
    weights = weight_files(names, lambda: index_text(folder), of=str(folder))
    return tuple(sorted((*small, *weights)))


def index_text(folder: Path) -> str:
    """The text of a folder's index. Raises: ModelError if it cannot be read."""
    found = content(folder / INDEX, most=MOST_OF_INDEX, what="an index of safetensors", refuse=ModelError)
    return found.decode("utf-8", errors="replace")


def read_config(folder: Path) -> dict[str, Any]:
    """A model's config.

    Raises: ModelError if it is no JSON object, or if the model is quantised or no causal one of this transformers.
    """
    path = folder / CONFIG
    config = read_json(path, what="the config of a model", refuse=ModelError, finite=False, advice="fetch it anew")
    if not isinstance(config, dict):
        raise ModelError(f"{path} holds a {type(config).__name__}; expected an object with model_type; fetch it anew")
    if quantised := config.get("quantization_config"):
        how = quantised.get("quant_method", "unnamed") if isinstance(quantised, dict) else quantised
        raise ModelError(
            f"{path} says the weights are quantised ({brief(how)}); steering adds to float weights: name the model "
            "that it was made from"
        )
    _check_type(path, config)
    return config


def _check_type(path: Path, config: dict[str, Any]) -> None:
    from transformers import __version__
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = config.get("model_type")
    if isinstance(kind, str) and kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return
    if isinstance(kind, str) and kind in CONFIG_MAPPING_NAMES:
        raise ModelError(
            f"{path} says model_type {brief(kind)}, which transformers {__version__} does not read as a causal "
            "language model; use a decoder-only model, and of a model with several parts the whole folder"
        )
    code = " and brings code of its own, which is never run" if "auto_map" in config else ""
    raise ModelError(
        f"{path} says model_type {brief(kind)}, which transformers {__version__} does not have{code}; use a model that "
        "it has, or a transformers that has the model"
    )


def fp32_bytes(files: Iterable[Path]) -> int:
    """How many bytes the weights in these files take in float32, according to the files' headers.

    Raises: ModelError if a header cannot be read.
    """
    return FP32_BYTES * sum(math.prod(shape) for file in files for shape in _shapes(file))


def _shapes(path: Path) -> list[tuple[int, ...]]:
    """The shapes of the tensors in a file, by its header; none if it is no file of tensors."""
    headers: dict[str, Callable[..., Mapping[str, TensorPlace | Stored]]] = {".safetensors": stored, ".gguf": placed}
    read = headers.get(path.suffix)
    return [] if read is None else [one.shape for one in read(path.resolve(), refuse=ModelError).values()]


def check_memory(needed: int, *, name: str, device: str) -> None:
    """Raises: ModelError if `needed` bytes do not fit into the device's free memory; DeviceError if it is absent."""
    free = {"of memory": available_bytes()}
    if available_device(device).type == "cuda":
        free["on the GPU"] = torch.cuda.mem_get_info()[0]
    for where, there in free.items():
        if there is not None and needed > there:
            raise ModelError(
                f"the weights of {name} take {needed / 1e9:.1f} GB in float32, but {there / 1e9:.1f} GB {where} are "
                "free; free some, use a larger machine, or name a smaller model"
            )
