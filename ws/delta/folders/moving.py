"""Whether an adapter adds anything to a model and, if not, by which of its settings."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ws.delta.folders.peft_files import CONFIG
from ws.delta.folders.reading import Settings, read_settings
from ws.delta.update import LowRank, Update
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError
from ws.models.anatomy import matrix
from ws.models.language import LanguageModel
from ws.store.progress import say

SCALE = re.compile(r"alpha|lambda|scal(e|ing)$")
"""What the settings are called that multiply an update: lora_alpha, alpha, delora_lambda, scaling."""

ROUNDING = 4 * torch.finfo(torch.float32).eps
"""A dense update below this share of the largest weight is what rounding leaves of a difference that is zero."""


def check_moves(folder: Path, delta: WeightDelta, lm: LanguageModel) -> None:
    """Prints a line if an adapter adds nothing to any layer. Raises: MismatchError if that is due to its settings."""
    linears = lm.linears(0, lm.n_layers)
    if any(moves(update, matrix(linears[path])) for path, update in delta.tensors.items()):
        return
    if zeros := list(zero_scales(read_settings(folder / CONFIG))):
        raise MismatchError(
            f"{folder / CONFIG} has {' and '.join(zeros)}, by which the whole update is multiplied, so {folder.name} "
            "adds nothing to any layer; expected a number other than 0: save the adapter with the one it was trained at"
        )
    say(f"{folder.name} adds nothing to any layer: its update is zero, as it is before training")


def moves(update: Update, W: Float[Tensor, "d_out d_in"]) -> bool:
    """Whether an update changes a weight by more than rounding."""
    if isinstance(update, LowRank):
        return bool(update.left.any() and update.right.any())
    return bool(update.dense().abs().max() > ROUNDING * W.abs().max())


def zero_scales(settings: Settings) -> Iterator[str]:
    """The settings that multiply the update of every layer with 0, as NAME=0."""
    for name, value in settings.items():
        if name == "lora_parameters" and isinstance(value, Mapping):
            yield from (f"{name}.{one}" for one in zero_scales(value))
        elif SCALE.search(name) and type(value) in (int, float) and value == 0:
            yield f"{name}=0"
