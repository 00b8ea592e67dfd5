"""How the adapters behind a case were trained, as the evidence has it: from the case's keys down to its adapters."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ws.evidence.folder import Evidence
from ws.evidence.records import Kept

ADAPTER = "Adapter"
"""The class of what training makes."""

VARIES = frozenset({"pairs", "seed", "sign", "shape", "training"})
"""Fields of an adapter that differ between the adapters of one dW, or are told by their own fields."""


class Recipes:
    """The recipes of all that a model's evidence knows of, inputs too."""

    def __init__(self, records: Iterable[Kept]) -> None:
        self._records = {one.key: one for one in records}
        self._found: dict[str, frozenset[str]] = {}

    @property
    def phrases(self) -> Mapping[str, str]:
        """What each key is, in words."""
        return {key: one.phrase for key, one in self._records.items()}

    def of(self, keys: Iterable[str]) -> list[str]:
        """A line for each recipe by which adapters behind these keys were trained."""
        return sorted(frozenset[str]().union(*map(self._behind, keys)))

    def _behind(self, key: str) -> frozenset[str]:
        if key not in self._found:
            # An artifact that is its own input cannot be; a file that says so must not make us run in circles.
            self._found[key] = frozenset()
            self._found[key] = self._said(key)
        return self._found[key]

    def _said(self, key: str) -> frozenset[str]:
        if (kept := self._records.get(key)) is None:
            return frozenset()
        if kept.kind == ADAPTER:
            return frozenset({described(kept.recipe["fields"])})
        return frozenset[str]().union(*map(self._behind, inputs(kept.recipe)))


def recipes_in(evidence: Evidence) -> Recipes:
    """The recipes of a model's evidence."""
    return Recipes(one for group in evidence.groups for one in evidence.group(group, recipes=True))


def inputs(said: object) -> Iterator[str]:
    """The keys of the inputs that a recipe in JSON names."""
    match said:
        case {"input": str(key)}:
            yield key
        case dict():
            for value in said.values():
                yield from inputs(value)
        case list():
            for value in said:
                yield from inputs(value)


def described(adapter: Mapping[str, Any]) -> str:
    """How an adapter was trained: its family, its shape and its training, whatever fields they have."""
    shape, training = (dict(adapter[name]["fields"]) for name in ("shape", "training"))
    family = shape.pop("family")
    others = {name: value for name, value in adapter.items() if name not in VARIES}
    parts = (", ".join(_told(*field) for field in part.items()) for part in (shape, training, others) if part)
    return f"{family}: {'; '.join(parts)}"


def _told(name: str, value: object) -> str:
    words = name.replace("_", " ")
    if isinstance(value, list):
        return f"{words} {' to '.join(map(_number, value))}"
    return f"{words} {_number(value)}"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
