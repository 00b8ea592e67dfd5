"""A configuration as small as it can be while every part of the architecture is still there.

Fields are recognised and shrunk by their names, so that an architecture of a new release needs no line here. A list
with one entry a layer keeps one layer of each kind in either half of the depth.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

UNSET = {"head_dim": 16, "num_key_value_heads": 2}
"""Fields that some configurations leave at None although their models need a value."""
KEY_HEADS = {"num_key_value_heads": "num_attention_heads", "swa_num_key_value_heads": "swa_num_attention_heads"}
"""Numbers of key heads, and of query heads; in latent attention both are equal and have to stay so."""
VOCABULARY = 512
WINDOW = 16
"""Tokens in a window of sliding or chunked attention."""
POSITIONS = 128
DEPTH = 4

UNEVEN = 0.7
"""Value for factors that are 1 in a default configuration, since nobody would notice if a factor of 1 were ignored."""

Settings = dict[str, Any]

LAYERS = r"(num_|n_)?(hidden_)?(layers?|blocks)|(num_)?(encoder|decoder)_layers|depth"
"""Names of fields that hold the number of layers."""

SIZES = (
    (LAYERS, DEPTH),
    (r"(\w+_)?vocab_size(_\w+)?|encoder_hash_byte_group_vocab|ngram_vocab_size_base|codebook_size", VOCABULARY),
    (
        r"(\w+_)?(hidden_size|hidden_dim|embedding_size)(_global)?|d_model|n_embd|emb_dim|embedding_dim"
        r"|word_embed_proj_dim|lru_width|mamba_d_ssm|dim_model_base|adapter_(in|out)_dim|adapter_input_size",
        64,
    ),
    (
        r"(\w+_)?(intermediate_size|ffn_dim|ffn_hidden_size|feed_forward_size|intermediate_dim)(_\w+)?"
        r"|dim_ff|dff|d_ff|d_inner|n_inner|mlp_dim",
        96,
    ),
    (r"(\w+_)?(num|n)_(key_value|kv|key)_heads|num_query_groups", 2),
    (r"mamba_(n|num)_heads|n_mamba_heads", 8),
    (r"(\w+_)?(attention_heads|n_heads?|num_heads|num_value_heads|attn_heads)", 4),
    (r"(\w+_)?(head_dim|head_size|d_head|headdim)|dim_head|kv_channels|d_kv|query_pre_attn_scalar", 16),
    (r"rotary_dim", 8),
    (r"(\w+_)?max_position_embeddings|n_positions|n_ctx|max_seq_len|max_\w+_positions|context_length", POSITIONS),
    # How many tokens attention keeps: more than any prompt has, since ties in choosing some are broken at random.
    (r"index_topk|keep_window_size", POSITIONS),
    (r"(\w+_)?window(_\w+)?|local_attention|\w*chunk_size|\w*chunk_length|block_size|index_block_size", WINDOW),
    (r"(num|n)_(local_|routed_)?experts|moe_num_experts|zero_expert_num", 4),
    (r"(num_)?experts_per_tok(en)?|moe_topk|moe_k|\w*topk(_\w+)?|(num_expert|n|topk)_group", 2),
    (r"num_layers_per_stack", DEPTH),
    (r"first_k_dense_replace|num_dense_layers|prefix_dense_\w+|interleave_moe_layer_step|(mamba_)?n_groups?", 1),
    (r"\w*layer_period|\w*_pattern|\w*_interval|global_attn_every_n_layers|max_window_layers|layer_group_size", 2),
    (r"\w*lora_rank|\w*_rank|mamba_d_state|(ssm_)?state_size|\w*per_layer_input|\w*_dim|\w*_channels?", 16),
)
"""The largest value of an integer field, by its name; the first pattern that fits the whole name counts."""


def shrunk(config: "PreTrainedConfig", changes: Settings) -> "PreTrainedConfig":
    """A tiny configuration of the same class. `changes` replace its fields, or those of a nested configuration named by
    a path (`text_config.hidden_size`)."""
    settings = small(config.to_dict())
    for path, value in changes.items():
        *parents, field = path.split(".")
        inner = settings
        for parent in parents:
            inner = inner[parent]
        inner[field] = value
    return type(config).from_dict(settings)


def small(settings: Mapping[str, Any]) -> Settings:
    """The settings with small numbers and a short list of layers, in nested configurations too."""
    deep = max(
        (value for name, value in settings.items() if re.fullmatch(LAYERS, name) and isinstance(value, int)), default=0
    )
    counts = [len(kinds(value)) for value in settings.values() if isinstance(value, list) and len(value) == deep]
    depth = max([DEPTH, *(2 * count for count in counts if count < deep)])
    tiny = {name: _small(name, value, deep=deep, depth=min(depth, deep)) for name, value in settings.items()}
    for keys, heads in KEY_HEADS.items():
        if heads in tiny and settings.get(keys) == settings[heads]:
            tiny[keys] = tiny[heads]
    return tiny


def _small(name: str, value: object, *, deep: int, depth: int) -> object:
    if isinstance(value, dict):
        return small(value) if "model_type" in value else _by_layer(value, depth)
    if isinstance(value, list) and len(value) == deep:
        found = kinds(value)
        return [found[place % len(found)] for place in range(depth)]
    if name.endswith(("token_id", "token_index")) or "_token_" in name:
        return within_vocabulary(value)
    if value is None:
        return UNSET.get(name)
    if value == 1.0 and isinstance(value, float) and re.search(r"scal|multiplier", name):
        return UNEVEN
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if re.fullmatch(LAYERS, name):
        return min(value, depth)
    limit = next((size for pattern, size in SIZES if re.fullmatch(pattern, name)), value)
    return min(value, limit)


def _by_layer(value: Mapping[object, Any], depth: int) -> Mapping[object, Any]:
    """A table without the layers that are gone, if its keys are layers."""
    if not all(str(key).isdecimal() and isinstance(inner, dict) for key, inner in value.items()):
        return value
    return {key: small(inner) for key, inner in value.items() if int(str(key)) < depth}


def kinds(layers: list[object]) -> list[object]:
    """The different entries of a list, in the order in which they first appear."""
    return [value for place, value in enumerate(layers) if value not in layers[:place]]


def within_vocabulary(token: object) -> object:
    """A special token's id, moved into the small vocabulary."""
    if isinstance(token, list):
        return [within_vocabulary(one) for one in token]
    return token % VOCABULARY if isinstance(token, int) else token
