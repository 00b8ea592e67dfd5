"""Values that a default configuration lacks because transformers leaves them to each checkpoint, by model type.

Everything else about an architecture follows from its default configuration (`ws.bench.survey.shrink`).
"""

from typing import Any

ROTATION = {"rope_type": "default", "rope_theta": 10000.0}

INDEXER = {
    "indexer_n_heads": 4,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 16,
    "indexer_budget": 8,
    "indexer_compress_ratio": 2,
}

STARTS: dict[str, dict[str, Any]] = {
    "gemma4_assistant": {
        "text_config": {"model_type": "gemma4_text", "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}
    },
}
"""Arguments without which the configuration class refuses to be made."""

CHANGES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3]},
    "blt": {f"{part}vocab_size": 512 for part in ("", "encoder_config.", "decoder_config.", "patcher_config.")},
    "bloom": {"n_layer": 4},
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": ROTATION, "sliding_attention": ROTATION},
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "dbrx": {
        "attn_config.rope_theta": 10000.0,
        "attn_config.clip_qkv": 8.0,
        "attn_config.kv_n_heads": 2,
        "ffn_config.hidden_size": 64,
    },
    "deepseek_v2": {"num_experts_per_tok": 2, "topk_group": 1, "n_group": 1},
    # This configuration counts attention and MLP as a block each; here four of both. Its scales are stored as multiples
    # of initializer_range, which must not be small compared with the random values added to them.
    "dory": {
        "initializer_range": 1.0,
        "layer_types": ["sliding_attention", "mlp", "full_attention", "mlp"] * 2,
        "num_hidden_layers": 8,
        "n_input_layers": 2,
        "n_recurrent_layers": 4,
        "n_output_layers": 2,
    },
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dots3_note": {"text_config.head_dim": 32, "audio_config.conv_output_size": 1024},
    "dots3_note_text": {"head_dim": 32},
    "gemma3n_text": {"num_kv_shared_layers": 2},
    "gemma4_text": {"per_layer_config": {"01": {"head_dim": 32}, "03": {"head_dim": 32}}},
    "gemma4_assistant": {"text_config.num_kv_shared_layers": 4},
    "gemma4_unified_assistant": {"text_config.num_kv_shared_layers": 4},
    "gemma4_unified_text": {"per_layer_config": {"01": {"head_dim": 32}, "03": {"head_dim": 32}}},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "hunyuan_v1_moe": {"num_experts": 4, "moe_topk": 2},
    "jamba": {"attn_layer_offset": 1},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "longcat_flash": {"qk_head_dim": 32},
    "mamba2": {"num_heads": 8},
    "qwen4_exp": {f"text_config.{name}": value for name, value in INDEXER.items()},
    "qwen4_exp_text": INDEXER,
    "reformer": {"is_decoder": True, "axial_pos_shape": [8, 16], "axial_pos_embds_dim": [16, 48]},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"attention_hidden_size": 128, "attention_head_dim": 32},
    "zamba2": {"attention_hidden_size": 128, "attention_head_dim": 32, "hybrid_layer_ids": [1, 3]},
}
"""Fields of the tiny configuration, by name; `text_config.NAME` is a field of a nested configuration."""
