"""What an export would be refused for in the end, asked before anything is trained, and before weights are fetched.

Some of it shows in what was asked for, some in a model's config, and the rest once the model is in memory. The formats
refuse the same again as they write.
"""

from pathlib import Path

import torch

from ws.adapters import AdapterConfig, family
from ws.adapters.peft.layers import family_of
from ws.delta.folders.delta import kind_of
from ws.delta.folders.given import check_given
from ws.delta.folders.peft_files import CONFIG, why_not_ours
from ws.delta.folders.reading import read_settings
from ws.errors import DataError, MismatchError, ModelError
from ws.exports import control_vector, gguf_lora, mlx_lora, peft_lora
from ws.exports.base import Format, Limits
from ws.exports.what import Source
from ws.models import downloads, model_files
from ws.models.gguf.files import opened
from ws.models.gguf.model import ARCHITECTURES
from ws.models.language import LanguageModel
from ws.models.table import KnownModel
from ws.models.weights import own_files
from ws.store import Store

THIN = (peft_lora, gguf_lora, mlx_lora)
"""Formats that hold thin factors."""

SIDE = 8
"""Of the layer on which a family is asked for its factors: that of a block of OFT."""


# What was asked for


def check_source(source: Source, form: Format, limits: Limits) -> None:
    """Raises: UnknownNameError for an unknown family; MismatchError for a folder that holds no dW; DataError for a dW
    of full rank that a format of thin factors has no limit for, or a block that llama.cpp adds no vector behind.
    """
    folders = [folder for folder in (source.plus, source.minus) if folder is not None]
    for folder in folders:
        check_given(folder)
    if source.family is not None:
        family(source.family)
    if form in THIN and limits.rank is None and limits.energy is None:
        full = None if source.family is None or has_factors(source.family) else source.family
        if why := full or next(filter(None, map(why_full, folders)), None):
            raise DataError(
                f"dW of {why} has full rank, and a {form.TITLE} holds thin factors; say how much to keep, as --rank 64 "
                "or --energy 0.99, or export merged weights (--to merged)"
            )
    if form is control_vector:
        check_blocks(source, None)


def has_factors(name: str) -> bool:
    """Whether dW of a family is a product of thin matrices: asked of the family itself, for one small layer."""
    module, W = family(name), torch.eye(SIDE)
    shape = AdapterConfig(name, rank=1, block=SIDE)
    params = module.init(W, config=shape, generator=torch.Generator().manual_seed(0))
    return module.factors(W, params, config=shape) is not None


def why_full(folder: Path) -> str | None:
    """The folder with what makes its update one of full rank, as far as its settings say; None if they do not."""
    kind = kind_of(folder)
    if kind == "model":
        return f"{folder}, a whole model,"
    settings = read_settings(folder / CONFIG)
    if kind == "mlx-lm adapter":
        trained = settings.get("fine_tune_type", "lora")
        return None if trained == "lora" else f"{folder}, with fine_tune_type={trained!r:.80},"
    if (why := why_not_ours(settings)) is not None:
        return f"{folder}, with {why},"
    name = family_of(settings)
    return None if name is None or has_factors(name) else f"{folder}, a {name} adapter,"


def check_blocks(source: Source, n_layers: int | None) -> None:
    """Raises: DataError for a block that llama.cpp cannot add a vector behind; n_layers: how many, if that is known."""
    last = float("inf") if n_layers is None else n_layers - 1
    if outside := [block for block in source.blocks if not 1 <= block <= last]:
        known = "1 to the last one" if n_layers is None else f"1 to {last}"
        raise DataError(
            f"llama.cpp adds vectors behind the blocks {known}, counted from 0, and none behind block {outside[0]}; "
            "choose others with --blocks"
        )


# The model's config


def check_config(folder: Path, source: Source, form: Format, *, of: str) -> None:
    """Raises: ModelError or DataError if the model `of`, whose config lies in a folder, cannot have such an export."""
    said = model_files.read_config(folder)
    if "text_config" in said:
        return  # which of its parts is loaded shows in memory
    if form is gguf_lora:
        check_architecture(str(said.get("model_type")), of=of)
    if form is control_vector and isinstance(said.get("num_hidden_layers"), int):
        check_blocks(source, said["num_hidden_layers"])


def check_architecture(kind: str, *, of: str) -> None:
    """Raises: ModelError for an architecture whose matrices llama.cpp keeps in an order that is not known here."""
    if kind not in ARCHITECTURES:
        raise ModelError(
            f"{of} is a {kind}; the orders of llama.cpp's matrices are known here for {', '.join(ARCHITECTURES)}. "
            "Export --to peft, and turn the folder into a file with llama.cpp's own convert_lora_to_gguf.py"
        )


def check_listed(model: KnownModel, store: Store, source: Source, form: Format) -> None:
    """`check_config` for a model as a command line names it, as far as its config can be had without its weights."""
    match model.source.kind:
        case "files":
            check_config(own_files(model.weights, store), source, form, of=model.typed)
        case "hf" if form in (gguf_lora, control_vector):
            pins = {name: pinned for name, pinned in model.pins if name == model_files.CONFIG}
            folder = downloads.pinned_files(model.source.place, model.source.version, pins)
            check_config(folder, source, form, of=model.typed)


# The model in memory


def check_loaded(lm: LanguageModel, source: Source, form: Format, file: Path | None) -> None:
    """Raises: ModelError or DataError if this model cannot have such an export; MismatchError if the file that
    llama.cpp is to be asked by is another model's.
    """
    if form is gguf_lora:
        check_architecture(str(lm.model.config.model_type), of=lm.name)
    if form is control_vector:
        check_blocks(source, lm.n_layers)
    if file is not None:
        check_file(file, lm, form)


def check_file(file: Path, lm: LanguageModel, form: Format) -> None:
    """Raises: MismatchError if a GGUF file says that it is of another architecture, or has another number of tokens."""
    _, said = opened(file)
    kind, expected, words = said.get("general.architecture"), lm.model.config, said.get("tokenizer.ggml.tokens")
    tokens = len(words) if isinstance(words, list) else said.get(f"{kind}.vocab_size")
    if form is gguf_lora and kind != expected.model_type:
        raise MismatchError(
            f"{file} is of {kind!r}, {lm.name} is a {expected.model_type}; give a file of the same model"
        )
    if tokens is not None and tokens != expected.vocab_size:
        raise MismatchError(
            f"{file} has {tokens} tokens, {lm.name} has {expected.vocab_size}; give a file of the same model"
        )
