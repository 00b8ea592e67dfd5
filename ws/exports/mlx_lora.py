"""dW as a LoRA in the layout of mlx-lm: a folder with adapter_config.json and adapters.safetensors.

mlx-lm adds scale (lora_a lora_b)^T, not divided by the rank, so the scale is 1. It has one rank for all layers; the
shorter ones are filled up with zeros. Layers are named by their full paths, so that it adds nothing anywhere else.

Source: mlx-lm 0.32.2, mlx_lm/tuner/utils.py, `load_adapters` and `linear_to_lora_layers`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ws.delta.folders.delta import folder_delta
from ws.delta.folders.mlx import WEIGHTS
from ws.delta.folders.peft_files import CONFIG
from ws.delta.steering import steered
from ws.delta.weight_delta import WeightDelta
from ws.exports.base import Limits, Written
from ws.exports.thin import thin
from ws.exports.what import Exported
from ws.models.language import LanguageModel

TITLE, READER = "mlx-lm LoRA", "safetensors"
HOLDS: tuple[str, ...] = (CONFIG, WEIGHTS)
KINDS: tuple[str, ...] = ()


def write(place: Path, what: Exported, limits: Limits) -> Written:
    """Writes the adapter for the model's original weights.

    Raises: DataError for a dW of full rank without a limit.
    """
    from safetensors.torch import save_file

    made = thin(what.delta, rank=limits.rank, energy=limits.energy)
    settings = {
        "fine_tune_type": "lora",
        "model": what.lm.name,
        "num_layers": what.lm.n_layers,
        "lora_parameters": {"rank": made.rank, "scale": 1.0, "dropout": 0.0, "keys": sorted(made.factors)},
    }
    (place / CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    tensors = {
        f"{path}.{name}": value.T.cpu().contiguous()
        for path, factors in made.one_rank.items()
        for name, value in (("lora_a", factors.right), ("lora_b", factors.left))
    }
    save_file(tensors, place / WEIGHTS, metadata={"format": "mlx"})
    return made.written(what.lm)


@contextmanager
def read_back(place: Path, what: Exported) -> Iterator[LanguageModel]:
    """The model with what the folder holds, by mlx-lm's rules."""
    with steered(what.lm, folder_delta(place, what.lm), coeff=1.0):
        yield what.lm


def delta_of(place: Path, what: Exported) -> WeightDelta:
    """The update in the folder."""
    return folder_delta(place, what.lm)


def usage(place: Path, what: Exported) -> str:
    """Loading it onto the model that it was made for."""
    return f'model, tokenizer = mlx_lm.load("MODEL", adapter_path="{place}")'
