"""dW as a LoRA for llama.cpp: one GGUF file of type "adapter", float32 throughout.

llama.cpp adds scale * alpha / r * B A to a layer, with its user's scale and the rank r of that very tensor. Here alpha
is the largest rank, and each B holds what its own rank would change of that factor, so that a scale of 1 adds dW
itself. It keeps the queries and keys of a Llama with the two halves of each head interleaved, rows of their B likewise.
Matrices in half precision would make it round the activations too, so they are float32 whatever the model's file is.

Source: github.com/ggml-org/llama.cpp, convert_lora_to_gguf.py for the names and shapes, src/llama-adapter.h for the
scale.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from ws.delta.steering import steered
from ws.delta.update import LowRank
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ModelError
from ws.exports.base import Limits, Written
from ws.exports.thin import thin
from ws.exports.what import Exported
from ws.models.gguf.files import opened
from ws.models.gguf.model import ARCHITECTURES, INTERLEAVED, halves
from ws.models.language import LanguageModel

TITLE, READER = "GGUF LoRA", "gguf"
HOLDS: tuple[str, ...] = ()
KINDS: tuple[str, ...] = ("adapter",)


def write(place: Path, what: Exported, limits: Limits) -> Written:
    """Writes dW as a file that llama.cpp adds to a file of the model.

    Raises: DataError for a dW of full rank without a limit; ModelError for an architecture whose names and orders are
        not known here, and for a layer that llama.cpp's file of the model has no matrix of its own for.
    """
    from gguf import GGUFWriter

    lm = what.lm
    places = tensor_names(lm, what.delta.tensors)
    made = thin(what.delta, rank=limits.rank, energy=limits.energy)
    writer = GGUFWriter(place, architecture(lm))
    writer.add_type("adapter")
    writer.add_name(f"{what.name}, for {lm.name}")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(made.rank))
    for path, factors in made.factors.items():
        own = factors.right.shape[0]
        writer.add_tensor(f"{places[path]}.lora_a", _array(factors.right))
        writer.add_tensor(f"{places[path]}.lora_b", _array(interleaved(lm, path, factors.left * (own / made.rank))))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return made.written(lm)


@contextmanager
def read_back(place: Path, what: Exported) -> Iterator[LanguageModel]:
    """The model with what the file holds, by llama.cpp's rules; `ws.exports.check` asks llama.cpp itself."""
    with steered(what.lm, read_file(place, what.lm), coeff=1.0):
        yield what.lm


def delta_of(place: Path, what: Exported) -> WeightDelta:
    """The update in the file."""
    return read_file(place, what.lm)


def usage(place: Path, what: Exported) -> str:
    """Adding it to a file of the model."""
    return f"llama-cli --model MODEL.gguf --lora {place}"


def read_file(file: Path, lm: LanguageModel) -> WeightDelta:
    """What the file adds to the model at a scale of 1, by llama.cpp's rules.

    Raises: MismatchError if it is no LoRA of this model's architecture, or has a tensor that the model has no place
    for.
    """
    stored, said = opened(file)
    alpha = said.get("adapter.lora.alpha")
    if said.get("general.architecture") != architecture(lm) or not isinstance(alpha, float):
        raise MismatchError(
            f"{file} is of {said.get('general.architecture')!r} with alpha {alpha!r}; expected a LoRA for a model of "
            f"{architecture(lm)!r}"
        )
    tensors = {tensor.name: torch.from_numpy(np.array(tensor.data)) for tensor in stored.tensors}
    places = {place: path for path, place in tensor_names(lm, lm.linears(0, lm.n_layers)).items()}
    found = {name.removesuffix(".lora_a") for name in tensors if name.endswith(".lora_a")}
    if unknown := tensors.keys() - {f"{place}.lora_{side}" for place in found & places.keys() for side in "ab"}:
        raise MismatchError(f"{file} has {min(unknown)}, which {lm.name} has no layer for; use it with its own model")
    return WeightDelta(
        {
            places[place]: LowRank(
                _scale(alpha, tensors[f"{place}.lora_a"])
                * straightened(lm, places[place], tensors[f"{place}.lora_b"]).to(lm.device),
                tensors[f"{place}.lora_a"].to(lm.device),
            )
            for place in sorted(found)
        }
    )


def architecture(lm: LanguageModel) -> str:
    """llama.cpp's name of the model's architecture. Raises: ModelError for one that is not known here."""
    kind = str(lm.model.config.model_type)
    if kind not in ARCHITECTURES:
        raise ModelError(
            f"{lm.name} is a {kind}; the orders of llama.cpp's matrices are known here for {', '.join(ARCHITECTURES)}. "
            "Export a PEFT folder, and turn it into a file with llama.cpp's own convert_lora_to_gguf.py"
        )
    return kind


def tensor_names(lm: LanguageModel, paths: Iterable[str]) -> Mapping[str, str]:
    """llama.cpp's name of each layer's weight.

    Raises: ModelError for a layer that has none, or is the head or the embedding.
    """
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    numbers = {name: number for number, name in MODEL_ARCH_NAMES.items()}
    names = get_tensor_name_map(numbers[architecture(lm)], lm.n_layers)
    found = {path: names.get_name(path) for path in paths}
    for path, name in found.items():
        if name is None or not name.startswith("blk."):
            raise ModelError(
                f"dW changes {path}, and llama.cpp's file of {lm.name} has no matrix for that layer alone (a head may "
                "share its matrix with the embedding); export merged weights, or a dW of the linear layers in blocks"
            )
    return {path: f"{name}.weight" for path, name in found.items()}


def interleaved(lm: LanguageModel, path: str, left: Float[Tensor, "d_out r"]) -> Float[Tensor, "d_out r"]:
    """Rows in the order of llama.cpp's file: of a Llama's queries and keys the two halves of each head take turns."""
    heads = heads_of(lm, path)
    return rearrange(left, "(head half pair) r -> (head pair half) r", head=heads, half=2) if heads else left


def straightened(lm: LanguageModel, path: str, left: Float[Tensor, "d_out r"]) -> Float[Tensor, "d_out r"]:
    """The inverse of `interleaved`."""
    heads = heads_of(lm, path)
    return halves(left, heads) if heads else left


def heads_of(lm: LanguageModel, path: str) -> int | None:
    """How many heads' rows a layer makes, if their halves are interleaved in llama.cpp's file."""
    if architecture(lm) not in INTERLEAVED:
        return None
    config = lm.model.config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    return heads.get(path.rpartition(".")[2])


def _scale(alpha: float, right: Float[Tensor, "r d_in"]) -> float:
    """What llama.cpp multiplies B A with; an alpha of 0 leaves it as it is."""
    return alpha / right.shape[0] if alpha else 1.0


def _array(value: Float[Tensor, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    return value.detach().float().cpu().contiguous().numpy()
