"""Packing what claims read from a store into the folder of a model's evidence."""

import hashlib
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from ws.errors import StoreError
from ws.evidence.files import MOST_BYTES_OF_ONE, write_files
from ws.evidence.folder import FILES, INDEX, MOST_BYTES, RECORDS, Evidence, PartSaid, write_index
from ws.evidence.records import MADE, SHA256, Kept, Recipes, write_records
from ws.evidence.supply import EvidenceSupply
from ws.evidence.tables import Columns, read_table, write_tables
from ws.store import Recipe, Store
from ws.store.builds import build_in
from ws.store.manifests import Manifest, read_manifest
from ws.store.progress import track
from ws.store.recipes import values_of
from ws.store.written import Json, named, written_down
from ws.upkeep.recall import RecipeGone

NONE: Mapping[str, Recipe] = MappingProxyType({})

Made = Mapping[str, Mapping[str, Any]]
"""How artifacts were made, by key."""

SEEDED = ("seed", "random_seed")
"""The fields in which recipes have seeds."""


@dataclass(frozen=True)
class Packed:
    """What was packed."""

    artifacts: int
    bytes: int
    left_out: tuple[str, ...]
    """In words, what is too large to go with the code, and is built wherever claims are judged."""


def pack(
    store: Store, asked: Mapping[str, Recipe], folder: Path, *, model: str, kept: Mapping[str, Recipe] = NONE
) -> Packed:
    """Write these artifacts of a store, by key, as all the evidence of a model.

    kept: artifacts of the evidence that stay as they are, whichever builds of them the store has.
    Raises: StoreError, with the folder as it was, if they are more than a repository of code should hold.
    """
    # What is packed is asked for, too, and a store notes that in the mapping that may have been given.
    asked = dict(asked)
    with tempfile.TemporaryDirectory() as place:
        before = _kept(store, {key: kept[key] for key in kept.keys() - asked.keys()}, folder, Path(place))
        now = {key: _manifest(store, recipe, key) for key, recipe in asked.items()}
        return _pack(store, {**kept, **asked}, {**before, **now}, folder, model=model)


def _kept(store: Store, kept: Mapping[str, Recipe], folder: Path, place: Path) -> dict[str, Manifest]:
    """Manifests of artifacts as evidence has them: in the store, or, of which it has another build, in `place`."""
    if not kept:
        return {}
    supply, found = EvidenceSupply(Evidence(folder)), {}
    as_it_was = Store(place, supplies=[supply])
    for key, recipe in kept.items():
        here = _manifest(store, recipe, key)
        is_same = build_in(here.said) == build_in({"key": key, **supply.evidence.records[key].made})
        # What is damaged in the evidence is replaced by what the store has.
        found[key] = _manifest(as_it_was, recipe, key) if not is_same and supply.has(key) else here
    return found


def _pack(
    store: Store, asked: Mapping[str, Recipe], manifests: Mapping[str, Manifest], folder: Path, *, model: str
) -> Packed:
    left_out = {key: fault for key, one in sorted(manifests.items()) if (fault := _too_large(one, asked[key]))}
    chosen = {key: one for key, one in sorted(manifests.items()) if key not in left_out}
    earlier = _made_earlier(folder)
    scratch = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        groups: dict[str, dict[str, Manifest]] = defaultdict(dict)
        for key, manifest in chosen.items():
            groups[group_of(asked[key])][key] = manifest
        parts: dict[str, PartSaid] = {}
        for group in track(sorted(groups), "packing"):
            (scratch / group).mkdir(parents=True)
            parts |= _Group(store, asked, groups[group], scratch / group, earlier).write()
        size = sum(one.bytes for one in parts.values())
        if size > MOST_BYTES:
            raise StoreError(
                f"nothing was packed: the evidence of {model} would take {size / 1e6:.1f} MB, and at most "
                f"{MOST_BYTES / 1e6:.0f} MB belong into a repository; {_largest(parts)}; record fewer seeds"
            )
        scratch.mkdir(parents=True, exist_ok=True)
        write_index(scratch / INDEX, model, parts)
        _replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Packed(len(chosen), size, tuple(left_out.values()))


def still_current(store: Store, evidence: Evidence) -> dict[str, Recipe]:
    """By key, the recipes of all artifacts of the evidence that have the same key today."""
    found = {}
    for group in evidence.groups:
        records = evidence.group(group, recipes=True)
        recipes = Recipes(records)
        for one in records:
            recipe = _recipe(recipes, one.key) if one.files else None
            if recipe is not None and store.key(recipe) == one.key:
                found[one.key] = recipe
    return found


def group_of(recipe: Recipe) -> str:
    """The name of the group that an artifact belongs to, by the seeds in its recipe and in its inputs."""
    seeds = set(_seeds(recipe))
    if not seeds:
        return "unseeded"
    return f"seed-{seeds.pop()}" if len(seeds) == 1 else "several-seeds"


class _Group:
    """The artifacts of one group, on their way into its folder."""

    def __init__(
        self, store: Store, asked: Mapping[str, Recipe], manifests: Mapping[str, Manifest], folder: Path, earlier: Made
    ) -> None:
        self._store, self._asked, self._manifests, self._folder = store, asked, manifests, folder
        self._earlier = earlier
        self._tables: dict[tuple[str, str], dict[Columns, dict[str, pa.Table]]] = defaultdict(lambda: defaultdict(dict))
        self._files: dict[tuple[str, str], bytes] = {}
        self._places: dict[str, dict[str, str]] = defaultdict(dict)

    def write(self) -> dict[str, PartSaid]:
        """Write every part; what the index is to say of each."""
        for key, manifest in self._manifests.items():
            self._read(key, manifest)
        held: Counter[str] = Counter()
        for (kind, name), forms in sorted(self._tables.items()):
            for number, columns in enumerate(sorted(forms, key=_order), start=1):
                part = f"{kind}.{Path(name).stem}{'' if number == 1 else f'-{number}'}.parquet"
                write_tables(forms[columns], columns, self._folder / part)
                self._note(part, ((key, name) for key in forms[columns]), held)
        if self._files:
            write_files(self._files, self._folder / FILES)
            self._note(FILES, self._files, held)
        write_records(self._records(), self._folder / RECORDS)
        held[RECORDS] = len(self._manifests)
        group = self._folder.name
        return {f"{group}/{part}": _said(self._folder / part, count) for part, count in sorted(held.items())}

    def _read(self, key: str, manifest: Manifest) -> None:
        for name in manifest.said["files"]:
            path = manifest.home / name
            if path.suffix == ".parquet":
                columns, table = read_table(path)
                self._tables[manifest.kind, name][columns][key] = table
            else:
                self._files[key, name] = path.read_bytes()

    def _note(self, part: str, places: Iterable[tuple[str, str]], held: Counter[str]) -> None:
        for key, name in places:
            self._places[key][name] = f"{self._folder.name}/{part}"
            held[part] += 1

    def _records(self) -> Iterator[Kept]:
        inputs: dict[str, tuple[Recipe, Json]] = {}
        for key, manifest in self._manifests.items():
            recipe = self._asked[key]
            described, behind = _written_down(self._store, recipe)
            yield Kept(key, named(recipe), recipe.describe(), _made(manifest), self._places[key], described)
            inputs |= behind
        for key in sorted(inputs.keys() - self._manifests.keys()):
            recipe, described = inputs[key]
            yield Kept(key, named(recipe), recipe.describe(), self._made_input(recipe, key), {}, described)

    def _made_input(self, recipe: Recipe, key: str) -> Mapping[str, Any]:
        there = read_manifest(self._store.home(recipe, key))
        if there is None or "taken" in there.said:
            return self._earlier.get(key, {})
        return {**_made(there), SHA256: {name: entry["sha256"] for name, entry in there.said["files"].items()}}


def _made(manifest: Manifest) -> Mapping[str, Any]:
    return {name: manifest.said[name] for name in MADE if name in manifest.said}


def _made_earlier(folder: Path) -> Made:
    """What the evidence that is there says of how inputs were made, since they may not be in the store."""
    if not (folder / INDEX).exists():
        return {}
    evidence = Evidence(folder)
    return {one.key: one.made for group in evidence.groups for one in evidence.group(group) if not one.files}


def _written_down(store: Store, recipe: Recipe) -> tuple[Json, dict[str, tuple[Recipe, Json]]]:
    """A recipe as JSON, and all its inputs by key, with theirs."""
    met: dict[str, Recipe] = {}

    def key(one: Recipe) -> str:
        met[store.key(one)] = one
        return store.key(one)

    described, inputs = written_down(recipe, key)
    return described, {key: (met[key], said) for key, said in inputs.items()}


def _manifest(store: Store, recipe: Recipe, key: str) -> Manifest:
    found = read_manifest(store.get(recipe))
    if found is None or found.key != key:
        raise StoreError(f"{recipe.describe()} was read under the key {key}, which is not what {store.root} has")
    return found


def _too_large(manifest: Manifest, recipe: Recipe) -> str:
    """Why an artifact cannot be packed; empty if it can."""
    for name, entry in manifest.said["files"].items():
        if not name.endswith(".parquet") and entry["bytes"] > MOST_BYTES_OF_ONE:
            return f"{recipe.describe()}: {name} has {entry['bytes'] / 1e6:.1f} MB"
    return ""


def _seeds(value: object) -> Iterator[int]:
    if isinstance(value, tuple):
        for item in value:
            yield from _seeds(item)
    elif is_dataclass(value):
        for name, item in values_of(value).items():
            if name in SEEDED and isinstance(item, int):
                yield item
            else:
                yield from _seeds(item)


def _recipe(recipes: Recipes, key: str) -> Recipe | None:
    try:
        return recipes.recipe(key)
    except RecipeGone:
        return None


def _order(columns: Columns) -> tuple[str, str]:
    return str(columns.schema), columns.pandas


def _said(file: Path, artifacts: int) -> PartSaid:
    content = file.read_bytes()
    return PartSaid(hashlib.sha256(content).hexdigest(), len(content), artifacts)


def _largest(parts: Mapping[str, PartSaid]) -> str:
    name = max(parts, key=lambda one: parts[one].bytes)
    return f"the largest part is {name} with {parts[name].bytes / 1e6:.1f} MB"


def _replace(new: Path, folder: Path) -> None:
    """Put a folder in the place of another, which is gone after that."""
    old = new.with_name(f"{new.name}-old")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(new, folder)
    shutil.rmtree(old, ignore_errors=True)
