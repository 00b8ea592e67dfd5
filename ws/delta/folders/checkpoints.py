"""Whole fine-tuned models: config.json and safetensors, in one file or in several with an index.

dW is the difference of the weights of linear layers, in fp32, read tensor by tensor. It steers linear layers in the
blocks only. Full fine-tuning also moves everything else a little (embeddings, norms, biases, the head), so this is no
error: it is left out, and a line says how much of the whole change it was.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from torch import Tensor

from ws.delta.folders.reading import check_finite, check_floating, read_settings, say_rounded, shown, tensor_shapes
from ws.delta.update import Dense
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError
from ws.models.anatomy import as_matrix
from ws.models.language import LanguageModel
from ws.store.progress import say, track

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def checkpoint_delta(plus: Path, minus: Path | None, lm: LanguageModel) -> WeightDelta:
    """The weights of `plus` minus those of `minus`, or minus the model's own if `minus` is None.

    Raises: MismatchError if a folder holds another architecture, other shapes, or quantised weights.
    """
    upper = Checkpoint(plus, lm)
    lower = Checkpoint(minus, lm) if minus is not None else lm.model.state_dict()
    names = sorted(upper.keys() & lower.keys())
    if alone := sorted((upper.keys() ^ lower.keys()) - _shared(lm)):
        say(f"{shown(alone)}: in one of {plus} and {minus or lm.name} only, left out of dW")
    label = f"subtract {minus.name if minus else lm.name} from {plus.name}"
    return subtracted(((name, upper[name], lower[name]) for name in track(names, label)), lm, plus.name)


def subtracted(pairs: Iterable[tuple[str, Tensor, Tensor]], lm: LanguageModel, name: str) -> WeightDelta:
    """First minus second tensor of each name, for weights of linear layers that differ; prints what else differs.

    Raises: MismatchError if shapes differ or values are no finite numbers.
    """
    linears = lm.linears(0, lm.n_layers)
    layers = {f"{path}.weight": path for path in linears}
    inside, outside, dtypes = {}, {}, set()
    for tensor, upper, lower in pairs:
        if upper.shape != lower.shape:
            raise MismatchError(
                f"{tensor} has shape {tuple(upper.shape)} in {name}, expected {tuple(lower.shape)}; "
                "give models that were trained from one base"
            )
        check_finite(upper, f"{name} holds values in {tensor}")
        change = upper.to(lm.device).float() - lower.to(lm.device).float()
        dtypes |= {upper.dtype}
        if change.any() and tensor in layers:
            path = layers[tensor]
            inside[path] = Dense(as_matrix(linears[path], change))
        elif change.any():
            outside[tensor] = Dense(change.reshape(len(change), -1)).dot(Dense(change.reshape(len(change), -1)))
    left_out, kept = sum(outside.values()), sum(value.dot(value) for value in inside.values())
    if outside:
        share = f"{left_out / (left_out + kept):.1%} of the squared difference"
        say(
            f"{name}: left out of dW, as no linear layer in a block: {shown(outside)}, {share}; score the models "
            "themselves with --model FOLDER to see what that costs"
        )
    say_rounded(dtypes, name)
    return WeightDelta(inside)


class Checkpoint(Mapping[str, Tensor]):
    """The tensors of a folder with a whole model, by name, each read when it is asked for.

    Raises: MismatchError if the folder is of another architecture than the model, lacks a linear layer or is quantised.
    """

    def __init__(self, folder: Path, lm: LanguageModel) -> None:
        self.folder = folder
        settings = read_settings(folder / CONFIG)
        seen, expected = settings.get("model_type"), lm.model.config.model_type
        if seen != expected:
            raise MismatchError(
                f"{folder} holds a model of type {seen!r:.80}, {lm.name} is a {expected}; give models trained from it"
            )
        if settings.get("quantization_config"):
            raise MismatchError(f"{folder} holds quantised weights; give the model in float32, bfloat16 or float16")
        lacking = [path for path in lm.linears(0, lm.n_layers) if f"{path}.weight" not in self.places]
        if lacking:
            raise MismatchError(
                f"{folder} has no weight for {shown(lacking)} of {lm.name}, but has such as {shown(self.places, 1)}; "
                "give a model that transformers' save_pretrained wrote, trained from the model that is steered"
            )

    @cached_property
    def places(self) -> Mapping[str, Path]:
        """The file of each tensor."""
        return {name: file for file in files_of(self.folder)[1:] for name in tensor_shapes(file)}

    def __getitem__(self, name: str) -> Tensor:
        from safetensors import safe_open

        with safe_open(self.places[name], framework="pt") as file:
            value = file.get_tensor(name)
        check_floating({name: value}, self.places[name])
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def files_of(folder: Path) -> list[Path]:
    """The configuration of a model and its files of tensors. Raises: MismatchError if one is not there."""
    files = [WEIGHTS]
    if (folder / INDEX).is_file():
        listed = read_settings(folder / INDEX).get("weight_map")
        files = sorted(set(map(str, listed.values()))) if isinstance(listed, dict) else []
    # Names, not paths: an index cannot lead out of the folder.
    if not files or any(Path(name).name != name for name in files):
        raise MismatchError(f"{folder / INDEX} lists {files[:3]}, expected names of files beside it; save it anew")
    if missing := [name for name in (CONFIG, *files) if not (folder / name).is_file()]:
        pickles = [name for name in PICKLES if (folder / name).exists()]
        found = f"; found {pickles[0]}, a pickle, which can run code when it is loaded" if pickles else ""
        raise MismatchError(
            f"{folder} has no {missing[0]}{found}; save the model anew with transformers' save_pretrained, where you "
            "trust it"
        )
    return [folder / name for name in (CONFIG, *files)]


def _shared(lm: LanguageModel) -> set[str]:
    """Both names of the head's weight if it is also the embedding's, since a file may hold it under either."""
    head, embedding = lm.model.get_output_embeddings(), lm.model.get_input_embeddings()
    if head is None or head.weight is not embedding.weight:
        return set()
    return {f"{path}.weight" for path, module in lm.model.named_modules() if module in (head, embedding)}
