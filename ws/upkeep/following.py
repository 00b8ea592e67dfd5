"""Artifacts that only follow their inputs: their own code is as it was, and all that they are made of is carried.

An input need not be stored to come along. A store that took its tables from evidence has rows of adapters that it does
not have; if it has others of their kind, an audit builds one of those anew, and an absent one is as good as a stored
one that was not drawn. That it was made by the code of the stored ones shows in its key: made again from its fields
and that code, the key is the one that the manifest of the rows names.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from ws.store import Recipe, Store
from ws.store.manifests import Manifest
from ws.store.origin import versions
from ws.store.recipes import held_in, values_of
from ws.store.written import written_down
from ws.upkeep.recall import Recalling
from ws.upkeep.strata import Stratum, stratum

Keys = Mapping[Recipe, str]
"""The keys that inputs had when an artifact was made of them."""


class Following:
    """Which of the artifacts that are to be carried only follow their inputs."""

    def __init__(self, moving: Iterable[tuple[Manifest, Recipe]], store: Store) -> None:
        """moving: the manifests of all artifacts that are to be carried, and their recipes."""
        self._store = store
        self._today: set[str] = set()
        self._before: set[str] = set()
        self._sources: dict[Stratum, set[str]] = defaultdict(set)
        self._comes: dict[str, bool] = {}
        """By the key that it had, whether an input comes along."""
        for manifest, recipe in moving:
            self._today.add(store.key(recipe))
            self._before.add(manifest.key)
            self._sources[stratum(recipe)].add(manifest.said["source"])

    def follows(self, manifest: Manifest, recipe: Recipe) -> bool:
        """Whether building an artifact anew would show nothing that an audit of its inputs does not show."""
        if not is_as_it_was(manifest.said, recipe, self._store):
            return False
        keys = keys_before(manifest.said)
        return all(self._comes_along(one, keys) for one in inputs_of(recipe))

    def is_stored(self, recipe: Recipe) -> bool:
        """Whether an input is there under its key of today, or will be once all is carried."""
        return self._store.key(recipe) in self._today or self._store.has(recipe)

    def _comes_along(self, recipe: Recipe, keys: Keys) -> bool:
        before = keys[recipe]
        if before not in self._comes:
            self._comes[before] = (
                before in self._before or before == self._store.key(recipe) or self._is_like_a_stored_one(recipe, keys)
            )
        return self._comes[before]

    def _is_like_a_stored_one(self, recipe: Recipe, keys: Keys) -> bool:
        made_alike = any(_Then(self._store, keys, source).made(recipe) for source in self._sources[stratum(recipe)])
        return made_alike and all(self._comes_along(one, keys) for one in inputs_of(recipe))


class _Then(Store):
    """A store as it was when keys were these, and the code of one artifact had this hash."""

    def __init__(self, store: Store, keys: Keys, source: str) -> None:
        super().__init__(store.root)
        self._then, self._source = keys, source

    def key(self, recipe: Recipe) -> str:
        return self._then[recipe]

    def source(self, recipe: Recipe) -> str:
        return self._source

    def made(self, recipe: Recipe) -> bool:
        """Whether that code gives a recipe the key that it had."""
        return self._new_key(recipe) == self._then[recipe]


def inputs_of(recipe: Recipe) -> list[Recipe]:
    """The recipes that a recipe holds, without those that they hold in turn."""
    held = (value for field in values_of(recipe).values() for value in held_in(field))
    return [value for value in held if isinstance(value, Recipe)]


def keys_before(said: Mapping[str, Any]) -> dict[Recipe, str]:
    """The keys of all inputs, and of their inputs, as a manifest names them."""
    recalling = Recalling(said["inputs"])
    return {recalling.value({"input": key}): key for key in said["inputs"]}


def is_as_it_was(said: Mapping[str, Any], recipe: Recipe, store: Store) -> bool:
    """Whether a recipe's own code, fields and libraries are those of a manifest, whatever the keys of its inputs."""
    described, _ = written_down(recipe, store.key)
    today = (store.source(recipe), versions(), _bare(described))
    return today == (said["source"], said["versions"], _bare(said["recipe"]))


def _bare(described: object) -> object:
    """A recipe of a manifest without the keys of its inputs and the modules of its classes."""
    match described:
        case {"input": _}:
            return None
        case {"class": str(name), **rest}:
            return name.rpartition(".")[-1], {key: _bare(value) for key, value in rest.items()}
        case dict():
            return {key: _bare(value) for key, value in described.items()}
        case list():
            return [_bare(value) for value in described]
        case _:
            return described
