"""Tiny random models of the architectures that the engine runs, with the library's own layers."""

from collections.abc import Sequence

import torch

from ws import tiny
from ws.models import LanguageModel, weights_of

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
    import transformers

    tokenizer = tiny.tiny_tokenizer(["a stone floats on water"])
    windowed = {"layer_types": list(kinds), "sliding_window": window} if architecture == "Gemma3" else {}
    name = "Gemma3TextConfig" if architecture == "Gemma3" else f"{architecture}Config"
    config = getattr(transformers, name)(
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
        num_hidden_layers=len(kinds),
        **SHAPE,
        **windowed,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, f"{architecture}ForCausalLM")(config).eval()
    return LanguageModel(architecture, model, tokenizer, weights_of("tiny-random-qwen3"))
