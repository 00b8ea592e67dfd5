"""A recipe as JSON without loss: a manifest keeps it, so that its artifact can be explained and made again."""

from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

from ws.store.recipes import Recipe, values_of

Keys = Callable[[Recipe], str]
"""A function that computes a recipe's key."""

Json = dict[str, Any]


def written_down(recipe: Recipe, keys: Keys) -> tuple[Json, dict[str, Json]]:
    """A recipe with each input replaced by its key; and by key, the recipes of all inputs and of their inputs."""
    inputs: dict[str, Json] = {}

    def plain(value: object) -> Any:
        match value:
            case Recipe():
                key = keys(value)
                if key not in inputs:
                    inputs[key] = {}
                    inputs[key] = record(value)
                return {"input": key}
            case tuple() if hasattr(value, "_fields"):
                return {"class": named(value), "items": [plain(item) for item in value]}
            case tuple():
                return [plain(item) for item in value]
            case _ if is_dataclass(value):
                return record(value)
            case _:
                return value

    def record(value: object) -> Json:
        return {"class": named(value), "fields": {name: plain(item) for name, item in values_of(value).items()}}

    return record(recipe), inputs


def named(value: object) -> str:
    """The name of a value's class, with its module."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
