"""The rotary embedding of a GGUF file's model (how far positions turn queries and keys), as transformers' config.

A file gives a base and up to two corrections to the angles that follow from it: a named scaling, and a divisor for each
frequency (the tensor `rope_freqs.weight`, which is how Llama 3's scaling is stored).

Source: llama.cpp, src/llama-model.cpp and ggml/src/ggml-cpu/ops.cpp, for the meaning and the default of each key.
"""

from collections.abc import Mapping, Sequence

from ws.errors import ModelFileError

BASE = 10_000.0
"""The base if a file gives none."""

NEUTRAL = {
    "rope.scaling.attn_factor": 1.0,
    "rope.scaling.yarn_attn_factor": 1.0,
    "rope.scaling.yarn_ext_factor": 1.0,
    "rope.scaling.yarn_log_multiplier": 0.0,
}
"""Further corrections, each with the value that means none; releases of llama.cpp apply other values differently."""

KEYS = {
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",  # whether training saw the scaled positions; nothing computes with it
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    *NEUTRAL,
}
"""All keys that `parameters` reads, without the architecture's name before them."""


def parameters(said: Mapping[str, object], *, context: int, divisors: Sequence[float] | None) -> dict[str, object]:
    """transformers' `rope_parameters` of the file.

    `divisors` holds one number for each frequency, if the file has them.

    Raises: ModelFileError naming the key whose correction has no counterpart in transformers.
    """
    for key, neutral in NEUTRAL.items():
        if said.get(key, neutral) != neutral:
            raise ModelFileError(f"it says {key} = {said[key]}, which is not known here, expected {neutral} or nothing")
    plain = {"rope_theta": float(said.get("rope.freq_base", BASE))}
    # Old files write 0 for no factor.
    factor = float(said.get("rope.scaling.factor", said.get("rope.scale_linear", 1.0)) or 1.0)
    match said.get("rope.scaling.type", "linear"):
        case "none":
            return plain | _divided(1.0, divisors, context)
        case "linear":
            return plain | _divided(factor, divisors, context)
        case "yarn" if divisors is None:
            return plain | {
                "rope_type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": said.get("rope.scaling.original_context_length", context),
                "beta_fast": float(said.get("rope.scaling.yarn_beta_fast", 32.0)),
                "beta_slow": float(said.get("rope.scaling.yarn_beta_slow", 1.0)),
            }
        case kind:
            beside = " beside rope_freqs.weight" if divisors is not None else ""
            raise ModelFileError(
                f"it says rope.scaling.type = {kind!r}{beside}, which is not known here, expected none, linear or, "
                "without rope_freqs.weight, yarn"
            )


def _divided(factor: float, divisors: Sequence[float] | None, context: int) -> dict[str, object]:
    """Every frequency divided by a factor, and by its own divisor if `divisors` are given.

    transformers has one type that takes a divisor for each frequency, longrope. It takes a list for short texts and one
    for long texts, which here are equal.
    """
    if divisors is None:
        return {"rope_type": "default"} if factor == 1.0 else {"rope_type": "linear", "factor": factor}
    each = [factor * divisor for divisor in divisors]
    return {
        "rope_type": "longrope",
        "short_factor": each,
        "long_factor": each,
        "factor": 1.0,
        "attention_factor": 1.0,
        "original_max_position_embeddings": context,
    }
