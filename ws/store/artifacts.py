"""Anything dear to make is an artifact: a recipe names it, the store builds it once and serves no stale one.

An artifact's key covers the recipe, the keys of its inputs, the source of the code that makes it and the
versions of the libraries underneath. Equal recipes have equal keys. Layout of a store:

    <root>/<RecipeClass>/<key>/   the files a recipe wrote, and manifest.json
    <root>/locks/                 one lock a key: parallel workers build an artifact once
    <root>/tmp/                   artifacts being built; a finished one is renamed into place
    <root>/damaged/               artifacts that no longer match their manifest
    <root>/runs/                  which keys a `fresh` run has rebuilt already
"""

import errno
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import re
import shutil
import textwrap
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from ws.errors import StoreError
from ws.store import progress
from ws.store.memory import give_back
from ws.store.sources import source_hash

LIBRARIES = ("torch", "transformers", "peft")
MANIFEST = "manifest.json"
SECONDS_OF_SILENT_WAITING = 5.0

Contents = tuple[frozenset[str], frozenset[type]]
"""The texts that a recipe holds, and the classes of what it holds."""

_UNUSABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT})


class StoreWarning(UserWarning):
    """An artifact was damaged, so it is set aside and built again."""


@dataclass(frozen=True)
class Recipe:
    """How to make one artifact: a frozen dataclass whose fields are all there is to know.

    Fields are str, int, float, bool, None, recipes (the inputs), frozen dataclasses, and tuples of these.
    """

    def build(self, out: Path, store: "Store") -> None:
        """Write the artifact's files into the empty folder `out`; inputs are at `store.get(self.input)`."""
        raise NotImplementedError(f"{type(self).__name__} has no build(out, store)")

    def describe(self) -> str:
        """One short human phrase for progress lines."""
        named = _values(self).items()
        words = (type(self).__name__, *(_phrase(name, value) for name, value in named))
        return textwrap.shorten(" ".join(filter(None, words)), width=72, placeholder=" ...")


@dataclass(frozen=True)
class BuiltArtifact:
    """An artifact this process built."""

    recipe: Recipe
    key: str
    seconds: float
    """Wall clock of this recipe alone, without the inputs built on the way."""


class Store:
    """A folder of artifacts, each built the first time somebody asks for it."""

    def __init__(self, root: Path, *, fresh: bool = False) -> None:
        """`fresh` builds each artifact anew once per run; processes that share WS_RUN_ID are one run."""
        self.root = Path(root).expanduser().absolute()
        self.fresh = fresh
        self.built: list[BuiltArtifact] = []
        self._run = self.root / "runs" / _run_id()
        self._keys: dict[Recipe, str] = {}
        self._verified: set[str] = set()
        self._inside: dict[Recipe, Contents] = {}
        self._sources: dict[tuple[type, frozenset[str], frozenset[type]], str] = {}
        self._under_way = threading.local()

    def key(self, recipe: Recipe) -> str:
        """The name of the artifact: 32 hex digits that change with anything that could change its content.

        Raises: StoreError if the recipe is not a frozen dataclass or holds a value no key can be made of.
        """
        try:
            known = self._keys.get(recipe)
        except TypeError:  # a field cannot be hashed: the check says which
            known = None
        if known is None:
            _check_recipe(recipe)
            known = self._keys[recipe] = self._new_key(recipe)
        return known

    def _new_key(self, recipe: Recipe) -> str:
        described = {
            "class": _class_name(recipe),
            "fields": self._fields_for_key(recipe),
            "source": self._source(recipe),
            "versions": versions(),
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]

    def has(self, recipe: Recipe) -> bool:
        """Whether `get` would return without building."""
        key = self.key(recipe)
        with self.usable():
            return not self._is_due(key) and self._damage(self._home(recipe, key), key) is None

    def get(self, recipe: Recipe) -> Path:
        """The folder of the finished, verified artifact, built now if need be.

        Raises: StoreError if the store cannot be read or written, or the recipe wrote something it must not.
        """
        key = self.key(recipe)
        home = self._home(recipe, key)
        with self.usable():
            if self._is_due(key) or self._damage(home, key) is not None:
                with self._building(recipe, key):
                    self._make_sound(recipe, key, home)
        return home

    def _make_sound(self, recipe: Recipe, key: str, home: Path) -> None:
        """Build unless another process did so while this one waited for the lock."""
        damage = self._damage(home, key)
        if damage is not None and os.path.lexists(home):
            self._set_aside(recipe, key, home, damage)
        if damage is not None or self._is_due(key):
            self._build(recipe, key, home)
        if self.fresh:
            self._run.mkdir(parents=True, exist_ok=True)
            (self._run / key).touch()

    def _build(self, recipe: Recipe, key: str, home: Path) -> None:
        out = self.root / "tmp" / f"{key}-{os.getpid()}"
        for orphan in out.parent.glob(f"{key}-*"):
            shutil.rmtree(orphan)
        out.mkdir(parents=True)
        try:
            earlier, started = len(self.built), time.perf_counter()
            with self._noting() as notes:
                recipe.build(out, self)
            seconds = time.perf_counter() - started - sum(inner.seconds for inner in self.built[earlier:])
            _write_manifest(out, recipe, key, seconds, notes)
            _move_into_place(out, home)
        finally:
            shutil.rmtree(out, ignore_errors=True)
            give_back()
        self._verified.add(key)
        self.built.append(BuiltArtifact(recipe, key, seconds))
        progress.say(f"built {recipe.describe()}  {seconds:.1f} s  {key[:6]}")

    def note(self, **facts: str) -> None:
        """Have the manifest of the artifact being built say how it was made, where its key does not; else nothing."""
        if building := self._under_way.__dict__.get("notes"):
            building[-1].update(facts)

    @contextmanager
    def _noting(self) -> Iterator[dict[str, str]]:
        """What is noted of the artifact being built, but not of the inputs built on the way."""
        building: list[dict[str, str]] = self._under_way.__dict__.setdefault("notes", [])
        building.append({})
        try:
            yield building[-1]
        finally:
            building.pop()

    def _set_aside(self, recipe: Recipe, key: str, home: Path, damage: str) -> None:
        aside = self.root / "damaged" / f"{type(recipe).__name__}-{key}-{time.time_ns()}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        os.replace(home, aside)
        warnings.warn(
            f"the artifact {home} is damaged: {damage}; it is now {aside} and is built again",
            StoreWarning,
            stacklevel=4,
        )

    def _damage(self, home: Path, key: str) -> str | None:
        """What is wrong with the artifact, None if it is whole; files are read once a process."""
        if key in self._verified and home.is_dir():
            return None
        damage = _damage(home, key)
        if damage is None:
            self._verified.add(key)
        return damage

    def _is_due(self, key: str) -> bool:
        """Whether this run must still rebuild the artifact, sound or not."""
        return self.fresh and not (self._run / key).exists()

    def _home(self, recipe: Recipe, key: str) -> Path:
        return self.root / type(recipe).__name__ / key

    @contextmanager
    def _building(self, recipe: Recipe, key: str) -> Iterator[None]:
        """The sole right, among threads and processes, to build a key."""
        mine: set[str] = self._under_way.__dict__.setdefault("keys", set())
        if key in mine:
            raise StoreError(f"{recipe.describe()} asks for itself while it is built; a recipe is no input of itself")
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{key}.lock")
        try:
            lock.acquire(timeout=SECONDS_OF_SILENT_WAITING)
        except Timeout:
            progress.say(f"waiting for another process to build {recipe.describe()}")
            lock.acquire()
        mine.add(key)
        try:
            yield
        finally:
            mine.remove(key)
            lock.release()

    @contextmanager
    def usable(self) -> Iterator[None]:
        """Say what to do where the disk under the store is read-only, full or someone else's."""
        try:
            yield
        except OSError as error:
            path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else self.root
            if error.errno not in _UNUSABLE or not path.is_relative_to(self.root):
                raise
            raise StoreError(
                f"cannot use the store: {os.strerror(error.errno)}: {path}; "
                "choose a folder with room that you may write to, with --store PATH or WS_STORE=PATH"
            ) from error

    def _source(self, recipe: Recipe) -> str:
        only, owners = self._contents(recipe)
        known = (type(recipe), only, owners)
        if known not in self._sources:
            self._sources[known] = source_hash(type(recipe).build, only=only, owners=owners)
        return self._sources[known]

    def _contents(self, recipe: Recipe) -> Contents:
        """The texts and classes of a recipe and of its inputs, each recipe looked through once."""
        if recipe not in self._inside:
            held = [value for field in _values(recipe).values() for value in _held(field)]
            inputs = [self._contents(value) for value in held if isinstance(value, Recipe)]
            only = {value for value in held if isinstance(value, str)}
            owners = {type(value) for value in (recipe, *held) if is_dataclass(value)}
            self._inside[recipe] = (
                frozenset(only.union(*(texts for texts, _ in inputs))),
                frozenset(owners.union(*(classes for _, classes in inputs))),
            )
        return self._inside[recipe]

    def _for_key(self, value: object) -> Any:
        """A field as JSON in which an input is just its key."""
        match value:
            case Recipe():
                return {"recipe": self.key(value)}
            case tuple():
                return [self._for_key(item) for item in value]
            case _ if is_dataclass(value):
                return {"class": _class_name(value), "fields": self._fields_for_key(value)}
            case bool() | float() if value == int(value):
                return int(value)
            case _:
                return value

    def _fields_for_key(self, record: object) -> dict[str, Any]:
        return {name: self._for_key(value) for name, value in _values(record).items()}


def default_root() -> Path:
    """Where artifacts live unless told otherwise: WS_STORE, else the user's cache folder."""
    chosen = os.environ.get("WS_STORE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("weight-steering")


@cache
def versions() -> dict[str, str]:
    """Major and minor version of each library an artifact's numbers rest on, read without importing any."""
    return {name: ".".join(importlib.metadata.version(name).split(".")[:2]) for name in LIBRARIES}


def readable(value: object) -> Any:
    """A recipe, or a value that one holds, as nested JSON for people to read."""
    match value:
        case tuple():
            return [readable(item) for item in value]
        case _ if is_dataclass(value):
            return {"class": type(value).__name__} | {name: readable(item) for name, item in _values(value).items()}
        case _:
            return value


def _check_recipe(recipe: Recipe) -> None:
    if not isinstance(recipe, Recipe):
        raise StoreError(f"{type(recipe).__name__} is not a recipe; subclass ws.store.Recipe")
    _check_fields(type(recipe).__name__, recipe)


def _check_fields(name: str, record: object) -> None:
    """Refuse a class that is no frozen dataclass itself, whose own fields would be lost, and what its fields hold."""
    params = vars(type(record)).get("__dataclass_params__")
    if params is None or not params.frozen:
        raise StoreError(
            f"{name} is a {type(record).__name__}; recipes and what they hold are str, int, float, bool, "
            "None, tuples, or classes with @dataclass(frozen=True) of their own"
        )
    for field in fields(record):
        if not field.compare:
            raise StoreError(f"{name}.{field.name} has compare=False; all fields of a recipe are content")
        _check(f"{name}.{field.name}", getattr(record, field.name))


def _check(name: str, value: object) -> None:
    """Refuse what no key can be made of; an input is checked when its own key is made."""
    match value:
        case float() if not math.isfinite(value):
            raise StoreError(f"{name} is {value}; a recipe needs finite numbers")
        case None | str() | int() | float() | Recipe():
            return
        case tuple():
            for item in value:
                _check(name, item)
        case _:
            _check_fields(name, value)


def _values(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _held(value: object) -> Iterator[object]:
    """A value and everything inside it, but not what is inside an input."""
    yield value
    if isinstance(value, Recipe):
        return
    if isinstance(value, tuple) or is_dataclass(value):
        for item in value if isinstance(value, tuple) else _values(value).values():
            yield from _held(item)


def _phrase(name: str, value: object) -> str:
    match value:
        case None | False | ():
            return ""
        case True:
            return name
        case str():
            return value
        case Recipe():
            return f"of {value.describe()}"
        case tuple():
            return " ".join(_phrase(name, item) for item in value)
        case _ if is_dataclass(value):
            return " ".join(_phrase(field, item) for field, item in _values(value).items())
        case _:
            return f"{name} {value}"


def _class_name(record: object) -> str:
    return f"{type(record).__module__}.{type(record).__qualname__}"


def _run_id() -> str:
    name = os.environ.get("WS_RUN_ID") or uuid.uuid4().hex
    if re.fullmatch(r"\w[\w.-]*", name) is None:
        raise StoreError(f"WS_RUN_ID={name!r} cannot name a folder; use letters, digits, '-' and '_'")
    return name


def _write_manifest(out: Path, recipe: Recipe, key: str, seconds: float, notes: dict[str, str]) -> None:
    manifest = {
        "class": _class_name(recipe),
        "fields": {name: readable(value) for name, value in _values(recipe).items()},
        "key": key,
        "versions": versions(),
        "files": _written(out, recipe),
        "seconds": round(seconds, 3),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": f"Python {platform.python_version()} on {platform.platform()}",
        "notes": notes,
    }
    (out / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _written(out: Path, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Hash and size of each file a recipe wrote, by name inside the artifact."""
    paths = sorted(path for path in out.rglob("*") if path.is_symlink() or not path.is_dir())
    odd = [path.name for path in paths if path.is_symlink() or not path.is_file() or path == out / MANIFEST]
    if odd or not paths:
        raise StoreError(
            f"{recipe.describe()} wrote {odd or 'no files'}; build() must write plain files "
            f"into `out`, no links, and leave {MANIFEST} to the store"
        )
    names = [path.relative_to(out).as_posix() for path in paths]
    return {name: {"sha256": _sha256(out / name), "bytes": (out / name).stat().st_size} for name in names}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move_into_place(new: Path, home: Path) -> None:
    """Rename a finished artifact to its home; what lived there goes only once the new one is in place."""
    home.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(home):
        os.replace(new, home)
        return
    old = new.with_name(f"{new.name}-old")
    os.replace(home, old)
    try:
        os.replace(new, home)
    except BaseException:
        os.replace(old, home)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _damage(home: Path, key: str) -> str | None:
    """The first thing that does not match the manifest, None if all does."""
    if home.is_symlink() or not home.is_dir():
        return "it is not a folder"
    try:
        manifest = json.loads(_inside(home, MANIFEST).read_text(encoding="utf-8"))
        if manifest["key"] != key:
            return f"its manifest is of {manifest['key']}"
        listed = {name: (_inside(home, name), entry["sha256"]) for name, entry in manifest["files"].items()}
    except (FileNotFoundError, IsADirectoryError):
        return f"{MANIFEST} is missing"
    except _Untrusted as error:
        return str(error)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return f"its manifest cannot be read ({error!r})"
    if not listed:
        return "its manifest lists no files"
    for name, (path, sha256) in listed.items():
        if not path.is_file():
            return f"{name} is missing"
        if _sha256(path) != sha256:
            return f"{name} does not have the sha256 of the manifest"
    return None


class _Untrusted(Exception):
    """A file name that would lead out of its artifact."""


def _inside(home: Path, name: str) -> Path:
    """The path of an artifact's file, refusing names that lead elsewhere."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or not pure.parts:
        raise _Untrusted(f"the file name {name!r} leads out of it")
    path = home
    for part in pure.parts:
        path = path / part
        if path.is_symlink():
            raise _Untrusted(f"{name} is a symbolic link")
    return path
