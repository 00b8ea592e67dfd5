"""The graph of artifacts that are missing: which must be there before which is built.

Weights that are read where they are, such as a folder of one's own, are no artifacts, and are taken to be there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ws.plan.needs import stays_in_place
from ws.store import Recipe, Store
from ws.store.recipes import held_in, values_of
from ws.training.direction import Direction


@dataclass(frozen=True)
class Node:
    """A missing artifact."""

    key: str
    recipe: Recipe
    inputs: tuple[str, ...] = ()
    """Keys of the missing artifacts that its build reads."""
    about: frozenset[Direction] = frozenset()
    """The directions that its recipe holds."""


Graph = Mapping[str, Node]
"""All missing artifacts by key, each after its inputs."""


def graph_of(wanted: Iterable[Recipe], store: Store) -> Graph:
    """The wanted artifacts that are missing, and what is missing below them."""
    found: dict[str, Node] = {}
    here: dict[str, bool] = {}

    def is_here(recipe: Recipe) -> bool:
        key = store.key(recipe)
        if key not in here:
            here[key] = stays_in_place(recipe) or store.has(recipe)
        return here[key]

    def add(recipe: Recipe) -> None:
        key = store.key(recipe)
        if key in found or is_here(recipe):
            return
        inputs = tuple(dict.fromkeys(inputs_of(recipe)))
        for one in inputs:
            add(one)
        missing = tuple(store.key(one) for one in inputs if not is_here(one))
        found[key] = Node(key, recipe, missing, directions_of(recipe))

    for recipe in wanted:
        add(recipe)
    return found


def inputs_of(recipe: Recipe) -> Iterator[Recipe]:
    """The artifacts that a build reads.

    A direction inside another recipe stands for its two adapters; the table of its geometry is read by claims alone.
    """
    for field in values_of(recipe).values():
        for value in held_in(field):
            if isinstance(value, Direction):
                yield from inputs_of(value)
            elif isinstance(value, Recipe):
                yield value


def directions_of(recipe: Recipe) -> frozenset[Direction]:
    """The directions that a recipe holds, without those of its inputs."""
    held = (value for field in values_of(recipe).values() for value in held_in(field))
    return frozenset(value for value in held if isinstance(value, Direction))
