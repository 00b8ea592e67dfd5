"""The model inside a GGUF file: its shape from the file's metadata, its weights in float32.

Every metadata key about the architecture is either read or known not to matter, and every tensor has its place;
a file with anything else is refused. transformers reads such files too, but silently skips what it does not know, such
as rotary scaling and the biases of a Llama.

Source: the GGUF specification, github.com/ggml-org/ggml, docs/gguf.md; llama.cpp, convert_hf_to_gguf.py, for the
order of a Llama's queries and keys.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from ws.errors import ModelFileError
from ws.models.gguf import rope as gguf_rope
from ws.models.gguf.tokenizer import ORIGINAL_REMEDY

if TYPE_CHECKING:
    from gguf import GGUFReader, ReaderTensor
    from transformers import PreTrainedConfig, PreTrainedModel

Said = Mapping[str, object]
"""The metadata of a file, by key."""

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
"""Architectures whose every key and tensor is known here, with the class in transformers, which uses the same names."""

BIASES = {"llama": {"attention": "attn_q", "mlp": "ffn_gate"}, "qwen3": {"attention": "attn_q"}}
"""Layers that have biases in some models of an architecture, and the tensor whose bias tells whether they do."""

DIVISORS = "rope_freqs.weight"
"""The tensor with one number for each frequency of the rotation, in files that scale each frequency by its own."""

INTERLEAVED = ("llama",)
"""Architectures whose queries and keys are stored with the two halves of each head interleaved."""

SIZES = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
"""Keys that a file must have, and the fields of the config that they fill."""

NEUTRAL = {"expert_count": 0, "expert_used_count": 0, "attention.causal": True, "attention.sliding_window": 0}
"""Keys that may be there only with this value; any other would change what the model computes."""

OPTIONAL = {
    "vocab_size",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "rope.dimension_count",
}

ENDS = ("eos", "eot", "eom")
"""End of text, of turn and of message: the tokens that a file may name as ends of an answer."""

CHUNK = 1 << 22
"""Elements unpacked at a time, since unpacking holds several copies of them."""


def read(file: "GGUFReader", said: Said) -> "PreTrainedModel":
    """The file's model in float32, in evaluation mode.

    Raises: ModelFileError naming a key or tensor that this reader does not know.
    """
    import transformers

    stored = {tensor.name: tensor for tensor in file.tensors}
    made = config(said, stored)
    kind = getattr(transformers, ARCHITECTURES[made.model_type])
    names = places(kind, made, stored)
    weights = {path: unpacked(stored[name]) for path, name in names.items()}
    if made.model_type in INTERLEAVED:
        weights |= {path: halves(weights[path], heads) for path, heads in _turned(weights, made)}
    return kind.from_pretrained(None, config=made, state_dict=weights).eval()


# The config


def config(said: Said, stored: Mapping[str, "ReaderTensor"]) -> "PreTrainedConfig":
    """The shape of the file's model.

    Raises: ModelFileError if the file holds no whole model of a known architecture, or a key is missing, unknown, or
    has a value that transformers' class of the architecture cannot compute.
    """
    from transformers import AutoConfig

    arch = _architecture(said)
    own = {key.removeprefix(f"{arch}."): _single(key, said[key]) for key in said if key.startswith(f"{arch}.")}
    _check_known(arch, own)
    sizes = {field: own[key] for key, field in SIZES.items()}
    head = own.get("attention.key_length", sizes["hidden_size"] // sizes["num_attention_heads"])
    for key in ("attention.value_length", "rope.dimension_count"):
        if own.get(key, head) != head:
            raise ModelFileError(f"it says {arch}.{key} = {own[key]}, expected {head}, the width of a head")
    divisors = unpacked(stored[DIVISORS]).tolist() if DIVISORS in stored else None
    rope = gguf_rope.parameters(own, context=sizes["max_position_embeddings"], divisors=divisors)
    return AutoConfig.for_model(
        arch,
        **sizes,
        num_key_value_heads=own.get("attention.head_count_kv", sizes["num_attention_heads"]),
        head_dim=head,
        rope_parameters=rope,
        vocab_size=len(said["tokenizer.ggml.tokens"]),
        tie_word_embeddings="output.weight" not in stored,
        **{f"{place}_bias": f"blk.0.{name}.bias" in stored for place, name in BIASES.get(arch, {}).items()},
        **_token_ids(said),
    )


def _architecture(said: Said) -> str:
    """Raises: ModelFileError if the file is no whole model, or one whose keys are not known here."""
    if said.get("general.type", "model") != "model" or int(said.get("split.count", 1)) > 1:
        what = said.get("general.type") if "split.count" not in said else f"1 of {said['split.count']} parts of a model"
        raise ModelFileError(f"it holds {what}, expected a whole model in one file (gguf-split --merge joins parts)")
    arch = said["general.architecture"]
    if arch not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelFileError(f"its architecture is {arch!r}, expected one of {known}; {ORIGINAL_REMEDY}")
    return str(arch)


def _single(key: str, value: object) -> object:
    """The one value of a key, which may also be a list with that value for each block."""
    each = set(value) if isinstance(value, list) else {value}
    if len(each) != 1:
        raise ModelFileError(f"it says {key} = {value}, different in different blocks, expected one value for all")
    return each.pop()


def _check_known(arch: str, own: Said) -> None:
    """Raises: ModelFileError naming keys that are missing, or unknown ones, which may change what a model computes."""
    known = SIZES.keys() | NEUTRAL.keys() | OPTIONAL | gguf_rope.KEYS
    news = [key for key, value in own.items() if key not in known or value != NEUTRAL.get(key, value)]
    if news:
        seen = ", ".join(f"{arch}.{key} = {own[key]}" for key in news)
        raise ModelFileError(f"it says {seen}, which is not known here; {ORIGINAL_REMEDY}")
    if missing := [f"{arch}.{key}" for key in SIZES if key not in own]:
        raise ModelFileError(f"it does not say {', '.join(missing)}; {ORIGINAL_REMEDY}")


def _token_ids(said: Said) -> dict[str, object]:
    """The special tokens by their fields in a config; several ends as a list."""
    named = {name: said.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "padding", *ENDS)}
    ends = list(dict.fromkeys(named[name] for name in ENDS if named[name] is not None))
    return {
        "bos_token_id": named["bos"],
        "pad_token_id": named["padding"],
        "eos_token_id": ends if len(ends) > 1 else next(iter(ends), None),
    }


# The weights


def places(
    kind: type["PreTrainedModel"], made: "PreTrainedConfig", stored: Mapping[str, "ReaderTensor"]
) -> dict[str, str]:
    """The name of each weight's tensor in the file.

    Raises: ModelFileError if a weight has no tensor of its shape, or a tensor belongs to no weight.
    """
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    with torch.device("meta"):
        shapes = {path: list(value.shape) for path, value in kind(made).state_dict().items()}
    if made.tie_word_embeddings:
        del shapes["lm_head.weight"]
    numbers = {name: number for number, name in MODEL_ARCH_NAMES.items()}
    names = get_tensor_name_map(numbers[made.model_type], made.num_hidden_layers)
    found = {path: names.get_name(path, try_suffixes=(".weight", ".bias")) for path in shapes}
    missing = [path for path, name in found.items() if name not in stored]
    unread = sorted(stored.keys() - found.values() - {DIVISORS})
    if missing or unread:
        raise ModelFileError(
            f"its tensors are not those of a {kind.__name__}: {missing[:5]} are missing, {unread[:5]} have no place; "
            + ORIGINAL_REMEDY
        )
    for path, name in found.items():
        if (seen := stored[name].shape.tolist()[::-1]) != shapes[path]:
            raise ModelFileError(f"its tensor {name} has shape {seen}, expected {shapes[path]}")
    return found


def unpacked(tensor: "ReaderTensor") -> Float[Tensor, "..."]:
    """A tensor's values in float32, unpacked a few rows at a time."""
    from gguf import dequantize

    rows = tensor.data.reshape(-1, tensor.data.shape[-1])
    values = torch.empty(tensor.shape.tolist()[::-1])
    flat = values.view(len(rows), -1).numpy()
    step = max(1, CHUNK // flat.shape[1])
    for start in range(0, len(rows), step):
        flat[start : start + step] = dequantize(rows[start : start + step], tensor.tensor_type)
    return values


def _turned(weights: Mapping[str, Tensor], made: "PreTrainedConfig") -> Iterator[tuple[str, int]]:
    """The weights and biases that make queries and keys, and their number of heads."""
    heads = {"q_proj": made.num_attention_heads, "k_proj": made.num_key_value_heads}
    for path in weights:
        if (name := path.split(".")[-2]) in heads:
            yield path, heads[name]


def halves(weight: Float[Tensor, "d_out ..."], heads: int) -> Float[Tensor, "d_out ..."]:
    """Rows of each head in transformers' order, the first half and then the second, from the interleaved order."""
    return rearrange(weight, "(head pair half) ... -> (head half pair) ...", head=heads, half=2).contiguous()
