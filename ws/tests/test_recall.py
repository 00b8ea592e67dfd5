"""A recipe survives the way to JSON and back; one that today's classes cannot hold is refused with a reason."""

import importlib
import json
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.behaviors import Question
from ws.errors import DataError
from ws.models.language import Placed
from ws.scoring.rows import Rows
from ws.steering.interventions import Weights
from ws.store import Recipe
from ws.store.written import written_down
from ws.tests.small import ON, PAIRS, adapter
from ws.training.direction import Direction
from ws.upkeep.recall import RecipeGone, recalled


class Spot(NamedTuple):
    """A named tuple, which is a tuple to a key."""

    name: str
    depth: int | None = None


@dataclass(frozen=True)
class Box:
    """A record that is no recipe."""

    spot: Spot
    size: float


@dataclass(frozen=True)
class Leaf(Recipe):
    """An input of others."""

    value: str | int | float | bool | None
    box: Box | None = None


@dataclass(frozen=True)
class Tree(Recipe):
    """A recipe with inputs of one class within tuples."""

    leaves: tuple["Leaf | Tree", ...]
    rest: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Picky(Recipe):
    """Refuses what is not small."""

    value: int

    def __post_init__(self) -> None:
        if self.value > 1:
            raise DataError(f"{self.value} is not small")


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
boxes = st.builds(Box, st.builds(Spot, st.text(), st.none() | st.integers()), st.floats(-1, 1))
leaves = st.builds(Leaf, plain, st.none() | boxes)
pairs = st.lists(st.tuples(st.text(), st.floats(-1, 1)), max_size=2).map(tuple)
trees = st.recursive(leaves, lambda inner: st.builds(Tree, st.lists(inner, max_size=3).map(tuple), pairs), max_leaves=6)


def exact(value: object) -> Any:
    """A value with the type of everything in it, which equality does not ask for: 1, 1.0 and True are equal."""
    if is_dataclass(value):
        return type(value), [exact(getattr(value, field.name)) for field in fields(value)]
    return (type(value), [exact(item) for item in value]) if isinstance(value, tuple) else (type(value), value)


def said(recipe: Recipe) -> dict[str, Any]:
    """What a manifest keeps of a recipe, through a file and back."""
    described, inputs = written_down(recipe, lambda one: repr(one))
    return json.loads(json.dumps({"class": described["class"], "recipe": described, "inputs": inputs}))


@settings(max_examples=40)
@given(trees)
def test_a_recipe_comes_back_as_it_was(recipe: Recipe) -> None:
    assert exact(recalled(said(recipe))) == exact(recipe)


def test_an_input_of_many_is_written_once() -> None:
    leaf = Leaf("a")
    wide = Tree((leaf, Tree((leaf, leaf)), Tree((leaf, leaf, leaf))))
    kept = said(wide)
    assert len(kept["inputs"]) == 3
    assert str(kept["recipe"]).count("input") == 3


def test_inputs_that_share_inputs_are_looked_at_once() -> None:
    top: Leaf | Tree = Leaf("a")
    for _ in range(12):
        top = Tree((top, top))
    asked: list[Recipe] = []
    written_down(top, lambda one: asked.append(one) or str(id(one)))
    assert len(asked) == 24


def test_recipes_of_the_claims_come_back() -> None:
    question = Question("q", "c", "t", "p", "pair", "Is it?", +1)
    recipe = Rows(ON, (question,), "So:", Weights(Direction(adapter("oft"), adapter("oft", sign="minus"))))
    assert exact(recalled(said(recipe))) == exact(recipe)


def test_a_class_is_found_where_it_has_moved_to() -> None:
    kept = said(PAIRS)
    text = json.dumps(kept).replace("ws.training.pairs.", "ws.training.gone.").replace("ws.models.", "ws.")
    assert recalled(json.loads(text)) == PAIRS


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"class": "ws.tests.nowhere.Unheard"}, "no class is called Unheard"),
        ({"fields": {}}, r"other fields today: new \['value'\], gone \[\]"),
        ({"fields": {"value": 1, "old": 2}}, r"new \[\], gone \['old'\]"),
        ({"fields": {"value": 7}}, "refused today: 7 is not small"),
        ({"fields": {"value": {"input": "k"}}}, "cannot be read: KeyError"),
    ],
)
def test_what_cannot_be_made_today_says_why(change: dict[str, Any], why: str) -> None:
    kept = said(Picky(1))
    kept["recipe"] |= change
    with pytest.raises(RecipeGone, match=why):
        recalled(kept)


def test_a_module_named_by_a_file_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    imported, real = [], importlib.import_module
    monkeypatch.setattr("importlib.import_module", lambda name: imported.append(name) or real(name))
    with pytest.raises(RecipeGone, match="no class is called Fly"):
        recalled({"class": "antigravity.Fly", "recipe": {"class": "antigravity.Fly", "fields": {}}, "inputs": {}})
    assert [name for name in imported if not name.startswith("ws.")] == []


def older(value: object) -> Any:
    """The form of older manifests: inputs inside the recipe, no modules, and named tuples as lists."""
    if is_dataclass(value):
        return {"class": type(value).__name__} | {one.name: older(getattr(value, one.name)) for one in fields(value)}
    return [older(item) for item in value] if isinstance(value, tuple) else value


def test_a_manifest_of_an_older_store_is_understood() -> None:
    question = Question("q", "c", "t", "p", "pair", "Is it?", +1)
    weights = Weights(Direction(adapter("boft"), adapter("boft", sign="minus")))
    recipe = Rows(ON, (question,), "So:", weights, coeffs=(-1.0, 1.0))
    values = {one.name: older(getattr(recipe, one.name)) for one in fields(recipe)}
    back = recalled({"class": "ws.evaluate.Rows", "fields": values})
    assert exact(back) == exact(recipe)
    assert isinstance(back.on, Placed)
