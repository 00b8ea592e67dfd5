"""What became of a case whose evidence was spoilt."""

from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from ws.report.held import differences
from ws.report.same_rows import moved
from ws.report.verdicts import Record
from ws.stats.verdict import Outcome

BESIDE = "beside"
"""The field of a record that has the notes beside its number."""


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
    """Its numbers move by less than the tolerance, as they may where rows were built again."""
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
    unsteered: bool
    """Whether the arm is the unchanged model."""
    how: str
    said: str
    """The first thing that changed, in words."""

    @property
    def has_turned(self) -> bool:
        """Whether the case tells this evidence from the recorded one."""
        return self.how in TURNED


def turned(before: Record, after: Record) -> tuple[How, str]:
    """How a case's record changed, and in what. `before` is what would be recorded of sound evidence."""
    # Spoilt rows stand for the sound ones, whichever of them the case still read.
    old, new = before.to_snapshot(), replace(after, builds=before.builds).to_snapshot()
    if before.outcome != after.outcome:
        said = f"{before.outcome} -> {after.outcome}"
        return (How.INVALID if after.outcome == Outcome.INVALID else How.VERDICT), said
    if changes := differences(old, {**new, BESIDE: old[BESIDE]}):
        return How.RED, str(changes[0])
    changed = moved(old, new)
    numbers = [one for one in changed if one.field != BESIDE]
    if numbers:
        return How.WITHIN, f"{numbers[0].what} {numbers[0].old} -> {numbers[0].new}"
    return (How.NOTE, "a note beside the number") if changed else (How.BLIND, "")
