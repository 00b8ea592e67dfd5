"""Kinds of artifacts that an audit tells apart: of each it builds one anew."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import NamedTuple

from ws.store import Recipe
from ws.store.recipes import values_of


class Stratum(NamedTuple):
    """What an artifact has in common with those that one of them stands for in an audit."""

    kind: str
    """The name of the recipe's class."""
    about: tuple[str, ...]
    """The model and the adapter family."""
    held: tuple[str, ...]
    """Whatever else the recipe holds by name, such as a lens."""


COVERS: Mapping[str, tuple[Callable[[Stratum], Hashable], ...]] = {
    "combinations": (lambda one: one,),
    "each": (lambda one: (one.kind, one.about), lambda one: (one.kind, one.held)),
}
"""What a sample has one artifact of: each combination of model, family and lens; or each model and family, and each
lens, whatever it is combined with."""


TOLD_APART = frozenset({"family", "name"})
"""Fields that make a stratum wherever a recipe or its inputs have them: the adapter family, and the model's name."""

LONGEST_NAME = 40
"""Characters of the longest string that counts as a name rather than prose."""


def stratum(recipe: Recipe) -> Stratum:
    """What kind of artifact a recipe makes, of which model and family, through which lens."""
    return Stratum(type(recipe).__name__, tuple(sorted(set(_told(recipe)))), tuple(_names(recipe)))


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
    """The classes that a recipe holds, apart from its inputs, and the names in these, but for model and family."""
    found: list[str] = []

    def look(value: object) -> None:
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            for item in value:
                look(item)
        elif is_dataclass(value) and not isinstance(value, Recipe):
            inner = values_of(value)
            texts = [item for name, item in inner.items() if name not in TOLD_APART and isinstance(item, str)]
            words = [text for text in texts if len(text) <= LONGEST_NAME]
            found.append(" ".join([type(value).__name__, *words]))
            for item in inner.values():
                look(item)

    for value in values_of(recipe).values():
        look(value)
    return sorted(set(found))
