"""The arms of a case: which of its artifacts are one way to steer, seen through one kind of table.

Artifacts that differ in nothing but seeds and coefficients are one arm: an arm at equal KL has a coefficient for each
seed.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any

from ws.steering.interventions import Nothing
from ws.store import Recipe

SEEDS = frozenset({"seed", "random_seed"})
COEFFS = frozenset({"coeffs"})

Recipes = Mapping[str, Recipe]
"""Recipes by their keys."""


@dataclass(frozen=True)
class Arm:
    """Artifacts of one way to steer, and of one kind."""

    name: str
    keys: tuple[str, ...]
    is_base: bool
    """Whether it is the unchanged model."""


def arms_of(recipes: Recipes) -> tuple[Arm, ...]:
    """The arms that artifacts make up, by name."""
    groups: dict[object, list[str]] = defaultdict(list)
    for key, recipe in recipes.items():
        groups[form(recipe)].append(key)
    return tuple(sorted((_arm(recipes, keys) for keys in groups.values()), key=lambda arm: (arm.name, arm.keys)))


def _arm(recipes: Recipes, keys: list[str]) -> Arm:
    keys = sorted(keys, key=lambda key: recipes[key].describe())
    first = recipes[keys[0]]
    return Arm(f"{type(first).__name__}: {first.describe()}", tuple(keys), is_base(first))


def is_base(recipe: Recipe) -> bool:
    """Whether a recipe measures the unchanged model."""
    return getattr(recipe, "intervention", None) == Nothing()


@cache
def replicate(recipe: Recipe) -> frozenset[tuple[str, object]]:
    """What tells a recipe from others of its form: its seeds and coefficients, and those of its inputs."""
    return frozenset(_told_apart(recipe))


def _told_apart(value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, tuple):
        for item in value:
            yield from _told_apart(item)
    elif is_dataclass(value):
        for field in fields(value):
            if field.name in SEEDS | COEFFS:
                yield field.name, getattr(value, field.name)
            else:
                yield from _told_apart(getattr(value, field.name))


@cache
def form(recipe: Recipe) -> object:
    """What replicates of one recipe share: all of it but seeds and the coefficients it is measured at."""
    return _form(recipe, leave_out=SEEDS | COEFFS)


@cache
def _inner(recipe: Recipe) -> object:
    return _form(recipe, leave_out=SEEDS)


def _form(value: Any, *, leave_out: frozenset[str] = SEEDS) -> object:
    match value:
        case tuple():
            return tuple(_inner(item) if isinstance(item, Recipe) else _form(item) for item in value)
        case _ if is_dataclass(value):
            told = ((name, getattr(value, name)) for name in (field.name for field in fields(value)))
            random = getattr(value, "random_seed", None) is not None
            inner = (
                (name, _inner(item) if isinstance(item, Recipe) else _form(item))
                for name, item in told
                if name not in leave_out
            )
            return (type(value).__qualname__, random, *inner)
        case _:
            return value
