"""How long an artifact will take: learned from what a store has built of its kind.

A manifest has the recipe of its artifact and the seconds that it took. Of the latest artifacts of a class, those whose
recipes have most in common with the one to come tell its time: the model, the family, the device, the numbers of
questions and of coefficients, and the processor. Times are scaled by how many questions at how many coefficients there
are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from ws.store import Recipe, Store
from ws.store.manifests import Manifest, read_manifest
from ws.store.origin import machine
from ws.store.written import written_down

LATEST = 150
"""How many artifacts of a class are read, the latest ones."""

NEAREST = 5
"""How many of them tell the time of another."""

LONG_TEXT = 40
"""Texts of more characters, such as prompts, tell nothing of the time; names do."""

MANY = 8
"""A tuple of more values counts by its length."""

MACHINE = "machine"
"""The facet that says which processor an artifact was built by."""

Facets = Mapping[str, Any]


class Known(NamedTuple):
    """What an artifact that was built tells of others."""

    facets: Facets
    seconds: float
    size: int


@dataclass(frozen=True)
class Costs:
    """The times that a store has seen."""

    store: Store
    _known: dict[str, list[Known]] = field(default_factory=dict)

    def seconds(self, recipe: Recipe) -> float | None:
        """How long a recipe will take to build without its inputs; None if nothing of its class was built here."""
        known = self._of_class(type(recipe).__name__)
        if not known:
            return None
        described, inputs = written_down(recipe, self.store.key)
        facets, size = {**_facets(described, inputs), MACHINE: machine()["processor"]}, _size(described)
        nearest = sorted(known, key=lambda one: _in_common(one.facets, facets), reverse=True)[:NEAREST]
        return median(one.seconds * size / one.size for one in nearest)

    def _of_class(self, name: str) -> list[Known]:
        if name not in self._known:
            self._known[name] = list(_built(self.store.root / name))
        return self._known[name]


def _built(folder: Path) -> Iterator[Known]:
    homes = sorted(folder.glob("*"), key=_changed, reverse=True) if folder.is_dir() else []
    for home in homes[:LATEST]:
        manifest = read_manifest(home)
        # What was taken from evidence was built elsewhere, and what is of an older version does not say how.
        if manifest is not None and "taken" not in manifest.said and "recipe" in manifest.said:
            described = manifest.said["recipe"]
            facets = {**_facets(described, manifest.said["inputs"]), MACHINE: _processor(manifest)}
            yield Known(facets, manifest.seconds, _size(described))


def _processor(manifest: Manifest) -> str | None:
    origin = manifest.said.get("origin")
    return origin.get("machine", {}).get("processor") if isinstance(origin, dict) else None


def _changed(home: Path) -> float:
    try:
        return home.stat().st_mtime
    except OSError:
        return 0.0


def _facets(described: Any, inputs: Mapping[str, Any]) -> Facets:
    """What a recipe says, by where it stands in it; seeds left out, long tuples as their lengths."""
    found: dict[str, Any] = {}

    def walk(value: Any, place: str) -> None:
        match value:
            case {"input": key}:
                walk(inputs.get(key), place)
            case {"class": name, "fields": fields}:
                found[place] = name
                for label, one in fields.items():
                    if "seed" not in label:
                        walk(one, f"{place}.{label}")
            case {"class": name, "items": items}:
                walk(items, f"{place}.{name}")
            case list() if len(value) > MANY:
                found[place] = len(value)
            case list():
                found[place] = len(value)
                for number, one in enumerate(value):
                    walk(one, f"{place}[{number}]")
            case str() if len(value) > LONG_TEXT:
                return
            case _:
                found[place] = value

    walk(described, "")
    return found


def _in_common(one: Facets, other: Facets) -> int:
    return sum(one[place] == value for place, value in other.items() if place in one)


def _size(described: Any) -> int:
    """How many questions at how many coefficients a recipe has, or whatever else it has several of."""
    return prod(len(value) for value in described["fields"].values() if isinstance(value, list) and value)
