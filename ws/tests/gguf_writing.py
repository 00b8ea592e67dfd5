"""GGUF files of tiny models, written as llama.cpp's own converter writes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ws.models import tiny

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    # Large enough that attention is far from uniform and a wrong rotation shows.
    "initializer_range": 0.3,
}


def random_model(architecture: str, vocab_size: int, **config: object) -> "PreTrainedModel":
    """A tiny model of one of transformers' architectures, as `Llama`."""
    import transformers

    shape = {**SHAPE, "vocab_size": vocab_size, "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0, **config}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = getattr(transformers, f"{architecture}Config")(**shape)
        return getattr(transformers, f"{architecture}ForCausalLM")(made).eval()


def write(
    path: Path,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    *,
    pre: str = "gpt-2",
    says: Mapping[str, object] | None = None,
    tensors: Mapping[str, torch.Tensor] | None = None,
) -> Path:
    """A model and its tokenizer as one file in float32; `says` adds to its metadata, and a value None removes a key."""
    from gguf import GGUFWriter

    arch = model.config.model_type
    writer = GGUFWriter(path, arch)
    writer.add_vocab_size(model.config.vocab_size)
    for key, value in {**shape_of(model, arch), **words_of(tokenizer, pre), **(says or {})}.items():
        if value is not None:
            _add(writer, key, value)
    for name, value in {**tensors_of(model, arch), **(tensors or {})}.items():
        writer.add_tensor(name, value.detach().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def shape_of(model: "PreTrainedModel", arch: str) -> dict[str, object]:
    """The keys of the architecture."""
    config = model.config
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return {
        f"{arch}.block_count": config.num_hidden_layers,
        f"{arch}.context_length": config.max_position_embeddings,
        f"{arch}.embedding_length": config.hidden_size,
        f"{arch}.feed_forward_length": config.intermediate_size,
        f"{arch}.attention.head_count": config.num_attention_heads,
        f"{arch}.attention.head_count_kv": config.num_key_value_heads,
        f"{arch}.attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        f"{arch}.attention.key_length": head,
        f"{arch}.attention.value_length": head,
        f"{arch}.rope.dimension_count": head,
        f"{arch}.rope.freq_base": float(config.rope_parameters["rope_theta"]),
    }


def words_of(tokenizer: "PreTrainedTokenizerFast", pre: str) -> dict[str, object]:
    """The keys of the tokenizer."""
    import json

    ids = tokenizer.get_vocab()
    vocab = sorted(ids, key=ids.get)
    special = set(tokenizer.all_special_tokens) | set(tiny.SPECIAL_TOKENS)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": vocab,
        "tokenizer.ggml.token_type": [3 if token in special else 1 for token in vocab],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in merges],
        "tokenizer.ggml.eos_token_id": tokenizer.eos_token_id,
        "tokenizer.ggml.padding_token_id": tokenizer.pad_token_id,
        "tokenizer.chat_template": tokenizer.chat_template,
    }


def tensors_of(model: "PreTrainedModel", arch: str) -> dict[str, torch.Tensor]:
    """The weights under GGUF's names; a Llama's queries and keys with the two halves of each head interleaved."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    [number] = [number for number, name in MODEL_ARCH_NAMES.items() if name == arch]
    names = get_tensor_name_map(number, model.config.num_hidden_layers)
    config, tied = model.config, model.config.tie_word_embeddings
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    tensors = {}
    for path, value in model.state_dict().items():
        stem, _, end = path.rpartition(".")
        if not (tied and stem == "lm_head"):
            count = heads.get(stem.rpartition(".")[2]) if arch == "llama" else None
            tensors[f"{names.get_name(stem)}.{end}"] = interleaved(value, count) if count else value
    return tensors


def interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows 0, 1, ... of each head as 0, half, 1, half + 1, ...: the order of llama.cpp's rotation."""
    return weight.reshape(heads, 2, -1, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)


def _add(writer: "GGUFWriter", key: str, value: object) -> None:
    match value:
        case bool():
            writer.add_bool(key, value)
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case str():
            writer.add_string(key, value)
        case Sequence():
            writer.add_array(key, value)
