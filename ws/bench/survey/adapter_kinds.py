"""The adapters of the survey: every tuner type of PEFT 0.21 with the settings people use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

QV, MIXED = ("q_proj", "v_proj"), ("q_proj", "v_proj", "up_proj", "down_proj")

TRANSPOSED = ("c_attn", "c_fc")


@dataclass(frozen=True)
class Kind:
    """One adapter of the survey."""

    type: str
    """The adapter's `peft_type`."""
    settings: Mapping[str, object] = field(default_factory=dict)
    targets: str | tuple[str, ...] | None = MIXED
    """`target_modules`; None for a type without that setting."""
    start: Literal["eva", "lora_ga"] | None = None
    """The method that computes start values from data before training, if any."""
    written: Mapping[str, object] = field(default_factory=dict)
    """Settings written into the saved file only: making the adapter with them needs more than PEFT and this model."""
    base: Literal["plain", "biased", "transposed"] = "plain"
    """A Qwen3; a Qwen2, whose attention has biases; a GPT-2, which keeps its weights transposed, with biases."""


def _lora(targets: str | tuple[str, ...] | None = MIXED, **settings: object) -> Kind:
    return Kind("LORA", {"r": 4, "lora_alpha": 8} | settings, targets)


def _written(**settings: object) -> Kind:
    return Kind("LORA", {"r": 4}, written=settings)


def _prompt(type: str, **settings: object) -> Kind:
    return Kind(type, {"task_type": "CAUSAL_LM", **settings}, None)


KINDS = {
    "LoRA": _lora(),
    "LoRA, lora_dropout": _lora(lora_dropout=0.1),
    "LoRA, use_rslora": _lora(use_rslora=True),
    "LoRA, rank_pattern": _lora(rank_pattern={"q_proj": 2, "layers.2.mlp.up_proj": 6}),
    "LoRA, alpha_pattern and rsLoRA": _lora(
        use_rslora=True, alpha_pattern={"q_proj": 2, "up_proj": 16}, rank_pattern={"up_proj": 3}
    ),
    "LoRA, layers_to_transform": _lora(layers_to_transform=[2, 3]),
    "LoRA, layers_pattern": _lora(layers_to_transform=[2, 3], layers_pattern="layers"),
    "LoRA, regex": _lora(r".*layers\.[23]\.self_attn\.(q|v)_proj"),
    "LoRA, exclude_modules": _lora(exclude_modules=r".*layers\.[01]\..*"),
    "LoRA, all-linear": _lora("all-linear"),
    "LoRA, default targets": _lora(None, task_type="CAUSAL_LM"),
    "LoRA, rank above a layer's width": _lora(("q_proj", "k_proj"), r=40),
    "LoRA, bias=all": _lora(bias="all"),
    "LoRA, bias=all, biases": Kind("LORA", {"r": 4, "bias": "all"}, base="biased"),
    "LoRA, bias=lora_only, biases": Kind("LORA", {"r": 4, "bias": "lora_only"}, base="biased"),
    "LoRA, lora_bias": _lora(lora_bias=True),
    "LoRA, gaussian": _lora(init_lora_weights="gaussian"),
    "LoRA, orthogonal": _lora(init_lora_weights="orthogonal"),
    "LoRA, EVA": Kind("LORA", {"r": 4, "init_lora_weights": "eva", "eva_config": {"rho": 2.0}}, start="eva"),
    "LoRA, MiCA": _lora(init_lora_weights="mica"),
    "LoRA, OLoRA": _lora(init_lora_weights="olora"),
    "LoRA, PiSSA": _lora(init_lora_weights="pissa"),
    "LoRA, PiSSA and rsLoRA": _lora(init_lora_weights="pissa", use_rslora=True),
    "LoRA, PiSSA by randomised SVD": _lora(init_lora_weights="pissa_niter_4"),
    "LoRA, CorDA": _written(init_lora_weights="corda", corda_config={"corda_method": "ipm"}),
    "LoRA, LoRA-GA": Kind(
        "LORA", {"r": 4, "init_lora_weights": "lora_ga", "lora_ga_config": {"direction": "ArB2r"}}, start="lora_ga"
    ),
    "LoRA, LoftQ": _written(init_lora_weights="loftq", loftq_config={"loftq_bits": 4, "loftq_iter": 1}),
    "LoRA, DoRA": _lora(use_dora=True),
    "LoRA, DoRA and rsLoRA": _lora(use_dora=True, use_rslora=True),
    "LoRA, KaSA": _lora(kasa_config={"beta": 1e-4}),
    "LoRA, VeLoRA": _lora(velora_config={"num_groups": 8}),
    "LoRA, BD-LoRA": _lora(
        QV, use_bdlora={"target_modules_bd_a": ["q_proj"], "target_modules_bd_b": ["v_proj"], "nblocks": 2}
    ),
    "LoRA, MonteCLoRA": _lora(monteclora_config={"num_samples": 2}),
    "LoRA, aLoRA": _lora(alora_invocation_tokens=[5, 6], task_type="CAUSAL_LM"),
    "LoRA, tied head": _lora(("q_proj", "lm_head")),
    "LoRA, embedding": _lora(("q_proj", "embed_tokens")),
    "LoRA, modules_to_save": _lora(QV, modules_to_save=["norm"]),
    "LoRA, trainable_token_indices": _lora(QV, trainable_token_indices=[1, 2]),
    "LoRA, layer_replication": _written(layer_replication=[[0, 3], [2, 4]]),
    "LoRA, target_parameters": _written(target_parameters=["experts.gate_up_proj"]),
    "LoRA, transposed": Kind("LORA", {"r": 4}, TRANSPOSED, base="transposed"),
    "LoRA, OLoRA, transposed": Kind("LORA", {"r": 4, "init_lora_weights": "olora"}, TRANSPOSED, base="transposed"),
    "LoRA, DoRA, transposed": Kind("LORA", {"r": 4, "use_dora": True}, TRANSPOSED, base="transposed"),
    "AdaLoRA": Kind("ADALORA", {"init_r": 6, "target_r": 4, "total_step": 100}),
    "AdaMSS": Kind("ADAMSS", {"r": 16, "num_subspaces": 2}, QV),
    "Adaption prompt": _written(peft_type="ADAPTION_PROMPT", adapter_len=4, adapter_layers=2),
    "BEFT": Kind("BEFT", targets=QV),
    "BEFT, biases": Kind("BEFT", targets=QV, base="biased"),
    "BOFT": Kind("BOFT", {"boft_block_size": 4}),
    "BOFT, boft_block_num": Kind("BOFT", {"boft_block_num": 8, "boft_block_size": 0}),
    "BOFT, two factors": Kind("BOFT", {"boft_block_size": 4, "boft_n_butterfly_factor": 2}),
    "BOFT, boft_dropout": Kind("BOFT", {"boft_block_size": 4, "boft_dropout": 0.1}),
    "C3A": Kind("C3A", {"block_size": 16}),
    "Cartridge": _prompt("CARTRIDGE", num_virtual_tokens=4),
    "CPT": _prompt("CPT", cpt_token_ids=[1, 2, 3], cpt_mask=[1, 1, 1], cpt_tokens_type_mask=[1, 2, 3]),
    "DEFT": Kind("DEFT", {"r": 4}),
    "DEFT, qr": Kind("DEFT", {"r": 4, "decomposition_method": "qr"}),
    "DeLoRA": Kind("DELORA", {"r": 4}),
    "DeLoRA, patterns": Kind(
        "DELORA", {"r": 4, "rank_pattern": {"q_proj": 2}, "lambda_pattern": {"v_proj": 3}, "module_dropout": 0.1}
    ),
    "FourierFT": Kind("FOURIERFT", {"n_frequency": 100}),
    "FourierFT, transposed": Kind("FOURIERFT", {"n_frequency": 100}, TRANSPOSED, base="transposed"),
    "FRoD": Kind("FROD", {"progressbar": False}),
    "FRoD, no projection": Kind("FROD", {"progressbar": False, "save_projection": False}),
    "GLoRA": Kind("GLORA", {"r": 4}),
    "GraLoRA": Kind("GRALORA", {"r": 4}),
    "GraLoRA, hybrid_r": Kind("GRALORA", {"r": 4, "hybrid_r": 2}),
    "HiRA": Kind("HIRA", {"r": 4}),
    "HRA": Kind("HRA", {"r": 4}),
    "HRA, apply_GS": Kind("HRA", {"r": 4, "apply_GS": True}),
    "IA3": Kind("IA3", {"feedforward_modules": ["down_proj"]}, ("k_proj", "v_proj", "down_proj")),
    "IA3, biases": Kind("IA3", {"feedforward_modules": ["down_proj"]}, ("v_proj", "down_proj"), base="biased"),
    "Lily": Kind("LILY", {"r": 4}, QV),
    "LN tuning": Kind("LN_TUNING", targets=("input_layernorm",)),
    "LoHa": Kind("LOHA", {"r": 4}),
    "LoHa, dropouts and patterns": Kind(
        "LOHA", {"r": 4, "rank_dropout": 0.1, "alpha_pattern": {"q_proj": 2}, "rank_pattern": {"v_proj": 2}}
    ),
    "LoKr": Kind("LOKR", {"r": 4}),
    "LoKr, decompose_both": Kind("LOKR", {"r": 2, "decompose_both": True, "decompose_factor": 8}),
    "MiSS": Kind("MISS", {"r": 4}),
    "MiSS, bat": Kind("MISS", {"r": 4, "init_weights": "bat"}),
    "MiSS, mini": Kind("MISS", {"r": 4, "mini_r": 2, "init_weights": "mini"}),
    "Multitask prompt tuning": _prompt("MULTITASK_PROMPT_TUNING", num_virtual_tokens=4, num_tasks=2),
    "OFT": Kind("OFT"),
    "OFT, exact": Kind("OFT", {"oft_block_size": 8, "use_cayley_neumann": False}),
    "OFT, r": Kind("OFT", {"r": 8, "oft_block_size": 0}),
    "OFT, r, exact": Kind("OFT", {"r": 8, "oft_block_size": 0, "use_cayley_neumann": False}),
    "OFT, three terms": Kind("OFT", {"oft_block_size": 8, "num_cayley_neumann_terms": 3}),
    "OFT, coft": Kind("OFT", {"oft_block_size": 8, "coft": True, "eps": 0.1}),
    "OFT, block_share": Kind("OFT", {"oft_block_size": 8, "block_share": True}),
    "OSF": Kind("OSF", targets=QV),
    "P-tuning": _prompt("P_TUNING", num_virtual_tokens=4, encoder_hidden_size=16),
    "PEANuT": Kind("PEANUT", {"r": 4}),
    "PEANuT, depth": Kind("PEANUT", {"r": 4, "depth": 2, "act_fn": "tanh"}),
    "Poly": Kind("POLY", {"r": 4}, QV),
    "Prefix tuning": _prompt("PREFIX_TUNING", num_virtual_tokens=4),
    "Prompt tuning": _prompt("PROMPT_TUNING", num_virtual_tokens=4),
    "PSOFT": Kind("PSOFT", {"r": 4, "psoft_alpha": 4}),
    "PSOFT, Neumann": Kind("PSOFT", {"r": 4, "use_cayley_neumann": True}),
    "PVeRA": Kind("PVERA", {"r": 8}, QV),
    "RandLoRA": Kind("RANDLORA", {"r": 4}),
    "RandLoRA, no projection": Kind("RANDLORA", {"r": 4, "save_projection": False}),
    "RoAd 1": Kind("ROAD", {"variant": "road_1", "group_size": 16}),
    "RoAd 2": Kind("ROAD", {"variant": "road_2", "group_size": 16}),
    "RoAd 4": Kind("ROAD", {"variant": "road_4", "group_size": 16}),
    "RoAd 1, biases": Kind("ROAD", {"variant": "road_1", "group_size": 16}, base="biased"),
    "Shadow": Kind("SHADOW", targets=None),
    "SHiRA": Kind("SHIRA", {"r": 4}),
    "Supertuning": Kind("SUPERTUNING"),
    "Supertuning, LoRA": Kind("SUPERTUNING", {"r": 4, "lora_alpha": 8}),
    "TinyLoRA": Kind("TINYLORA", {"u": 8}),
    "TinyLoRA, weight_tying": Kind("TINYLORA", {"u": 8, "weight_tying": 1.0}),
    "Trainable tokens": Kind("TRAINABLE_TOKENS", {"token_indices": [1, 2]}, ("embed_tokens",)),
    "UniLoRA": Kind("UNILORA"),
    "UniLoRA, all-linear": Kind("UNILORA", targets="all-linear"),
    "VB-LoRA": Kind("VBLORA", {"r": 4, "num_vectors": 16, "vector_length": 16}),
    "VB-LoRA, top k saved": Kind(
        "VBLORA", {"r": 4, "num_vectors": 16, "vector_length": 16, "save_only_topk_weights": True}
    ),
    "VeRA": Kind("VERA", {"r": 8}),
    "VeRA, no projection": Kind("VERA", {"r": 8, "save_projection": False}),
    "VeRA, transposed": Kind("VERA", {"r": 8}, TRANSPOSED, base="transposed"),
    "WaveFT": Kind("WAVEFT", {"n_frequency": 100}),
    "XLoRA": _written(peft_type="XLORA", hidden_size=64, adapters={"one": "somewhere"}),
    "a type of a later PEFT": _written(peft_type="LORA_OF_2030"),
    "a setting of a later PEFT": _written(a_setting_of_2030=7),
}
