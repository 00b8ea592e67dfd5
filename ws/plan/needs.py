"""What a build takes of a machine: memory for the models that it loads, and a GPU if they live on one."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import NamedTuple

from ws.models.language import Placed
from ws.models.weights import ModelWeights, own_files
from ws.store import Recipe, Store
from ws.store.recipes import held_in, values_of

OWN_BYTES, PER_WEIGHT_BYTE = 1.2e9, 2.2
"""What a process takes: for itself, and for each byte of the model's weights in fp32. Measured on the embedded model
(0.54 GB of weights, 2.1 GB) and on one of 0.5 billion parameters (2 GB, 5.4 GB)."""

FP32_BYTES = 4


class Needs(NamedTuple):
    """What one build takes, besides a core."""

    models: tuple[str, ...] = ()
    """Which models it loads, and where they live. A process that has built with these has them loaded."""
    bytes: float = 0.0
    """Memory, with what the process itself takes."""
    gpus: int = 0
    alone: bool = False
    """Whether nothing else may be built on its machine meanwhile."""


class Appetite:
    """What builds need, as far as the weights of their models are in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._places: dict[Recipe, frozenset[Placed]] = {}
        self._weights: dict[ModelWeights, int] = {}

    def __call__(self, recipe: Recipe) -> Needs:
        """What a recipe needs now; more once the weights of its model are there."""
        places = self._of(recipe)
        return Needs(
            tuple(sorted(f"{place.weights.name} on {place.device}" for place in places)),
            OWN_BYTES + PER_WEIGHT_BYTE * self.weights(recipe),
            int(any(place.device != "cpu" for place in places)),
        )

    def weights(self, recipe: Recipe) -> int:
        """The bytes in fp32 of the models that a recipe and its inputs are about; 0 for those that are not there."""
        if isinstance(recipe, ModelWeights):
            return self._bytes(recipe)
        return sum(self._bytes(place.weights) for place in self._of(recipe))

    def _of(self, recipe: Recipe) -> frozenset[Placed]:
        """The models that a recipe and its inputs are about, and where each computes."""
        if recipe not in self._places:
            found = set[Placed]()
            for value in (value for field in values_of(recipe).values() for value in held_in(field)):
                if isinstance(value, Placed):
                    found.add(value)
                elif isinstance(value, Recipe):
                    found |= self._of(value)
            self._places[recipe] = frozenset(found)
        return self._places[recipe]

    def _bytes(self, weights: ModelWeights) -> int:
        """The bytes of some weights in fp32; 0 as long as their files are not there."""
        if weights not in self._weights:
            folder = folder_of(weights, self._store)
            if folder is None:
                return 0
            self._weights[weights] = fp32_bytes(folder)
        return self._weights[weights]


def folder_of(weights: ModelWeights, store: Store) -> Path | None:
    """Where the files of some weights are; None if they are not here yet."""
    match weights.kind:
        case "hf":
            from huggingface_hub import try_to_load_from_cache

            found = try_to_load_from_cache(weights.place, "config.json", revision=weights.version)
            return Path(found).parent if isinstance(found, str) else None
        case "files":
            return own_files(weights, store)
        case _:
            home = store.home(weights, store.key(weights))
            return home if home.is_dir() else None


def fp32_bytes(folder: Path) -> int:
    """The bytes that all tensors of the safetensors in a folder take in fp32, whatever format they are kept in."""
    return FP32_BYTES * sum(map(_numbers, folder.glob("*.safetensors")))


def _numbers(file: Path) -> int:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as tensors:
        names = tensors.keys()  # no mapping, though it has keys
        return sum(prod(tensors.get_slice(name).get_shape()) for name in names)


def stays_in_place(recipe: Recipe) -> bool:
    """Whether a recipe is of weights that are read where they are, so that no store ever has them."""
    return isinstance(recipe, ModelWeights) and recipe.kind in ("hf", "files")


class Node(NamedTuple):
    """A machine that builds, or a share of one."""

    cores: int
    bytes: float = float("inf")
    gpus: int = 0


Nodes = Mapping[str, Node]
"""Machines by name."""
