"""A whole model as a file for llama.cpp, in float32 or quantised, without its words: it is asked in tokens alone.

The inverse of `ws.models.gguf.model`, for the same architectures.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from ws.errors import ModelError
from ws.exports.gguf_lora import architecture, heads_of
from ws.models.gguf.model import SIZES
from ws.models.language import LanguageModel

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType, GGUFWriter

NO_WORDS = "no_vocab"
"""llama.cpp's name for the tokenizer of a file that has none."""

SETTINGS = {int: "add_uint32", float: "add_float32"}
"""The method of gguf's writer for a setting of each type."""


def write(place: Path, lm: LanguageModel, *, quantised: "GGMLQuantizationType | None" = None) -> None:
    """Writes the model; its matrices quantised if a kind is given and their rows can be.

    Raises: ModelError for an architecture, or a rotation of positions, whose settings are not known here.
    """
    from gguf import GGUFWriter

    writer = GGUFWriter(place, architecture(lm))
    writer.add_name(lm.name)
    writer.add_tokenizer_model(NO_WORDS)
    for key, value in settings_of(lm).items():
        getattr(writer, SETTINGS[type(value)])(f"{architecture(lm)}.{key}", value)
    for name, weight in tensors_of(lm):
        _add(writer, name, weight, quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def settings_of(lm: LanguageModel) -> dict[str, int | float]:
    """The shape of the model, by llama.cpp's keys without the architecture before them."""
    config, head = lm.model.config, _head(lm)
    rope = config.rope_parameters
    if rope.get("rope_type", "default") != "default" or getattr(config, "use_sliding_window", False):
        raise ModelError(
            f"{lm.name} scales its rotations ({rope}) or attends through a window; only plain ones are written here. "
            "Name the model by a GGUF file of its own, made with llama.cpp's convert_hf_to_gguf.py"
        )
    return {
        **{key: getattr(config, name) for key, name in SIZES.items()},
        "vocab_size": config.vocab_size,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": head,
        "attention.value_length": head,
        "rope.dimension_count": head,
        "rope.freq_base": float(rope["rope_theta"]),
    }


def tensors_of(lm: LanguageModel) -> Iterator[tuple[str, Float[Tensor, "..."]]]:
    """Each weight by llama.cpp's name and in its order. Raises: ModelError for a weight that has no name there."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    numbers = {name: number for number, name in MODEL_ARCH_NAMES.items()}
    names = get_tensor_name_map(numbers[architecture(lm)], lm.n_layers)
    for path, value in lm.model.state_dict().items():
        if path == "lm_head.weight" and lm.model.config.tie_word_embeddings:
            continue
        if (name := names.get_name(path, try_suffixes=(".weight", ".bias"))) is None:
            raise ModelError(f"llama.cpp has no name for {path} of {lm.name}; use a model as transformers makes it")
        heads = heads_of(lm, path.rpartition(".")[0])
        yield (
            name,
            rearrange(value, "(head half pair) ... -> (head pair half) ...", head=heads, half=2) if heads else value,
        )


def _head(lm: LanguageModel) -> int:
    """The width of a head."""
    config = lm.model.config
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _add(
    writer: "GGUFWriter", name: str, value: Float[Tensor, "..."], quantised: "GGMLQuantizationType | None"
) -> None:
    from gguf import GGML_QUANT_SIZES, quantize

    numbers = value.detach().float().cpu().contiguous().numpy()
    if quantised is None or numbers.ndim < 2 or numbers.shape[-1] % GGML_QUANT_SIZES[quantised][0]:
        writer.add_tensor(name, numbers)
    else:
        writer.add_tensor(name, quantize(numbers, quantised), raw_dtype=quantised)
