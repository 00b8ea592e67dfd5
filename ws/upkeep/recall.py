"""Recipes made again from the JSON that manifests keep of them; `ws.store.written` writes it.

A class is found by its name even if it has moved to another module since. Only classes of `ws` and of modules that are
already loaded are found: a file never decides what is imported.
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import ws
from ws.errors import StoreError, WsError
from ws.store.recipes import Recipe
from ws.store.written import Json

SKIPPED = ("ws.tests", "ws.bench", "ws.cli", "ws.report", "ws.changes", "ws.upkeep", "ws.evidence")
"""Packages without recipes, which are not searched; classes of tests are still found if their module is loaded."""


class RecipeGone(StoreError):
    """This version of the code cannot make a recipe from its manifest."""


def recalled(said: Mapping[str, Any]) -> Recipe:
    """The recipe of a manifest, made with today's classes.

    Raises: RecipeGone if a class no longer exists, has other fields or refuses the values.
    """
    return Recalling(said.get("inputs", {})).recipe(said)


class Recalling:
    """Makes recipes from their JSON form, each input once, also where several recipes share it."""

    def __init__(self, inputs: Mapping[str, Json]) -> None:
        """`inputs`: the recipe of each input by key, with those of its own inputs."""
        self._inputs = inputs
        self._made: dict[str, Any] = {}

    def recipe(self, said: Mapping[str, Any]) -> Recipe:
        """The recipe of a manifest, with these inputs. Raises: RecipeGone as `recalled` does."""
        try:
            if "recipe" in said:
                made = self.record(said["recipe"])
            elif "fields" in said:
                made = _of_older(class_named(said["class"]), said["fields"])
            else:
                raise RecipeGone("its manifest holds no recipe")
        except (TypeError, NameError, LookupError, AttributeError, RecursionError) as error:
            raise RecipeGone(f"its recipe cannot be read: {error!r}") from error
        except RecipeGone:
            raise
        except WsError as error:
            raise RecipeGone(f"its recipe is refused today: {error}") from error
        if not isinstance(made, Recipe):
            raise RecipeGone(f"{said['class']} is no recipe any more")
        return made

    def record(self, said: Json) -> Any:
        values = {name: self.value(item) for name, item in said["fields"].items()}
        return made_of(class_named(said["class"]), values)

    def value(self, said: Any) -> Any:
        match said:
            case {"input": key}:
                if key not in self._made:
                    self._made[key] = self.record(self._inputs[key])
                return self._made[key]
            case {"class": name, "items": items}:
                return class_named(name)(*map(self.value, items))
            case {"fields": _}:
                return self.record(said)
            case list():
                return tuple(map(self.value, said))
            case _:
                return said


def made_of(kind: type, values: Mapping[str, Any]) -> Any:
    """An object of a class with exactly these fields.

    Raises: RecipeGone if the class has other fields today.
    """
    today = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    if today != values.keys():
        new, gone = sorted(today - values.keys()), sorted(values.keys() - today)
        raise RecipeGone(f"{kind.__name__} has other fields today: new {new}, gone {gone}")
    return kind(**values)


def class_named(name: str) -> type:
    """The class of this name: in the named module if that is loaded, else the one of that name in `ws`.

    Raises: RecipeGone if there is no such class, or more than one.
    """
    module, _, last = name.rpartition(".")
    there = getattr(sys.modules.get(module), last, None)
    if isinstance(there, type):
        return there
    found = _classes().get(last, [])
    if len(found) != 1:
        many = f"{len(found)} classes are called {last}" if found else f"no class is called {last}"
        raise RecipeGone(f"{many} in this version, where {name} is asked for")
    return found[0]


@cache
def _classes() -> dict[str, list[type]]:
    """Every frozen dataclass and named tuple of `ws`, by name."""
    found: dict[str, list[type]] = {}
    for module in _modules():
        for name, value in vars(module).items():
            own = isinstance(value, type) and value.__module__ == module.__name__
            if own and (is_dataclass(value) or hasattr(value, "_fields")):
                found.setdefault(name, []).append(value)
    return found


def _modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(ws.__path__, "ws."):
        if not found.name.startswith(SKIPPED) and not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def _of_older(kind: type, values: Mapping[str, Any]) -> Any:
    """An object from an older manifest, without modules and with named tuples as lists, known by type hints only."""
    hints = get_type_hints(kind)
    return made_of(kind, {name: _older_value(item, hints.get(name), kind) for name, item in values.items()})


def _older_value(said: Any, hint: Any, around: type) -> Any:
    if isinstance(said, dict):
        inner = {name: item for name, item in said.items() if name != "class"}
        beside = getattr(sys.modules[around.__module__], said["class"], None)
        return _of_older(beside if isinstance(beside, type) else class_named(said["class"]), inner)
    if not isinstance(said, list):
        return said
    for kind in _alternatives(hint):
        if isinstance(kind, type) and hasattr(kind, "_fields") and len(kind._fields) == len(said):
            return kind(*_older_items(said, get_type_hints(kind).values(), around))
        if get_origin(kind) is tuple:
            return tuple(_older_items(said, _item_hints(get_args(kind), len(said)), around))
    return tuple(_older_items(said, [None] * len(said), around))


def _older_items(said: list[Any], hints: Iterable[Any], around: type) -> list[Any]:
    return [_older_value(item, hint, around) for item, hint in zip(said, hints, strict=True)]


def _item_hints(hints: tuple[Any, ...], count: int) -> Iterable[Any]:
    return hints[:1] * count if len(hints) == 2 and hints[1] is Ellipsis else (*hints, *[None] * count)[:count]


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types that a value may have: the members of a union, else the hint itself."""
    return get_args(hint) if get_args(hint) and get_origin(hint) is not tuple else (hint,)
