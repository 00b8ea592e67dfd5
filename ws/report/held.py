"""Comparison of a verdict with its snapshot: how they differ beyond tolerance, and what to do about it."""

import json
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ws.report.verdicts import Record, in_words, number
from ws.stats.verdict import Outcome

# Multiples of the tolerance: the ends of an interval move more than its middle.
NUMBERS = {"value": 1, "low": 2, "high": 2}

NOT_RECORDED = "unrecorded"
"""The table's word for a verdict without a snapshot to compare with."""

Fields = dict[str, Any]


class Difference(NamedTuple):
    """One difference between a run and its snapshot, in words."""

    what: str
    old: str
    new: str
    why: str = ""

    @property
    def short(self) -> str:
        """The difference in short, for a table: the name of the field is left out for verdicts."""
        return f"{self.old} -> {self.new}" if self.what == "verdict" else f"{self.what} {self.old} -> {self.new}"

    def __str__(self) -> str:
        return f"{self.what} {self.old} -> {self.new}{self.why}"


def differences(old: Fields, new: Fields) -> list[Difference]:
    """How a case's fields differ from its snapshot's beyond the tolerance recorded there, most important first.

    If the numbers of seeds differ, nothing else is compared. On untrained models only numbers are compared, since a
    verdict there is no finding. If both verdicts are INVALID, numbers are not compared: with a denominator near 0 they
    differ on every machine.
    """
    if seeds := _count(old, new, "seeds"):
        return seeds
    asserted = not new["random_weights"] and old["outcome"] != new["outcome"]
    verdict = [Difference("verdict", old["outcome"], new["outcome"])] if asserted else []
    return verdict + _numbers(old, new) + _count(old, new, "rows")


def _count(old: Fields, new: Fields, noun: str) -> list[Difference]:
    before, now = str(old[f"n_{noun}"]), str(new[f"n_{noun}"])
    return [] if before == now else [Difference(noun, before, now)]


def _numbers(old: Fields, new: Fields) -> list[Difference]:
    if old["outcome"] == new["outcome"] == Outcome.INVALID:
        return []
    limits = {name: factor * (old["tolerance"] or 0.0) for name, factor in NUMBERS.items()}
    return [
        Difference(name, *told_apart(old[name], new[name]), f", which is beyond its tolerance of {limit:.2g}")
        for name, limit in limits.items()
        if _apart(old[name], new[name], limit)
    ]


def told_apart(old: float | None, new: float | None) -> tuple[str, str]:
    """Two numbers as text, with the usual number of digits, or more if they would look equal otherwise."""
    short = number(old), number(new)
    return short if short[0] != short[1] else (f"{old:.6g}", f"{new:.6g}")


def _apart(old: float | None, new: float | None, limit: float) -> bool:
    if old is None or new is None:
        return old is not new
    return abs(new - old) > limit


@dataclass(frozen=True)
class Held:
    """A case's snapshot, and how this run compares with it."""

    agrees: bool
    """Whether the run agrees with the snapshot, or wrote it."""
    path: str
    old: str | None
    """The text of the snapshot; None if there was none."""
    new: str
    """The text that this run would record."""
    broken: Exception | None
    """Why the snapshot could not be read."""
    created: bool
    """Whether this run wrote the first snapshot."""

    @property
    def changes(self) -> list[Difference]:
        """How the run differs from a snapshot that was there and could be read."""
        if self.old is None or self.broken is not None:
            return []
        return differences(json.loads(self.old), json.loads(self.new))

    @property
    def status(self) -> str:
        """The comparison in short, for a table."""
        if self.broken is not None:
            return "unreadable"
        if self.old is None:
            return "new" if self.created else "missing"
        return next((change.short for change in self.changes), "same")

    def failure(self, record: Record, *, item: str, run: str) -> str:
        """What is wrong with the snapshot of a test's item, and the command that fixes it; `run` is the item's own."""
        what = f"{record.claim} {item}"
        if self.broken is not None:
            return (
                f"{what}: the snapshot {self.path} cannot be read ({self.broken!r});\n"
                f"restore it, or delete it and record a new one:\n  {run} --snapshot-update"
            )
        if self.old is None:
            shown = f"{record.outcome}, {in_words(record)}"
            return f"{what}: there is no snapshot yet, this run says {shown}; record it:\n  {run} --snapshot-update"
        changes = self.changes
        words = "\n".join(f"  {change}" for change in changes)
        meant = f"if the change is meant, record it and say why in the commit:\n  {run} --snapshot-update"
        if changes[0].what == "seeds":
            return f"{what}: other seeds than its snapshot's,\n{words}\nrun with --seeds {changes[0].old};\n{meant}"
        return f"{what}: not what its snapshot says,\n{words}\n{meant}"


def known_failure(record: Record) -> str:
    """The message for a case that is known not to hold: a line, and its numbers."""
    gates = f" because of {'; '.join(record.gates)}" if record.gates else ""
    known = record.snapshot if record.snapshot == NOT_RECORDED else "as recorded"
    return f"{record.claim} {record.outcome}{gates}, {known}: {in_words(replace(record, gates=[]))}"
