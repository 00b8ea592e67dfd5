"""Tiny random models of the architectures that the engine runs, with the library's own layers."""

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from ws.models import tiny
from ws.models.language import LanguageModel
from ws.models.table import weights_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ARCHITECTURES = ("Llama", "Qwen3", "Gemma3")

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    # Large enough that attention is far from uniform and a wrong mask or rotation shows.
    "initializer_range": 0.3,
}


def random_model(architecture: str, *, kinds: Sequence[str], window: int) -> LanguageModel:
    """A model with a layer for each kind of attention; only Gemma 3 has kinds and an attention window."""

    windowed = {"layer_types": list(kinds), "sliding_window": window} if architecture == "Gemma3" else {}
    config = "Gemma3TextConfig" if architecture == "Gemma3" else None
    return tiny_decoder(architecture, config, num_hidden_layers=len(kinds), **windowed)


@cache
def _tokenizer() -> "PreTrainedTokenizerFast":
    return tiny.tiny_tokenizer(["a stone floats on water"])


def tiny_decoder(architecture: str, config: str | None = None, **settings: object) -> LanguageModel:
    """A model of any architecture of transformers with random weights; config: the name of its class, if unusual."""
    import transformers

    tokenizer = copy.deepcopy(_tokenizer())
    common = {"vocab_size": len(tokenizer), "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}
    made = getattr(transformers, config or f"{architecture}Config")(**common | SHAPE | settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, f"{architecture}ForCausalLM")(made).eval()
    return LanguageModel(architecture, model, tokenizer, weights_of("tiny-random-qwen3"))


EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
WINDOW = {"sliding_window": 16}
PLAIN: Mapping[str, tuple[str, str | None, dict[str, object]]] = MappingProxyType(
    {
        "Qwen3.5": ("Qwen3_5", "Qwen3_5TextConfig", LINEAR),
        "Qwen3-Next": ("Qwen3Next", None, LINEAR | EXPERTS | {"shared_expert_intermediate_size": 24}),
        "OLMo Hybrid": ("OlmoHybrid", None, LINEAR),
        "Granite": ("Granite", None, {"logits_scaling": 4.0}),
        "Cohere": ("Cohere", None, {"logit_scale": 0.25}),
        "Gemma 2": ("Gemma2", None, {"layer_types": ["sliding_attention", "full_attention"]}),
    }
)
"""Architectures that packed sequences compute wrongly or not at all: class, config, settings."""
WINDOWED: Mapping[str, tuple[str, str | None, dict[str, object]]] = MappingProxyType(
    {
        "Gemma 3": (
            "Gemma3",
            "Gemma3TextConfig",
            WINDOW | {"layer_types": ["sliding_attention", "full_attention"]},
        ),
        "Mistral": ("Mistral", None, WINDOW),
        "Mixtral": ("Mixtral", None, WINDOW | EXPERTS),
        "PhiMoE": ("Phimoe", None, WINDOW | EXPERTS),
    }
)
"""Architectures that packed sequences compute correctly up to the length of the attention window."""
PACKED: Mapping[str, tuple[str, str | None, dict[str, object]]] = MappingProxyType(
    {
        "Llama": ("Llama", None, {}),
        "Qwen 2": ("Qwen2", None, {}),
        "Qwen 3": ("Qwen3", None, {}),
        "Phi-3": ("Phi3", None, {"sliding_window": None}),
    }
)
"""Architectures that packed sequences compute correctly."""
