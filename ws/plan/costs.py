"""How long an artifact will take: learned from what a store has built of its kind.

A manifest has the recipe of its artifact and the time that it took. Of the latest artifacts of a class that compute
with the same model on the same device, those whose recipes have most in common with the one to come tell its time: the
family, the intervention, the numbers of questions and of coefficients, and the processor. Times are scaled by how many
questions at how many coefficients there are. If there is none of that model, those of the model nearest to it in
size tell the time, scaled by the bytes of the weights.

What computes on the CPU is expected to take as many seconds as a process was at work on those, whatever else the
machine did meanwhile; manifests that do not say that, and what computes elsewhere, tell by the clock.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from ws.models.table import MODELS
from ws.plan.needs import Appetite
from ws.store import Recipe, Store
from ws.store.manifests import MANIFEST, Manifest, read_manifest
from ws.store.origin import machine
from ws.store.written import written_down

LATEST = 300
"""How many artifacts of a class and a model are looked into, the latest ones."""

NEAREST = 9
"""How many of them tell the time of another."""

MOST_TIMES = 4.0
"""An artifact counts for no more than so many times the median of those that are as near; it was disturbed."""

MOST_LARGER = 30.0
"""How many times as many bytes a model may have as another whose times are scaled for it. What takes time in a model of
a megabyte is not what takes it in one of a gigabyte."""

LONG_TEXT = 40
"""Texts of more characters, such as prompts, tell nothing of the time; names do."""

MANY = 8
"""A tuple of more values counts by its length."""

MACHINE = "machine"
"""The facet that says which processor an artifact was built by."""

CPU = frozenset({"cpu"})

Facets = frozenset[tuple[str, Any]]
"""What a recipe says, by where it stands in it."""


class About(NamedTuple):
    """What a recipe computes with."""

    models: frozenset[str]
    """The names of the weights in it and in its inputs."""
    devices: frozenset[str]


class Known(NamedTuple):
    """What an artifact that was built tells of others."""

    facets: Facets
    seconds: float
    size: int
    at_work: bool
    """Whether the seconds are those in which the process was at work, rather than those of a clock."""


class Expected(NamedTuple):
    """How long an artifact will take."""

    seconds: float
    like: str | None = None
    """The model whose times were scaled by its size, where none of the artifact's own model is known."""


@dataclass(frozen=True)
class Costs:
    """The times that a store has seen."""

    store: Store
    _known: dict[tuple[str, About], Sequence[Known]] = field(default_factory=dict)

    def seconds(self, recipe: Recipe) -> float | None:
        """How long a recipe will take to build without its inputs; None if nothing here tells."""
        found = self.expected(recipe)
        return None if found is None else found.seconds

    def expected(self, recipe: Recipe) -> Expected | None:
        """How long a recipe will take to build without its inputs, and by what model; None if nothing here tells."""
        described, inputs = written_down(recipe, self.store.key)
        kind, about, size = type(recipe).__name__, _about(described, inputs), _size(described)
        facets = _facets(described, inputs) | {(MACHINE, machine()["processor"])}
        if known := self._of(kind, about):
            return Expected(_told(known, facets, size))
        for model, times in self._alike(recipe, about):
            if known := self._of(kind, about._replace(models=frozenset({model}))):
                return Expected(times * _told(known, facets, size), model)
        return None

    def _of(self, kind: str, about: About) -> Sequence[Known]:
        if (kind, about) not in self._known:
            self._known[kind, about] = tuple(_built(self.store.root / kind, about))
        return self._known[kind, about]

    def _alike(self, recipe: Recipe, about: About) -> Sequence[tuple[str, float]]:
        """Other models, nearest in size first, and how many times their size a recipe's only model has."""
        bytes_of = Appetite(self.store)
        mine = bytes_of.weights(recipe)
        if len(about.models) != 1 or not mine:
            return []
        theirs = {known.weights.name: bytes_of.weights(known.weights) for known in MODELS.values()}
        times = {name: mine / one for name, one in theirs.items() if one and name not in about.models}
        near = [item for item in times.items() if 1 / MOST_LARGER <= item[1] <= MOST_LARGER]
        return sorted(near, key=lambda item: abs(math.log(item[1])))


def _told(known: Sequence[Known], facets: Facets, size: int) -> float:
    """The mean of those nearest, the latest ones of those equally near."""
    near = sorted(known, key=lambda one: (len(one.facets & facets), one.at_work), reverse=True)[:NEAREST]
    # A mean, since a plan adds times up: of a few long and many short artifacts, the median knows the short ones only.
    times = [one.seconds * size / one.size for one in near]
    most = MOST_TIMES * median(times)
    return sum(min(one, most) for one in times) / len(times)


def _built(folder: Path, about: About) -> Iterator[Known]:
    """The latest artifacts of a class that are about the same."""
    homes = sorted(folder.glob("*"), key=_changed, reverse=True) if folder.is_dir() else []
    found = (one for home in homes if _names(home, about.models) and (one := _known(home, about)) is not None)
    for _, one in zip(range(LATEST), found, strict=False):
        yield one


def _names(home: Path, models: frozenset[str]) -> bool:
    """Whether a manifest has these names, which shows a hundred times sooner than what else it says."""
    try:
        text = (home / MANIFEST).read_bytes()
    except OSError:
        return False
    return all(json.dumps(name).encode() in text for name in models)


def _known(home: Path, about: About) -> Known | None:
    """What an artifact tells; None if it is about something else or was built elsewhere."""
    manifest = read_manifest(home)
    # What was taken from evidence was built elsewhere, and what is of an older version does not say how.
    if manifest is None or "taken" in manifest.said or "recipe" not in manifest.said:
        return None
    described, inputs = manifest.said["recipe"], manifest.said["inputs"]
    if _about(described, inputs) != about:
        return None
    at_work = "cpu_seconds" in manifest.said and about.devices == CPU
    seconds = float(manifest.said["cpu_seconds"]) if at_work else manifest.seconds
    facets = _facets(described, inputs) | {(MACHINE, _processor(manifest))}
    return Known(facets, seconds, _size(described), at_work)


def _processor(manifest: Manifest) -> str | None:
    origin = manifest.said.get("origin")
    return origin.get("machine", {}).get("processor") if isinstance(origin, dict) else None


def _changed(home: Path) -> float:
    try:
        return home.stat().st_mtime
    except OSError:
        return 0.0


def _about(described: Any, inputs: Mapping[str, Any]) -> About:
    """The weights and the devices in a recipe and its inputs."""
    models, devices = set[str](), set[str]()

    def walk(value: Any) -> None:
        match value:
            case {"class": str(kind), "fields": dict(fields)}:
                if kind.endswith(".ModelWeights"):
                    models.add(fields["name"])
                if isinstance(device := fields.get("device"), str):
                    devices.add(device)
                for one in fields.values():
                    walk(one)
            case {"items": list(items)}:
                walk(items)
            case list() if value and isinstance(value[0], dict):
                for one in value:
                    walk(one)

    for one in (described, *inputs.values()):
        walk(one)
    return About(frozenset(models), frozenset(devices))


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
            case str() | int() | float() | None:
                found[place] = value

    walk(described, "")
    return frozenset(found.items())


def _size(described: Any) -> int:
    """How many questions at how many coefficients a recipe has, or whatever else it has several of."""
    return prod(len(value) for value in described["fields"].values() if isinstance(value, list) and value)
