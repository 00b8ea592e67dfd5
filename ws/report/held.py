"""Comparison of a verdict with its snapshot: how they differ beyond tolerance, and what to do about it."""

import json
import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from scipy.special import ndtri

from ws.report.numbers import told_apart as told_apart
from ws.report.same_rows import moved
from ws.report.verdicts import Record, in_words
from ws.stats.spreads import Spread

FAINT = 1e-6
"""A p-value this small decides whatever it is."""

NOT_RECORDED = "unrecorded"
"""The table's word for a verdict without a snapshot to compare with."""
NOT_COMPARED = "not compared"
"""The table's word for a verdict that has other seeds than its snapshot on purpose."""

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
    """How a case's fields differ from its snapshot's beyond the tolerances recorded there, most important first.

    If the numbers of seeds differ, nothing else is compared. On untrained models only numbers are compared, since a
    verdict there is no finding. Numbers are compared whatever the verdict: those of the case, and the means of the
    tables that it was computed from, which agree closely where a ratio with a denominator near 0 does not.

    If both were computed from the same builds of the same artifacts, every digit is compared, since nothing but other
    code can make them differ.
    """
    if seeds := _count(old, new, "n_seeds", "seeds"):
        return seeds
    asserted = not new["random_weights"] and old["outcome"] != new["outcome"]
    verdict = [Difference("verdict", old["outcome"], new["outcome"])] if asserted else []
    counted = {"n_rows": "rows", "n_clusters": "clusters", "cases": "cases"}
    counts = [change for name, noun in counted.items() for change in _count(old, new, name, noun)]
    # What a number is compared with is text; an estimated margin in it is a number of this machine.
    asked = old["threshold"] is not None and old["relation"] != new["relation"]
    question = [Difference("what is asked", old["relation"], new["relation"])] if asked else []
    found = verdict + _numbers(old, new) + _means(old, new) + _doubts(old, new) + counts + question
    same_rows = new.get("builds") and old.get("builds") == new["builds"]
    return found or (_moved(old, new) if same_rows else [])


def _moved(old: Fields, new: Fields) -> list[Difference]:
    """The first thing that differs where nothing should; the others follow from it."""
    why = ", though of the same rows"
    return [Difference(one.what, _shown(one.old), _shown(one.new), why) for one in moved(old, new)[:1]]


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _count(old: Fields, new: Fields, name: str, noun: str) -> list[Difference]:
    before, now = str(old[name]), str(new[name])
    return [] if before == now else [Difference(noun, before, now)]


def _numbers(old: Fields, new: Fields) -> list[Difference]:
    """An end of the interval moves with the value, and with how far seeds and rows vary."""
    tolerance = old["tolerance"] or 0.0
    ends = 2 * tolerance + _width(old) / 20
    limits = {"value": tolerance, "low": ends, "high": ends}
    moved = [name for name, limit in limits.items() if _apart(old[name], new[name], limit)]
    return [_beyond(name, old[name], new[name], limits[name]) for name in moved]


def _width(fields: Fields) -> float:
    return 0.0 if None in (fields["low"], fields["high"]) else abs(fields["high"] - fields["low"])


def _means(old: Fields, new: Fields) -> list[Difference]:
    """The tables whose means moved by more than their noise."""
    before, now = old["leaves"], new["leaves"]
    if len(before) != len(now):
        return [Difference("number of tables", str(len(before)), str(len(now)))]
    return [
        _beyond(f"mean of table {k}", mean, other, noise or 0.0)
        for k, ((mean, noise), (other, _)) in enumerate(zip(before, now, strict=True), start=1)
        if _apart(mean, other, noise or 0.0)
    ]


def _doubts(old: Fields, new: Fields) -> list[Difference]:
    """What tells how sure a case is, and what siblings learn from: it follows from the numbers above.

    So it is held to a tenth, and what the noise of the value makes of it.
    """
    width, before, now = _width(old), _errors(old), _errors(new)
    if len(before) != len(now):
        return [Difference("number of parts", str(len(before)), str(len(now)))]
    share = 0.1 + (8 * min(old["noise"] or 0.0, old["tolerance"] or 0.0) / width if width else 1.0)
    found = [(f"standard error {k}", a, b, share * a) for k, (a, b) in enumerate(zip(before, now, strict=True), 1)]
    for name in ("p_holds", "p_refuted"):
        a, b = _probit(old[name]), _probit(new[name])
        found.append((f"probit of {name}", a, b, share * max(1.0, abs(a))))
    if None not in (old["smallest"], new["smallest"]):
        found.append(("smallest effect told", old["smallest"], new["smallest"], share * old["smallest"]))
    return [_beyond(*one) for one in found if _apart(*one[1:])]


def _errors(fields: Fields) -> list[float]:
    """The standard errors of all numbers that siblings learn from."""
    spreads = [Spread(tuple(one["seeds"]), one["rest"], one["clusters"]) for part in fields["spreads"] for one in part]
    return [math.sqrt(one.total) for one in spreads]


def _probit(p: float) -> float:
    return float(ndtri(min(max(p, FAINT), 1 - FAINT)))


def _beyond(name: str, old: float | None, new: float | None, limit: float) -> Difference:
    return Difference(name, *told_apart(old, new), f", which is beyond its tolerance of {limit:.2g}")


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
    known = record.snapshot if record.snapshot in (NOT_RECORDED, NOT_COMPARED) else "as recorded"
    return f"{record.claim} {record.outcome}{gates}, {known}: {in_words(replace(record, gates=[]))}"
