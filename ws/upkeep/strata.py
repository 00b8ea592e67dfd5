"""Kinds of artifacts that an audit tells apart: of each it builds one anew."""

from collections.abc import Iterator
from dataclasses import is_dataclass

from ws.store import Recipe
from ws.store.recipes import values_of

Stratum = tuple[str, ...]
"""The class of a recipe, the model, the adapter family and whatever else it holds by name."""

TOLD_APART = frozenset({"family", "name"})
"""Fields that make a stratum wherever a recipe or its inputs have them: the adapter family, and the model's name."""

LONGEST_NAME = 40
"""Characters of the longest string that counts as a name rather than prose."""


def stratum(recipe: Recipe) -> Stratum:
    """What kind of artifact a recipe makes, of which model and family, through which lens."""
    told = sorted(set(_told(recipe)))
    return (type(recipe).__name__, *told, *_names(recipe))


def _told(value: object) -> Iterator[str]:
    """The names of family and model, wherever a recipe holds them."""
    if isinstance(value, tuple):
        for item in value:
            yield from _told(item)
    elif is_dataclass(value):
        for name, item in values_of(value).items():
            if name in TOLD_APART and isinstance(item, str):
                yield item
            else:
                yield from _told(item)


def _names(recipe: Recipe) -> list[str]:
    """The classes that a recipe holds, apart from its inputs, and the names in these."""
    found: list[str] = []

    def look(value: object) -> None:
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            for item in value:
                look(item)
        elif is_dataclass(value) and not isinstance(value, Recipe):
            inner = values_of(value)
            words = [item for item in inner.values() if isinstance(item, str) and len(item) <= LONGEST_NAME]
            found.append(" ".join([type(value).__name__, *words]))
            for item in inner.values():
                look(item)

    for value in values_of(recipe).values():
        look(value)
    return sorted(set(found))
