"""What steers and lies in a file: one adapter, whose change is added to the model, or a control vector."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ws.delta.folders.delta import folder_delta
from ws.delta.folders.given import check_adds_numbers, check_given
from ws.delta.weight_delta import WeightDelta
from ws.errors import DataError, ShapeError
from ws.exports.control_vector import read_file
from ws.files.gguf_header import placed
from ws.models.language import LanguageModel
from ws.steering.interventions import Intervention, Ready, WeightIntervention, shifted
from ws.store import Store


@dataclass(frozen=True)
class AdapterFolder(WeightIntervention):
    """What the adapter or model in a folder adds to the weights: of an export by `ws export dw`, dW itself."""

    folder: Path

    def __post_init__(self) -> None:
        check_given(self.folder)

    def delta(self, lm: LanguageModel, store: Store) -> WeightDelta:
        found = folder_delta(self.folder, lm)
        check_adds_numbers(found, self.folder)
        return found

    def describe(self) -> str:
        return f"adapter {self.folder.name}"


@dataclass(frozen=True)
class VectorFile(Intervention):
    """The vectors of a GGUF file, each added to what its block leaves."""

    file: Path

    def __post_init__(self) -> None:
        if not self.file.is_file():
            raise DataError(f"{self.file} is no file; name a control vector, as ws export dw writes them")
        placed(self.file, refuse=DataError)

    def ready(self, lm: LanguageModel, store: Store) -> Ready:
        vectors = read_file(self.file, d_model=lm.d_model)
        if not vectors or not 0 <= min(vectors) <= max(vectors) < lm.n_layers:
            seen = f"vectors behind the blocks {min(vectors)} to {max(vectors)}" if vectors else "no vector"
            raise ShapeError(
                f"{self.file} has {seen}; {lm.name} has the blocks 0 to {lm.n_layers - 1}: use it with the model that "
                "it was made for"
            )
        if odd := [block for block, step in vectors.items() if not step.isfinite().all()]:
            raise DataError(f"{self.file} holds values behind block {odd[0]} that are no finite numbers; make it anew")
        return Ready(min(vectors), partial(shifted, lm, vectors))

    def describe(self) -> str:
        return f"vectors of {self.file.name}"
