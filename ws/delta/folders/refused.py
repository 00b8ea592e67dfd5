"""Everything a PEFT folder can hold that is no change of linear layers' weights, each with advice for what to use."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from ws.delta.folders.reading import Settings, shown
from ws.errors import MismatchError

if TYPE_CHECKING:
    from ws.models.language import LanguageModel

MERGE = (
    "merge each adapter into a copy of the model with PEFT (merge_and_unload, then save_pretrained), and score the "
    "copies one by one with --model FOLDER"
)
AS_MODEL = "score the model with the adapter by itself, or train a LoRA in its place"
CONVERT = (
    "save it as a plain LoRA with PEFT's save_pretrained(..., path_initial_model_for_weight_conversion=START), or "
    "merge it and give the merged model's folder instead"
)

TYPES = {
    "PROMPT_TUNING": ("learns tokens in front of the prompt", AS_MODEL),
    "MULTITASK_PROMPT_TUNING": ("learns tokens in front of the prompt", AS_MODEL),
    "P_TUNING": ("learns tokens in front of the prompt", AS_MODEL),
    "CPT": ("learns tokens in front of the prompt", AS_MODEL),
    "PREFIX_TUNING": ("learns keys and values in front of the prompt", AS_MODEL),
    "CARTRIDGE": ("learns keys and values in front of the prompt", AS_MODEL),
    "ADAPTION_PROMPT": ("learns tokens that each block attends to", AS_MODEL),
    "TRAINABLE_TOKENS": ("trains rows of the embedding", MERGE),
    "LN_TUNING": ("trains norms", MERGE),
    "BEFT": ("trains biases alone", MERGE),
    "LILY": ("chooses among its matrices by the input, so that PEFT cannot merge it", AS_MODEL),
    "POLY": ("mixes its matrices by task, so that PEFT cannot merge it", AS_MODEL),
    "XLORA": ("mixes several adapters by the input, so that PEFT cannot merge it", AS_MODEL),
    "SHADOW": ("runs a second network beside the model", AS_MODEL),
}
"""Types of PEFT adapters that cannot be written as a dW: what they do, and what to use instead."""

SETTINGS = {
    "modules_to_save": ("trains whole modules beside the adapter", MERGE),
    "trainable_token_indices": ("trains rows of the embedding", MERGE),
    "target_parameters": ("changes parameters that are no linear layer's weight", MERGE),
    "layer_replication": ("runs blocks several times, each with weights of its own", AS_MODEL),
    "alora_invocation_tokens": ("acts only on what follows certain tokens", AS_MODEL),
    "arrow_config": ("chooses among adapters by the input", AS_MODEL),
    "use_qalora": ("is for quantised weights", "train it on the weights that are steered"),
    "megatron_config": ("is for Megatron's layers, whose code the file names", MERGE),
    "lora_bias": ("adds to biases", AS_MODEL),
}
"""Settings that ask for something that cannot be written as a dW."""

STARTS = {
    "corda": "weights less their largest directions under data that the file lacks",
    "lora_ga": "weights less a start taken from gradients that the file lacks",
    "loftq": "quantised weights that the file lacks",
    "pissa_niter": "weights less the result of a randomised SVD, which comes out anew at each loading",
}
"""Values of `init_lora_weights` for which an adapter does not belong to the model's own weights, but to these."""


def check_settings(folder: Path, settings: Settings) -> None:
    """Raises: MismatchError if these PEFT settings describe something other than an update of linear layers."""
    kind = settings.get("peft_type")
    if isinstance(kind, str) and kind in TYPES:
        _refuse(folder, f"an adapter of type {kind}", *TYPES[kind])
    for name, (does, instead) in SETTINGS.items():
        if settings.get(name):
            _refuse(folder, f"an adapter with {name}={settings[name]!r:.80}", does, instead)
    start = settings.get("init_lora_weights")
    base = next((base for name, base in STARTS.items() if isinstance(start, str) and start.startswith(name)), None)
    if base is not None:
        raise MismatchError(f"{folder} has init_lora_weights={start!r}: it belongs to {base}; {CONVERT}")


def check_names(folder: Path, names: Collection[str], lm: "LanguageModel") -> None:
    """Raises: MismatchError if tensors of these names train biases, norms, an embedding or the head."""
    linears = tuple(f"{path}." for path in lm.linears(0, lm.n_layers))
    if biases := [name for name in names if name.endswith(".base_layer.bias")]:
        _refuse(folder, f"trained biases ({shown(biases)})", "are no weights of linear layers", MERGE)
    others = [name for name in names if not name.startswith(linears)]
    ends = {id(end) for end in (lm.model.get_input_embeddings(), lm.model.get_output_embeddings())}
    for path, module in lm.model.named_modules():
        inside = [name for name in others if name.startswith(f"{path}.")] if path else []
        if inside and id(module) in ends:
            _refuse(folder, f"tensors for {path} ({shown(inside)})", f"change {_end(lm)}", MERGE)
        if inside and not list(module.children()):
            _refuse(folder, f"tensors for {path} ({shown(inside)})", "is no linear layer inside a block", MERGE)


def _end(lm: "LanguageModel") -> str:
    head = lm.model.get_output_embeddings()
    if head is not None and head.weight is lm.model.get_input_embeddings().weight:
        return "the embedding or the head, which share one matrix: merging into one end moves the other"
    return "the embedding or the head, which lie outside the blocks"


def _refuse(folder: Path, what: str, does: str, instead: str) -> None:
    raise MismatchError(
        f"{folder} holds {what}, which {does}; dW is a change of linear layers in the blocks: {instead}"
    )
