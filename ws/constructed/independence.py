"""That a recipe knows nothing of training: no recipe that its key covers is a trained adapter or made of one.

A key covers the keys of all inputs, their inputs, and so on. What is in none of these cannot change the artifact, so a
recipe that reaches no adapter is decided before any adapter is trained.
"""

from collections.abc import Iterator

from ws.errors import MismatchError
from ws.store import Recipe
from ws.store.recipes import held_in, values_of
from ws.training.direction import Direction
from ws.training.train import Adapter

TRAINED = (Adapter, Direction)
"""What training leaves; everything else that is trained holds one of these."""


def reached(recipe: Recipe) -> Iterator[Recipe]:
    """A recipe, its inputs, the inputs of these and so on: all recipes that its key covers."""
    yield recipe
    for value in values_of(recipe).values():
        for held in held_in(value):
            if isinstance(held, Recipe):
                yield from reached(held)


def check_untrained(recipe: Recipe) -> None:
    """Raises: MismatchError if a recipe is made of what was trained."""
    trained = [one.describe() for one in reached(recipe) if isinstance(one, TRAINED)]
    if trained:
        raise MismatchError(
            f"{recipe.describe()} is made of {trained[0]}, which is trained; expected base weights and base "
            "activations alone: read states of the unchanged model"
        )
