"""Recipes: frozen dataclasses of plain values, each with everything that decides an artifact."""

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ws.errors import StoreError

if TYPE_CHECKING:
    from ws.store.artifacts import Store


@dataclass(frozen=True)
class Recipe:
    """How to make one artifact: a frozen dataclass whose fields, with the code, decide all of it.

    Fields are str, int, float, bool, None, recipes (the inputs), frozen dataclasses, and tuples of these.
    """

    def build(self, out: Path, store: "Store") -> None:
        """Write the artifact's files into the empty folder `out`; inputs are at `store.get(self.input)`."""
        raise NotImplementedError(f"{type(self).__name__} has no build(out, store)")

    def why_not_here(self) -> str | None:
        """Why this machine cannot build it, whatever its inputs: a library that is optional. None if it can."""
        return None

    def describe(self) -> str:
        """One short human phrase for progress lines."""
        named = values_of(self).items()
        words = (type(self).__name__, *(_phrase(name, value) for name, value in named))
        return textwrap.shorten(" ".join(filter(None, words)), width=72, placeholder=" ...")


def check_recipe(recipe: Recipe) -> None:
    if not isinstance(recipe, Recipe):
        raise StoreError(f"{type(recipe).__name__} is not a recipe; subclass ws.store.Recipe")
    _check_fields(type(recipe).__name__, recipe)


def _check_fields(name: str, record: Any) -> None:
    """Refuse a record whose class is not itself a frozen dataclass (its own fields would be lost), or a bad field."""
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
    """Refuse a value that no key can be made of; an input is checked when its own key is made."""
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


def values_of(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _names_in(type(record))}  # type: ignore[arg-type]


@cache
def _names_in(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def held_in(value: object) -> Iterator[object]:
    """A value and everything inside it, but not what is inside an input."""
    yield value
    if isinstance(value, Recipe):
        return
    if isinstance(value, tuple) or is_dataclass(value):
        for item in value if isinstance(value, tuple) else values_of(value).values():
            yield from held_in(item)


class Held(NamedTuple):
    """What is inside a value: what its code depends on."""

    texts: frozenset[str]
    classes: frozenset[type]
    inputs: tuple[Recipe, ...]


def held_by(value: object) -> Held:
    """The texts, the classes of records, and the inputs in a value."""
    held = list(held_in(value))
    return Held(
        frozenset(one for one in held if isinstance(one, str)),
        frozenset(type(one) for one in held if is_dataclass(one)),
        tuple(one for one in held if isinstance(one, Recipe)),
    )


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
            return " ".join(_phrase(field, item) for field, item in values_of(value).items())
        case _:
            return f"{name} {value}"
