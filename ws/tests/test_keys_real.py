"""Every change to code that could change a result changes the keys of the recipes that reach it."""

import importlib
import random
import sys
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ws.code.graph import graph_of
from ws.code.items import Item
from ws.code.normal import form_of
from ws.code.values import SCALARS
from ws.store import Recipe, Store
from ws.tests.mutations import Mutation, mutations, other_value
from ws.tests.recipe_samples import recipe_samples

OF_EACH_KIND = 24
RECIPES = 5
"""How many of the kinds of recipes that reach a mutant are keyed, drawn for each."""


@cache
def kinds() -> dict[str, Recipe]:
    """One recipe of each kind."""
    return {type(made).__qualname__: made for _, made in reversed(recipe_samples().items())}


@cache
def reaching() -> dict[str, list[str]]:
    """The kinds of recipes that reach a definition or constant, by its label."""
    found = defaultdict(list)
    for kind, recipe in kinds().items():
        for label in parts(recipe):
            found[label].append(kind)
    return found


def parts(recipe: Recipe) -> dict[str, str]:
    only, owners = keyed()._contents(recipe)
    return importlib.import_module("ws.code.sources").reached(type(recipe).build, only=only, owners=owners)


@cache
def keyed() -> Store:
    """A store that knows the keys of all kinds."""
    store = Store(Path("unused"))
    for recipe in kinds().values():
        store.key(recipe)
    return store


def keys(names: list[str]) -> dict[str, str]:
    """The keys of recipes, made anew from the keys of their inputs as they were."""
    found = {}
    for name in names:
        store = Store(Path("unused"))
        store._keys = dict(keyed()._keys)
        del store._keys[kinds()[name]]
        store._inside = keyed()._inside
        found[name] = store.key(kinds()[name])
    return found


def definitions() -> list[Item]:
    """Every definition of ours that a recipe reaches, those of one name left out."""
    counts = Counter(item.label for item in graph().items)
    return [item for item in graph().items if item.label in reaching() and counts[item.label] == 1]


def graph() -> Any:
    return graph_of(frozenset({"ws"}))


def drawn() -> list[tuple[Item, Mutation]]:
    """So many changes of each kind, of as many definitions as there are."""
    by_kind: dict[str, list[tuple[Item, Mutation]]] = defaultdict(list)
    for item in definitions():
        if item.form.func is form_of:
            for mutation in mutations(item.form.args[0]):
                by_kind[mutation.kind].append((item, mutation))
    chance = random.Random(0)
    return [one for _, found in sorted(by_kind.items()) for one in chance.sample(found, min(OF_EACH_KIND, len(found)))]


def test_a_change_of_reached_code_changes_the_keys_of_what_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before, missed, tried = keys(list(kinds())), [], Counter()
    chance = random.Random(1)
    for item, mutation in drawn():
        names = reaching()[item.label]
        asked = chance.sample(names, min(RECIPES, len(names)))
        definition = item.form.args[0]
        with mutation.applied(definition):
            mutant = form_of.__wrapped__(definition, item.module)
        with monkeypatch.context() as patch:
            patch.setattr(item, "form", lambda mutant=mutant: mutant)
            after = keys(asked)
        tried[mutation.kind] += 1
        missed += [(mutation.kind, item.label, name) for name in asked if after[name] == before[name]]
    assert not missed
    assert sum(tried.values()) >= 300, tried
    assert len(tried) >= 12, tried
    assert keys(list(kinds())) == before


def constants() -> list[tuple[ModuleType, str, list[str]]]:
    """Constants by value that recipes reach, with the kinds that do."""
    found = []
    for label, names in reaching().items():
        module, _, name = label.rpartition(".")
        value = vars(sys.modules[module]).get(name) if module in sys.modules else None
        if type(value) in SCALARS - {type(None)} or isinstance(value, tuple | frozenset | dict):
            found.append((sys.modules[module], name, names))
    return found


def test_a_constant_changes_the_keys_of_what_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before, missed = keys(list(kinds())), []
    for module, name, names in constants():
        value = vars(module)[name]
        with monkeypatch.context() as patch:
            # An edited file would change the value wherever it is imported by name.
            for other in [held for held in sys.modules.values() if getattr(held, "__name__", "").startswith("ws.")]:
                if vars(other).get(name) is value:
                    patch.setattr(other, name, other_value(value))
            after = keys(names[:RECIPES])
        missed += [(module.__name__, name, kind) for kind, key in after.items() if key == before[kind]]
    assert not missed
    assert len(constants()) >= 40


@pytest.mark.parametrize("library", ["torch", "transformers", "peft"])
def test_another_minor_version_of_a_library_changes_all_keys(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ws.store import artifacts, versions

    before = keys(list(kinds()))
    major, minor = versions()[library].split(".")
    monkeypatch.setattr(artifacts, "versions", lambda: versions() | {library: f"{major}.{int(minor) + 1}"})
    after = keys(list(kinds()))
    assert [name for name in before if after[name] == before[name]] == []
