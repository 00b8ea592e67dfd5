"""Everything that takes long to compute is an artifact: a recipe names it, and the store builds it once.

An artifact's key covers the recipe, the keys of its inputs, the source of the code that makes it and the
versions of the libraries that it uses; so an artifact of other code is never served. Equal recipes have equal keys.
Layout of a store:

    <root>/<RecipeClass>/<key>/   the files a recipe wrote, and manifest.json
    <root>/locks/                 the locks of keys that are being built: parallel workers build an artifact once
    <root>/tmp/                   artifacts being built; a finished one is renamed into place
    <root>/damaged/               artifacts that no longer match their manifest
    <root>/code/                  the code behind keys, for `ws store why`
    <root>/sources/               hashes of code, cached between runs
    <root>/judged/                what was worked out from artifacts, looked up while these and all code stay
    <root>/runs/                  which keys a `fresh` run has rebuilt already
"""

import hashlib
import json
import os
import re
import threading
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs

from ws.code.sources import reached, source_hash
from ws.errors import StoreError
from ws.store import locks, manifests, progress, resuming, scratch, trouble
from ws.store.known import KnownSources
from ws.store.manifests import made_here, write_manifest
from ws.store.memory import give_back
from ws.store.origin import cpu_seconds, versions
from ws.store.placing import make_folder, move_into_place
from ws.store.recipes import Held, Recipe, check_recipe, held_by, values_of
from ws.store.steady import steady
from ws.store.supplies import Supply
from ws.store.texts import keep_texts

MANY = 16
"""A tuple of so many items is described once."""

Contents = tuple[frozenset[str], frozenset[type]]
"""All strings that a recipe holds, and the classes of all values that it holds."""


class StoreWarning(UserWarning):
    """An artifact was damaged; it is set aside and built again."""


@dataclass(frozen=True)
class BuiltArtifact:
    """An artifact this process built."""

    recipe: Recipe
    key: str
    seconds: float
    """Wall-clock time of this recipe alone, without inputs that were built for it."""
    cpu_seconds: float = 0.0
    """The same of the time in which this process was at work, and those that it waited for."""


class Store:
    """A folder of artifacts, each built the first time somebody asks for it."""

    def __init__(self, root: Path, *, fresh: bool = False, supplies: Sequence[Supply] = ()) -> None:
        """`fresh` builds each artifact anew once per run, and takes none from the supplies; processes that share
        WS_RUN_ID are one run."""
        self.root = Path(root).expanduser().absolute()
        self.fresh = fresh
        self.supplies = tuple(supplies)
        self.built: list[BuiltArtifact] = []
        self.asked: dict[str, Recipe] = {}
        """By key, what was asked for by others than builds: what a result was read from, without its inputs."""
        self._run = self.root / "runs" / _run_id()
        self._keys: dict[Recipe, str] = {}
        self._verified: set[str] = set()
        self._inside: dict[Recipe, Contents] = {}
        self._searched: dict[int, tuple[tuple[object, ...], Held]] = {}
        self._long: dict[int, tuple[tuple[object, ...], list[Any]]] = {}
        self._sources: dict[tuple[type, frozenset[str], frozenset[type]], str] = {}
        self._earlier = KnownSources(self.root)
        self._under_way = threading.local()
        self._is_tidy = False

    def key(self, recipe: Recipe) -> str:
        """The name of the artifact: 32 hex digits that change with anything that could change its content.

        Raises: StoreError if the recipe is not a frozen dataclass or holds a value no key can be made of.
        """
        try:
            known = self._keys.get(recipe)
        except TypeError:  # a field cannot be hashed: the check says which
            known = None
        if known is None:
            check_recipe(recipe)
            known = self._keys[recipe] = self._new_key(recipe)
        return known

    def _new_key(self, recipe: Recipe) -> str:
        described = {
            "class": type(recipe).__qualname__,
            "fields": self._fields_for_key(recipe),
            "source": self.source(recipe),
            "versions": versions(),
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]

    def has(self, recipe: Recipe) -> bool:
        """Whether `get` would return without building."""
        key = self.key(recipe)
        with self.usable():
            is_here = self._damage(self.home(recipe, key), key) is None
            return not self._is_due(key) and (is_here or any(supply.has(key) for supply in self.supplies))

    def get(self, recipe: Recipe) -> Path:
        """The folder of the finished, verified artifact, taken from a supply or built now if need be.

        Raises: StoreError if the store cannot be read or written, or the recipe wrote something it must not.
        """
        key = self.key(recipe)
        home = self.home(recipe, key)
        if not self._under_way.__dict__.get("keys"):
            self.asked[key] = recipe
        with self.usable():
            if self._is_due(key) or self._damage(home, key) is not None:
                self.tidy()
                with self.building(recipe, key):
                    self._make_sound(recipe, key, home)
        return home

    def tidy(self) -> None:
        """Clear away what killed builds left, once, and say what goes on from where; `get` does before it builds."""
        if not self._is_tidy and self.root.is_dir():
            with self.usable():
                resuming.go_on(self.root)
        self._is_tidy = True

    def needs(self, *recipes: Recipe) -> None:
        """Told what is read next, where it decides what is asked for after it or nothing can stand in for it.

        A store that builds has nothing to do. One that finds out what is missing goes no further if one of these is.
        """

    def _make_sound(self, recipe: Recipe, key: str, home: Path) -> None:
        """Take it from a supply or build it, unless another process did so while this one waited for the lock."""
        # What a machine without our locks puts there from now on is no damage.
        was_there = os.path.lexists(home)
        damage = self._damage(home, key)
        if damage is not None and was_there:
            self._set_aside(recipe, key, home, damage)
        if (damage is not None and not self._took(recipe, key, home)) or self._is_due(key):
            self._build(recipe, key, home)
        if self.fresh:
            make_folder(self._run)
            (self._run / key).touch()

    def _took(self, recipe: Recipe, key: str, home: Path) -> bool:
        """Whether a supply had the artifact, which is in its place now."""
        return not self.fresh and any(self._came_from(supply, recipe, key, home) for supply in self.supplies)

    def _came_from(self, supply: Supply, recipe: Recipe, key: str, home: Path) -> bool:
        """Whether this supply had the artifact, which is in its place now."""
        with self._scratch(key) as out:
            if (said := supply.bring(key, out)) is None:
                return False
            write_manifest(out, recipe, key, keys=self.key, source=self.source(recipe), said=said)
            # Half of one that the power takes away is known by its hashes, and brought again.
            move_into_place(out, home, stays=partial(self._stays, key), lasting=False)
        self._verified.add(key)
        return True

    def _build(self, recipe: Recipe, key: str, home: Path) -> None:
        with self._scratch(key) as out:
            earlier, started, at_work = len(self.built), time.perf_counter(), cpu_seconds()
            with self._noting() as notes, progress.under_way(recipe.describe()):
                with trouble.writing(out):
                    recipe.build(out, self)
                steady(out)
            inner = self.built[earlier:]
            seconds = time.perf_counter() - started - sum(one.seconds for one in inner)
            at_work = cpu_seconds() - at_work - sum(one.cpu_seconds for one in inner)
            source = self.source(recipe)
            keep_texts(self.root, source, lambda: self.code(recipe))
            write_manifest(out, recipe, key, keys=self.key, source=source, said=made_here(seconds, at_work, notes))
            move_into_place(out, home, stays=partial(self._stays, key))
        self._verified.add(key)
        self.built.append(BuiltArtifact(recipe, key, seconds, at_work))
        progress.built(recipe.describe(), seconds, key)

    @contextmanager
    def _scratch(self, key: str) -> Iterator[Path]:
        """An empty folder for the files of an artifact; memory that making it took is given back."""
        with scratch.folder_for(self.root, key) as out:
            try:
                yield out
            finally:
                give_back()

    def note(self, **facts: str) -> None:
        """Add facts that the key does not cover to the manifest of the artifact being built, if one is being built."""
        if building := self._under_way.__dict__.get("notes"):
            building[-1].update(facts)

    @contextmanager
    def _noting(self) -> Iterator[dict[str, str]]:
        """Collects the notes on the artifact being built, apart from those on inputs that are built for it."""
        building: list[dict[str, str]] = self._under_way.__dict__.setdefault("notes", [])
        building.append({})
        try:
            yield building[-1]
        finally:
            building.pop()

    def _set_aside(self, recipe: Recipe, key: str, home: Path, damage: str) -> None:
        aside = self.root / "damaged" / f"{type(recipe).__name__}-{key}-{time.time_ns()}"
        make_folder(aside.parent)
        os.replace(home, aside)
        warnings.warn(
            f"the artifact {home} is damaged: {damage}; it is now {aside} and is built again",
            StoreWarning,
            stacklevel=4,
        )

    def _damage(self, home: Path, key: str) -> str | None:
        """What is wrong with the artifact, None if it is whole; files are checked once a process."""
        if key in self._verified and home.is_dir():
            return None
        damage = manifests.damage(home, key)
        if damage is None:
            self._verified.add(key)
        return damage

    def _stays(self, key: str, home: Path) -> bool:
        """Whether what a machine without our locks has put there meanwhile is as good as ours."""
        return not self.fresh and manifests.damage(home, key) is None

    def _is_due(self, key: str) -> bool:
        """Whether this run must still rebuild the artifact, sound or not."""
        return self.fresh and not (self._run / key).exists()

    def home(self, recipe: Recipe, key: str) -> Path:
        """The folder of the artifact of a recipe and key, built or not."""
        return self.root / type(recipe).__name__ / key

    @contextmanager
    def building(self, recipe: Recipe, key: str) -> Iterator[None]:
        """The sole right, among threads and processes, to build a key."""
        mine: set[str] = self._under_way.__dict__.setdefault("keys", set())
        if key in mine:
            raise StoreError(f"{recipe.describe()} asks for itself while it is built; a recipe is no input of itself")
        with locks.held(self.root, key, what=recipe.describe()):
            mine.add(key)
            try:
                yield
            finally:
                mine.remove(key)

    @contextmanager
    def usable(self) -> Iterator[None]:
        """Raise errors with advice if the disk is full, read-only or broken, or the store belongs to someone else."""
        with trouble.usable(self.root):
            yield

    def source(self, recipe: Recipe) -> str:
        """The hash of all the code that makes an artifact."""
        only, owners = self._contents(recipe)
        known = (type(recipe), only, owners)
        if known not in self._sources:
            self._sources[known] = self._earlier.get(
                type(recipe),
                only,
                owners,
                lambda: source_hash(type(recipe).build, only=only, owners=owners),
            )
        return self._sources[known]

    def code(self, recipe: Recipe) -> dict[str, str]:
        """All the code that makes an artifact: the text of each definition, by name."""
        only, owners = self._contents(recipe)
        return reached(type(recipe).build, only=only, owners=owners)

    def _contents(self, recipe: Recipe) -> Contents:
        """The strings and classes in a recipe and in its inputs; each recipe is searched once."""
        if recipe not in self._inside:
            held = [self._held(field) for field in values_of(recipe).values()]
            inputs = [self._contents(one) for field in held for one in field.inputs]
            texts = frozenset[str]().union(*(field.texts for field in held), *(only for only, _ in inputs))
            classes = frozenset[type]().union(*(field.classes for field in held), *(owners for _, owners in inputs))
            self._inside[recipe] = texts, classes | {type(recipe)}
        return self._inside[recipe]

    def _held(self, field: object) -> Held:
        """Searched once for a tuple, as it is described once."""
        if not (isinstance(field, tuple) and len(field) >= MANY):
            return held_by(field)
        if id(field) not in self._searched:
            self._searched[id(field)] = field, held_by(field)
        return self._searched[id(field)][1]

    def _for_key(self, value: object) -> Any:
        """A field as JSON, with an input replaced by its key."""
        match value:
            case Recipe():
                return {"recipe": self.key(value)}
            case tuple():
                return self._items_for_key(value)
            case _ if is_dataclass(value):
                return {"class": type(value).__qualname__, "fields": self._fields_for_key(value)}
            case bool() | float() if value == int(value):
                return int(value)
            case _:
                return value

    def _items_for_key(self, items: tuple[object, ...]) -> list[Any]:
        """Made once for a tuple, such as the questions that hundreds of recipes share."""
        if len(items) < MANY:
            return [self._for_key(item) for item in items]
        if id(items) not in self._long:
            # Kept with its items, so that no other tuple gets its id.
            self._long[id(items)] = items, [self._for_key(item) for item in items]
        return self._long[id(items)][1]

    def _fields_for_key(self, record: object) -> dict[str, Any]:
        return {name: self._for_key(value) for name, value in values_of(record).items()}


def default_root() -> Path:
    """The default folder of artifacts: WS_STORE, else one in the user's cache.

    Raises: StoreError if WS_STORE is a URL, which is no folder.
    """
    chosen = os.environ.get("WS_STORE")
    if chosen and "://" in chosen:
        raise StoreError("WS_STORE is a URL; ws.remote.open_store opens the store behind it, with a folder as its copy")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("weight-steering")


def _run_id() -> str:
    name = os.environ.get("WS_RUN_ID") or uuid.uuid4().hex
    if re.fullmatch(r"\w[\w.-]*", name) is None:
        raise StoreError(f"WS_RUN_ID={name!r} cannot name a folder; use letters, digits, '-' and '_'")
    return name
