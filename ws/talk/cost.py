"""What a steering still needs that the store has not, and how long such things took before."""

from collections.abc import Iterable, Iterator
from statistics import median

from ws.live.builds import clock
from ws.models.weights import ModelWeights
from ws.steering.interventions import Activations, Intervention, Weights
from ws.store import Recipe, Store
from ws.store.manifests import read_manifest
from ws.store.recipes import held_in, values_of

ENOUGH = 8
"""So many earlier builds of a kind tell how long one takes."""


def needed(intervention: Intervention) -> tuple[Recipe, ...]:
    """The artifacts that an intervention is made of."""
    match intervention:
        case Weights(direction):
            return direction.plus, direction.minus
        case Activations(vectors):
            return (vectors,)
        case _:
            return ()


def missing(recipes: Iterable[Recipe], store: Store) -> list[Recipe]:
    """Those of the recipes, and of the inputs behind them, that would be built now; each once, inputs first.

    Without the model, which is read before.
    """
    found: dict[Recipe, None] = {}

    def look(recipe: Recipe) -> None:
        # The model itself is read first, and from wherever it is.
        if recipe not in found and not isinstance(recipe, ModelWeights) and not store.has(recipe):
            for one in _inputs(recipe):
                look(one)
            found[recipe] = None

    for recipe in recipes:
        look(recipe)
    return list(found)


def cost(recipes: Iterable[Recipe], store: Store) -> str:
    """What these artifacts are, and how long they will take, as far as the store can tell."""
    listed = list(recipes)
    seconds = {recipe: expected_seconds(recipe, store) for recipe in listed}
    untold = dict.fromkeys(type(recipe).__name__ for recipe in listed if seconds[recipe] is None)
    time = (
        f"how long that takes is not known, since this store holds no {' and no '.join(untold)} alike"
        if untold
        else f"about {clock(sum(filter(None, seconds.values())))} by what the like took before"
    )
    return f"{'; '.join(recipe.describe() for recipe in listed)}: {time}"


def expected_seconds(recipe: Recipe, store: Store) -> float | None:
    """How long the like of a recipe took to build in this store (median); None if it holds none.

    Alike are recipes of one class, on the same model as far as recipes hold one, and of adapters of one family.
    """
    marks = set(_marks(recipe))
    took: list[float] = []
    for home in sorted((store.root / type(recipe).__name__).glob("*")):
        manifest = read_manifest(home)
        if manifest is not None and manifest.seconds and marks <= set(_texts(manifest.said)):
            took.append(manifest.seconds)
            if len(took) == ENOUGH:
                break
    return median(took) if took else None


def _inputs(recipe: Recipe) -> Iterator[Recipe]:
    for value in values_of(recipe).values():
        yield from (one for one in held_in(value) if isinstance(one, Recipe))


def _marks(recipe: Recipe) -> Iterator[str]:
    """What a recipe alike must name too: its model, and the family of an adapter."""
    for value in (one for field in values_of(recipe).values() for one in held_in(field)):
        if isinstance(value, Recipe):
            yield from _marks(value)
        elif family := getattr(value, "family", None):
            yield family
    if name := getattr(recipe, "name", None):
        yield name


def _texts(said: object) -> Iterator[str]:
    """Every text anywhere inside of what a manifest says."""
    if isinstance(said, str):
        yield said
    elif isinstance(said, dict | list):
        for one in said.values() if isinstance(said, dict) else said:
            yield from _texts(one)
