"""Artifacts of a model of one's own whose files are gone: nothing can build them anew."""

from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache

from ws.errors import DownloadError
from ws.models.weights import ModelWeights, own_files
from ws.store import Recipe, Store
from ws.store.recipes import values_of

OWN = frozenset({"files", "gguf"})
"""Kinds of weights that lie with their owner, and of which the store has links alone."""


class Lost:
    """Tells of a store's artifacts whether they can be built anew; each model is looked for once."""

    def __init__(self, store: Store) -> None:
        self._is_there = cache(lambda weights: _is_there(weights, store))

    def __call__(self, recipe: Recipe) -> bool:
        return not all(map(self._is_there, models_of(recipe)))


def models_of(value: object) -> Iterator[ModelWeights]:
    """The weights that a recipe or its inputs name, often several times."""
    if isinstance(value, ModelWeights):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from models_of(item)
    elif is_dataclass(value):
        yield from models_of(tuple(values_of(value).values()))


def _is_there(weights: ModelWeights, store: Store) -> bool:
    if weights.kind not in OWN:
        return True
    try:
        folder = own_files(weights, store)
    except DownloadError:
        return False
    return all((folder / name).exists() for name, _ in weights.pins)
