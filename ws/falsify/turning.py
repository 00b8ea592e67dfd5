"""What became of a case whose evidence was spoilt."""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from ws.report.held import differences
from ws.report.verdicts import Record
from ws.stats.verdict import Outcome

APART = frozenset({"snapshot", "recorded", "versions", "keys", "beside", "device"})
"""Fields of a record that say where numbers come from or how they compare."""


class How(StrEnum):
    """What a case says about spoilt evidence, the clearest answer first."""

    ERROR = "error"
    """It stops with an error before there is a verdict."""
    INVALID = "INVALID"
    VERDICT = "verdict"
    """It has another verdict."""
    RED = "red"
    """Its numbers differ from the recorded ones by more than their tolerance."""
    WITHIN = "within"
    """Its numbers move, but by less than the tolerance."""
    NOTE = "note"
    """Only a note beside its numbers changes."""
    BLIND = "blind"
    """It says the same."""
    UNBUILT = "unbuilt"
    """It asks for an artifact that is not there."""


IDENTITY = "identity"
"""What stands in place of a claim for a test that is no case, but checks an identity."""

TURNED = frozenset({How.ERROR, How.INVALID, How.VERDICT, How.RED})


class Trial(NamedTuple):
    """A case, judged with one arm of its evidence spoilt in one way."""

    model: str
    claim: str
    test: str
    case: str
    """The item's parameters without the model."""
    corruption: str
    arm: str
    how: str
    said: str
    """The first thing that changed, in words."""

    @property
    def has_turned(self) -> bool:
        """Whether the case tells this evidence from the recorded one."""
        return self.how in TURNED


def turned(before: Record, after: Record) -> tuple[How, str]:
    """How a case's record changed, and in what. `before` is what would be recorded of sound evidence."""
    old, new = before.to_snapshot(), after.to_snapshot()
    if before.outcome != after.outcome:
        said = f"{before.outcome} -> {after.outcome}"
        return (How.INVALID if after.outcome == Outcome.INVALID else How.VERDICT), said
    if changes := differences(old, new):
        return How.RED, str(changes[0])
    moved = [name for name in old if name not in APART and not _equal(old[name], new[name])]
    if moved:
        return How.WITHIN, f"{moved[0]} {old[moved[0]]} -> {new[moved[0]]}"
    if old["beside"] != new["beside"]:
        return How.NOTE, "a note beside the number"
    return How.BLIND, ""


def _equal(one: Any, other: Any) -> bool:
    """Equality to within rounding, of numbers inside of lists and mappings too."""
    match one, other:
        case (float() | int(), float() | int()) if not isinstance(one, bool):
            return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)
        case list(), list():
            return len(one) == len(other) and all(map(_equal, one, other))
        case Mapping(), Mapping():
            return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
        case _:
            return bool(one == other)
