"""Comparison of a verdict with its snapshot where both were made of the same rows.

No other processor and no other training is between them, so every number must be the recorded one. One that is not was
computed by other code.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

DIGITS = 1e-4
"""The share of a number that may be lost: snapshots have six digits, and sums another order on another machine."""
NOTHING = 1e-12
"""Numbers this close are the same, however small they are."""

WHERE_FROM = frozenset({"recorded", "versions", "keys", "builds", "device", "published"})
"""Fields that say where numbers come from, or what they were elsewhere."""


WORDS = {
    "beside": "notes",
    "leaves": "mean and noise of table",
    "spreads": "spread of part",
    "smallest": "smallest effect told",
    "matters": "difference that matters",
    "rows_alone": "whether rows alone vary",
}
"""What fields are called where a difference is told, if not by their names."""


class Moved(NamedTuple):
    """A number or text that is another one than was recorded."""

    field: str
    what: str
    """The field in words, and the place in it."""
    old: object
    new: object


def moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Moved]:
    """What differs between two records of a case, in the order of their fields; what the old one lacks is left out."""
    compared = [name for name in new if name in old and name not in WHERE_FROM]
    found = ((name, one) for name in compared for one in _moved(WORDS.get(name, name), old[name], new[name]))
    return [Moved(name, *one) for name, one in found]


def _moved(what: str, old: object, new: object) -> Iterator[tuple[str, object, object]]:
    match old, new:
        case Mapping(), Mapping() if old.keys() == new.keys():
            for name in new:
                yield from _moved(f"{what}, {name}", old[name], new[name])
        case list(), list() if _are_texts(old) and _are_texts(new):
            if old != new:
                yield what, _joined(old, new), _joined(new, old)
        case list(), list() if len(old) == len(new):
            for k, (one, other) in enumerate(zip(old, new, strict=True), start=1):
                yield from _moved(f"{what} {k}", one, other)
        case ((float() | int()), (float() | int())):
            if not math.isclose(old, new, rel_tol=DIGITS, abs_tol=NOTHING):
                yield what, old, new
        case _:
            if old != new:
                yield what, old, new


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(one, str) for one in values)


def _joined(some: list[str], others: list[str]) -> str:
    """Texts that others lack."""
    return "; ".join(one for one in some if one not in others) or "none"
