"""Adapters of mlx-lm: a folder with adapter_config.json and adapters.safetensors.

LoRA keeps lora_a [d_in, r] and lora_b [r, d_out] for each layer; its update is scale (lora_a lora_b)^T, not divided by
the rank. DoRA adds m [d_out], the lengths of the rows. A layer without tensors is unchanged. With fine_tune_type "full"
the file holds whole weights of the last num_layers blocks.

Source: mlx-lm 0.32.2, mlx_lm/tuner/lora.py and dora.py.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from ws.adapters import AdapterConfig, dora
from ws.delta.folders.checkpoints import subtracted
from ws.delta.folders.peft_files import CONFIG, known
from ws.delta.folders.reading import Settings, check_floating, read_settings, read_tensors, say_unchanged, shown
from ws.delta.folders.refused import check_names
from ws.delta.update import Dense, LowRank, Update
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel

WEIGHTS = "adapters.safetensors"
KINDS = ("lora", "dora", "full")
PARTS = {"lora": {"lora_a", "lora_b"}, "dora": {"lora_a", "lora_b", "m"}}


def mlx_delta(folder: Path, lm: LanguageModel) -> WeightDelta:
    """What the adapter adds to the original weights.

    Raises: MismatchError for another kind of training, or tensors that are not those of the model's linear layers.
    """
    settings = read_settings(folder / CONFIG)
    kind = settings.get("fine_tune_type", "lora")
    if kind not in KINDS:
        raise MismatchError(f"{folder / CONFIG} has fine_tune_type={kind!r:.80}, expected one of {', '.join(KINDS)}")
    tensors, _ = read_tensors(folder / WEIGHTS)
    check_floating(tensors, folder / WEIGHTS)
    if kind == "full":
        return _full(folder, lm, tensors)
    scale = _scale(folder, settings)
    layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, value in tensors.items():
        path, _, part = name.rpartition(".")
        layers[path][part] = value.to(lm.device).float()
    check_names(folder, tensors, lm)
    linears = known(lm, layers)
    say_unchanged(folder.name, _aimed_at(settings, lm) - linears.keys())
    return WeightDelta({path: _update(folder, path, linears[path], layers[path], scale, kind) for path in linears})


def _aimed_at(settings: Settings, lm: LanguageModel) -> set[str]:
    """The layers that the settings name; to mlx-lm, a num_layers of 0 or less means every block."""
    number, keys = settings.get("num_layers"), settings["lora_parameters"].get("keys")
    start = max(lm.n_layers - number, 0) if type(number) is int and number > 0 else 0
    ends = tuple(f".{key}" for key in keys) if isinstance(keys, list) else ("",)
    return {path for path in lm.linears(start, lm.n_layers) if path.endswith(ends)}


def _scale(folder: Path, settings: Settings) -> float:
    parameters = settings.get("lora_parameters")
    scale = parameters.get("scale") if isinstance(parameters, Mapping) else None
    if type(scale) not in (int, float) or not math.isfinite(scale):
        raise MismatchError(
            f"{folder / CONFIG} has lora_parameters={parameters!r:.80}, expected an object with a finite number "
            "as scale; save the adapter anew with mlx-lm"
        )
    return float(scale)


def _update(folder: Path, path: str, linear: nn.Module, parts: Mapping[str, Tensor], scale: float, kind: str) -> Update:
    d_out, d_in = matrix(linear).shape
    rank = parts["lora_a"].shape[-1] if "lora_a" in parts and parts["lora_a"].ndim == 2 else 0
    expected = {"lora_a": (d_in, rank), "lora_b": (rank, d_out), "m": (d_out,)}
    seen = {name: tuple(value.shape) for name, value in parts.items()}
    if seen != {name: expected[name] for name in PARTS[kind]} or not rank:
        raise MismatchError(
            f"{folder / WEIGHTS} has {seen} for {path}, expected {kind}'s {sorted(PARTS[kind])} for a layer of shape "
            f"{(d_out, d_in)}; use the adapter with the model it was trained for"
        )
    A, B = parts["lora_a"].T.contiguous(), scale * parts["lora_b"].T
    if kind == "lora":
        return LowRank(left=B, right=A)
    # alpha = rank makes the scale alpha / r 1, since B already holds the scale of mlx-lm.
    config = AdapterConfig(dora.NAME, rank=rank, alpha=float(rank))
    return Dense(dora.delta(matrix(linear).detach().float(), {"A": A, "B": B, "m": parts["m"]}, config=config))


def _full(folder: Path, lm: LanguageModel, tensors: Mapping[str, Tensor]) -> WeightDelta:
    """The weights in the file minus the model's."""
    held = lm.model.state_dict()
    if unknown := tensors.keys() - held.keys():
        raise MismatchError(
            f"{folder / WEIGHTS} has {shown(unknown)}, which {lm.name} lacks; "
            "use the weights with the model they were trained from"
        )
    return subtracted(((name, value, held[name]) for name, value in sorted(tensors.items())), lm, folder.name)
