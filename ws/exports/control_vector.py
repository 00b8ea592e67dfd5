"""An activation direction as a control vector for llama.cpp: one GGUF file with a vector for each block.

`direction.k` is added to what block k leaves, counted from 0. There is no `direction.0`: llama.cpp begins with block 1.
A vector behind the last block would be ignored without a word.

Source: github.com/ggml-org/llama.cpp, common_control_vector_load; github.com/vgel/repeng, ControlVector.export_gguf,
for the names.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ws.errors import DataError, MismatchError
from ws.exports.base import Limits, Written
from ws.exports.what import Exported
from ws.models.gguf.files import opened
from ws.models.language import LanguageModel
from ws.steering.interventions import shifted

TITLE, READER = "Control vector", "gguf"
HOLDS: tuple[str, ...] = ()
KINDS: tuple[str, ...] = ("controlvector",)


def write(place: Path, what: Exported, limits: Limits) -> Written:
    """Writes the vectors, as long as they are to be added.

    Raises: DataError for a dW, and for a vector behind block 0 or behind no block.
    """
    from gguf import GGUFWriter

    if not what.steps:
        raise DataError(f"{what.name} adds nothing to activations; name a direction with --activation and --blocks")
    check_blocks(what)
    writer = GGUFWriter(place, "controlvector")
    writer.add_name(f"{what.name}, for {what.lm.name}")
    writer.add_string("controlvector.model_hint", str(what.lm.model.config.model_type))
    writer.add_uint32("controlvector.layer_count", len(what.steps))
    for block, step in sorted(what.steps.items()):
        writer.add_tensor(f"direction.{block}", step.detach().float().cpu().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    blocks = ", ".join(map(str, sorted(what.steps)))
    return Written(f"a vector behind block {blocks}, of length {_lengths(what.steps)}")


def check_blocks(what: Exported) -> None:
    """Raises: DataError for a block that llama.cpp cannot add a vector behind."""
    outside = [block for block in what.steps if not 1 <= block < what.lm.n_layers]
    if outside:
        raise DataError(
            f"llama.cpp adds vectors behind the blocks 1 to {what.lm.n_layers - 1} of {what.lm.name}, counted from 0, "
            f"and none behind block {outside[0]}; choose others with --blocks"
        )


@contextmanager
def read_back(place: Path, what: Exported) -> Iterator[LanguageModel]:
    """The model with what the file holds, by llama.cpp's rules; `ws.exports.check` asks llama.cpp itself."""
    with shifted(what.lm, read_file(place, d_model=what.lm.d_model), coeff=1.0):
        yield what.lm


def read_file(file: Path, *, d_model: int) -> Mapping[int, Float[Tensor, " d_model"]]:
    """The vector behind each block. Raises: MismatchError if it is no file of vectors of this width."""
    stored, said = opened(file)
    if said.get("general.architecture") != "controlvector":
        raise MismatchError(f"{file} holds {said.get('general.architecture')!r}, expected a control vector")
    found = {
        int(tensor.name.removeprefix("direction.")): torch.from_numpy(np.array(tensor.data))
        for tensor in stored.tensors
        if tensor.name.startswith("direction.")
    }
    if odd := [block for block, step in found.items() if step.shape != (d_model,)]:
        raise MismatchError(
            f"{file} has {tuple(found[odd[0]].shape)} behind block {odd[0]}, expected ({d_model},); "
            "use it with the model that it was made for"
        )
    return found


def delta_of(place: Path, what: Exported) -> None:
    """None: no weight is changed."""
    return None


def usage(place: Path, what: Exported) -> str:
    """Adding it to a file of the model."""
    return f"llama-cli --model MODEL.gguf --control-vector {place}"


def _lengths(steps: Mapping[int, Float[Tensor, " d_model"]]) -> str:
    lengths = sorted(step.norm().item() for step in steps.values())
    return f"{lengths[0]:.3g}" if len(lengths) == 1 else f"{lengths[0]:.3g} to {lengths[-1]:.3g}"
