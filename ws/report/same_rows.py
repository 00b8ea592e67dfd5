"""Comparison of a verdict with its snapshot where both were made of the same rows.

No other processor and no other training is between them, so every number must be the recorded one. One that is not was
computed by other code.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

DIGITS = 1e-4
"""The share of a number that may be lost: snapshots have six digits, and sums another order on another machine."""
NOTHING = 1e-9
"""Numbers this close are the same, however small they are."""

WHERE_FROM = frozenset({"recorded", "versions", "keys", "device", "published"})
"""Fields that say where numbers come from, or what they were elsewhere."""


class Moved(NamedTuple):
    """A number or text that is another one than was recorded."""

    what: str
    old: object
    new: object


def moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Moved]:
    """What differs between two records of a case, in the order of their fields."""
    return [one for name in new if name not in WHERE_FROM for one in _moved(name, old.get(name), new[name])]


def _moved(what: str, old: object, new: object) -> Iterator[Moved]:
    match old, new:
        case Mapping(), Mapping() if old.keys() == new.keys():
            for name in new:
                yield from _moved(f"{what}, {name}", old[name], new[name])
        case list(), list() if len(old) == len(new):
            for k, (one, other) in enumerate(zip(old, new, strict=True), start=1):
                yield from _moved(f"{what} {k}", one, other)
        case ((float() | int()), (float() | int())):
            if not math.isclose(old, new, rel_tol=DIGITS, abs_tol=NOTHING):
                yield Moved(what, old, new)
        case _:
            if old != new:
                yield Moved(what, old, new)
