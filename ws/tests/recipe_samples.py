"""One recipe of every kind, and of every kind of what recipes hold, made from the types of their fields."""

import contextlib
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

SCALARS = {str: "said", int: 3, float: 0.5, bool: True}
NOT_OF_RECIPES = ("ws.tests", "ws.bench", "ws.cli", "ws.__main__")
"""What measures or starts the rest, and is imported by nothing that recipes reach."""

DEPTH = 1
"""How deep inside a recipe every alternative is taken."""

UNFINISHED = {"Recipe", "Vectors", "PairedVectors"}
"""Recipes that only their subclasses can build."""


class Unsampled(Exception):
    """A class whose fields no recipe could hold."""


def recipe_samples() -> dict[str, Any]:
    """Recipes by name: every concrete class, once more for each alternative in the types of its fields."""
    samples = {}
    for cls in sorted(_concrete(_root()), key=lambda cls: cls.__qualname__):
        for number, made in enumerate(_samples(cls)):
            samples[f"{cls.__qualname__} {number}"] = made
    return samples


@cache
def _root() -> type:
    """The class of all recipes, once everything that may inherit from it is imported."""
    import ws

    for module in pkgutil.walk_packages(ws.__path__, "ws."):
        if not module.name.startswith(NOT_OF_RECIPES):
            importlib.import_module(module.name)
    return importlib.import_module("ws.store").Recipe  # type: ignore[no-any-return]


def _concrete(cls: type) -> list[type]:
    below = [found for child in cls.__subclasses__() for found in _concrete(child)]
    is_ours = cls.__module__.startswith("ws.") and not cls.__module__.startswith(NOT_OF_RECIPES)
    is_whole = is_dataclass(cls) and not inspect.isabstract(cls) and cls.__qualname__ not in UNFINISHED
    return [*([cls] if is_ours and is_whole else []), *below]


def _samples(cls: type, inside: frozenset[type] = frozenset()) -> Iterator[Any]:
    """Objects of a class; the first has the first alternative of each field, the others one other each."""
    hints = typing.get_type_hints(cls)
    choices = {field.name: _values(hints[field.name], inside | {cls}) for field in fields(cls)}
    if empty := [name for name, found in choices.items() if not found]:
        raise Unsampled(f"no sample of {cls.__qualname__}.{empty[0]}")
    first = {name: found[0] for name, found in choices.items()}
    yield _made(cls, first)
    for name, found in choices.items():
        for other in found[1:]:
            yield _made(cls, first | {name: other})


def _made(cls: type, values: dict[str, Any]) -> Any:
    """An object with these fields, even if they do not fit together, which does not matter to a key."""
    made = object.__new__(cls)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


@cache
def _values(hint: Any, inside: frozenset[type]) -> list[Any]:
    """Values of a type, one for each alternative, without objects `inside` objects of their own class."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return list(args[:1])
    if origin in (typing.Union, types.UnionType):
        return [value for arg in args if arg is not type(None) for value in _values(arg, inside)]
    if origin is tuple:
        return [tuple(_values(item, inside)[0] for item in (args[:1] if args[-1:] == (...,) else args))]
    if hasattr(hint, "_field_defaults"):
        return [hint(*(_values(item, inside)[0] for item in typing.get_type_hints(hint).values()))]
    if hint in SCALARS:
        return [SCALARS[hint]]
    if not isinstance(hint, type):
        raise Unsampled(f"no sample of {hint}; recipes hold text, numbers, tuples and frozen dataclasses")
    found = []
    for cls in sorted(set(_concrete(hint)) - inside, key=lambda cls: cls.__qualname__):
        # A lens, say, that holds tensors is made while building and is never in a recipe.
        with contextlib.suppress(Unsampled):
            samples = _samples(cls, inside)
            found.extend([next(samples)] if len(inside) > DEPTH or issubclass(cls, _root()) else samples)
    return found
