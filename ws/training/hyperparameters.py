"""Which hyper-parameters each family trains with on each model.

They are chosen on validation questions and validation claims, which no claim test reads. `ws search MODEL` runs the
search and keeps its results in `ws/training/searched/<model>.json` (`<model>-honesty.json` for honesty), or in the
store for a model or a behavior of one's own. Without a search of its own, a behavior of one's own is trained with what
was chosen for sycophancy on that model, and any other with the journal's hyper-parameters; the run says so.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from ws.adapters import FAMILIES, AdapterConfig
from ws.behaviors.table import OWN_BEHAVIORS
from ws.errors import UnknownNameError
from ws.models.table import known_model
from ws.store.progress import say
from ws.training.train import TrainConfig


@dataclass(frozen=True)
class Hyperparameters:
    """Everything that decides an adapter besides its data, its sign and its seed."""

    shape: AdapterConfig
    training: TrainConfig


JOURNAL = TrainConfig(lr=2e-4, epochs=2)
"""The journal's training recipe: lr 2e-4, 5 warm-up steps, weight decay 0.01, layers 30-80%; stopped after epoch 2,
where the journal's validation loss was lowest."""

JOURNALS = f"the journal's (lr {JOURNAL.lr:g}, {JOURNAL.epochs} epochs)"
SYCOPHANCYS = "those chosen for sycophancy on this model"
"""Whose recipes are used where no search was run, in words."""

JOURNAL_LORAS = {"lora-paper": (2e-4, 2.0), "lora-mistaken": (1e-5, 0.5)}
"""Learning rate and alpha / rank of the two LoRAs that claim C01 compares; all else is LoRA's recipe on the model."""


RANKS = {"quarter": 0.25, "fourfold": 4.0}
"""Other ranks that a family can be trained at, as multiples of its own; lora-quarter-rank names such a LoRA."""

AT_RANK = re.compile(rf"(?P<family>\w+)-(?P<multiple>{'|'.join(RANKS)})-rank")


def hyperparameters_of(model: str, family: str, behavior_name: str = "sycophancy") -> Hyperparameters:
    """The hyper-parameters of a family, of one of C01's two LoRAs, or of a family at another rank of RANKS.

    At another rank all else stays as it was chosen for the family's own, alpha / rank included.
    Raises: UnknownNameError for a family that does not exist.
    """
    if family in JOURNAL_LORAS:
        return _journal_lora(hyperparameters_of(model, "lora", behavior_name), *JOURNAL_LORAS[family])
    if at_rank := AT_RANK.fullmatch(family):
        own = hyperparameters_of(model, at_rank["family"], behavior_name)
        return _with_rank(own, max(1, int(RANKS[at_rank["multiple"]] * own.shape.rank)))
    if family not in FAMILIES:
        raise UnknownNameError("adapter family", family, [*FAMILIES, *JOURNAL_LORAS, "lora-quarter-rank"])
    if (short := known_model(model).scale.training) is not None:
        shape = AdapterConfig(family, rank=short.rank, alpha=short.alpha, bound=short.bound, block=short.block)
        return Hyperparameters(shape, TrainConfig(lr=short.lr, epochs=short.epochs))
    found = searched(model, behavior_name).get(family)
    if found is None and behavior_name in OWN_BEHAVIORS:
        # For both behaviors of ours a search of the embedded model chose the same recipe of every family.
        found = searched(model).get(family)
        _say_unsearched(model, behavior_name, JOURNALS if found is None else SYCOPHANCYS)
    elif found is None:
        _say_unsearched(model, behavior_name, JOURNALS)
    return found or Hyperparameters(AdapterConfig(family), JOURNAL)


@cache
def _say_unsearched(model: str, behavior_name: str, instead: str) -> None:
    own = OWN_BEHAVIORS.get(behavior_name)
    typed = behavior_name if own is None else own.typed
    behavior = "" if behavior_name == "sycophancy" else f" --behavior {shlex.quote(typed)}"
    say(
        f"{model}: recipes for {behavior_name} that no search chose are {instead}; "
        f"`ws search {known_model(model).typed}{behavior}` chooses"
    )


def searched(model: str, behavior_name: str = "sycophancy") -> dict[str, Hyperparameters]:
    """What the search chose for a behavior on this model, by family; empty if no search was run."""
    file = search_path(model, behavior_name)
    return dict(_chosen(file, file.stat().st_mtime_ns)) if file.is_file() else {}


def search_path(model: str, behavior_name: str) -> Path:
    """The file of a search's results: inside this package for a model of the table and a behavior of ours, else in the
    home of what is one's own."""
    if own := OWN_BEHAVIORS.get(behavior_name):
        return own.home / "searched" / f"{model}.json"
    home = known_model(model).home
    return (home or Path(str(resources.files("ws.training")))) / "searched" / search_file(model, behavior_name)


@lru_cache(maxsize=8)
def _chosen(file: Path, changed: int) -> Mapping[str, Hyperparameters]:
    """The content of a search's file, read again only when it changes: a run of all claims asks thousands of times."""
    return {name: hyperparameters_from(chosen) for name, chosen in json.loads(file.read_text())["chosen"].items()}


def search_file(model: str, behavior_name: str) -> str:
    """The name of the file with the results of a search for this behavior on this model."""
    return f"{model}.json" if behavior_name == "sycophancy" else f"{model}-{behavior_name}.json"


def hyperparameters_from(record: dict[str, dict[str, Any]]) -> Hyperparameters:
    """Hyper-parameters from their JSON form, as `hyperparameters_record` makes it."""
    training = dict(record["training"])
    training["layers"] = tuple(training["layers"])
    return Hyperparameters(AdapterConfig(**record["shape"]), TrainConfig(**training))


def hyperparameters_record(chosen: Hyperparameters) -> dict[str, object]:
    """Their JSON form."""
    return asdict(chosen)


def _journal_lora(lora: Hyperparameters, lr: float, alpha_over_rank: float) -> Hyperparameters:
    shape = replace(lora.shape, alpha=alpha_over_rank * lora.shape.rank)
    return Hyperparameters(shape, replace(lora.training, lr=lr))


def _with_rank(own: Hyperparameters, rank: int) -> Hyperparameters:
    return replace(own, shape=replace(own.shape, rank=rank, alpha=own.shape.alpha / own.shape.rank * rank))
