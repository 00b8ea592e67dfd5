"""Recorded cases as they lie in their files, those of older versions too, and how far two of them are apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from ws.errors import DataError
from ws.files.notation import Unreadable, parsed

ROUNDING = 1e-5
"""Recorded numbers have six digits: what differs by less than this share of a number is the same number."""

Id = tuple[str, str]
"""The model of a case, and the name of its file without its ending: `test_x[lora-raw]`."""

Group = tuple[str, str, str, str]
"""What cases that share an error rate have in common: model, test, measure and footing."""


@dataclass(frozen=True)
class Case:
    """One recorded case."""

    id: Id
    raw: bytes
    """The content of its file."""
    where: str
    """The file, for messages."""

    @cached_property
    def said(self) -> Mapping[str, Any]:
        """The recorded fields.

        Raises: DataError if the file is no record of a case.
        """
        try:
            found = parsed(self.raw)
        except Unreadable as error:
            raise DataError(f"{self.where} cannot be read ({error.said}); restore it") from error
        if not isinstance(found, dict) or not isinstance(found.get("outcome"), str):
            raise DataError(f"{self.where} is no recorded verdict: it has no outcome; restore it, or name its folder")
        return found

    @property
    def claim(self) -> str:
        return str(self.said.get("claim", "?"))

    @property
    def outcome(self) -> str:
        return str(self.said["outcome"])

    @property
    def test(self) -> str:
        return str(self.said.get("test") or self.id[1].partition("[")[0])

    @property
    def name(self) -> str:
        """The test with its parameters, as in a test id without the model."""
        case = self.said.get("case", "")
        return f"{self.test}[{case}]" if case else self.test

    @property
    def behavior(self) -> str:
        """The behavior of one's own that it was tested on; empty for those that the claim was made about."""
        return str(self.said.get("behavior") or "")

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of what its numbers were read from; none if it names none."""
        found = self.said.get("keys")
        return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()

    @property
    def recorded(self) -> Mapping[str, Any]:
        """Commit, machine, releases and date of the recording; empty if it does not say."""
        found = self.said.get("recorded")
        return found if isinstance(found, dict) else {}

    @property
    def group(self) -> Group:
        """What cases that share an error rate have in common."""
        return self.id[0], self.test, str(self.said.get("measure")), str(self.said.get("footing"))

    def number(self, name: str) -> float | None:
        """A recorded number; None if it is missing, or was not finite."""
        found = self.said.get(name)
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


class Extent(StrEnum):
    """How much of a case moved, the most first."""

    TURNED = "turned"
    """Another verdict."""
    BEYOND = "beyond tolerance"
    """The number moved by more than its recorded tolerance."""
    WITHIN = "within tolerance"
    JUDGED = "judged otherwise"
    """The same number with another interval, p-value or threshold."""
    KEYS = "under other keys"
    """The same verdict and numbers, read from artifacts with other keys."""
    SAME = "as before"


JUDGEMENT = ("low", "high", "p_holds", "p_refuted", "smallest", "level", "threshold", "matters", "tolerance", "noise")
"""The numbers of a verdict beside its value."""

IN_WORDS = ("relation", "part", "gates", "needs", "cases", "n_rows", "n_clusters", "n_seeds", "rows_alone")
"""What else a verdict says that a reader would notice."""


@dataclass(frozen=True)
class Moved:
    """A case on both sides."""

    old: Case
    new: Case
    causes: tuple["Cause", ...] = ()

    @cached_property
    def extent(self) -> Extent:
        if self.old.outcome != self.new.outcome:
            return Extent.TURNED
        if self.step is None or not _same(self.old.number("value"), self.new.number("value")):
            return Extent.BEYOND if self.step is None or self.step > 1 else Extent.WITHIN
        if any(not _same(self.old.number(name), self.new.number(name)) for name in self.told(JUDGEMENT)):
            return Extent.JUDGED
        if any(self.old.said[name] != self.new.said[name] for name in self.told(IN_WORDS)):
            return Extent.JUDGED
        return Extent.KEYS if self.old.keys != self.new.keys else Extent.SAME

    def told(self, names: tuple[str, ...]) -> list[str]:
        """Those of some fields that both sides have: a field that an older version did not write has not moved."""
        return [name for name in names if name in self.old.said and name in self.new.said]

    @property
    def apart(self) -> float | None:
        """How far the number moved, with its sign; None if one side has no number and the other one has."""
        before, now = self.old.number("value"), self.new.number("value")
        if before is None and now is None:
            return 0.0
        return None if before is None or now is None else now - before

    @property
    def step(self) -> float | None:
        """How far it moved in units of its recorded tolerance, without sign; infinite if that is 0."""
        return None if self.apart is None else _in_units(self.apart, self.old.number("tolerance") or 0.0)

    @property
    def share(self) -> float | None:
        """How far it moved as a share of its interval, without sign; None without one."""
        low, high = self.old.number("low"), self.old.number("high")
        if low is None or high is None or low == high or self.apart is None:
            return None
        return abs(self.apart / (high - low))

    @property
    def turn(self) -> str:
        """The verdict, or both of them."""
        return " -> ".join(dict.fromkeys([self.old.outcome, self.new.outcome]))

    @property
    def has_same_number(self) -> bool:
        """Whether neither the number moved nor, as far as both sides say, the means that it was computed from."""
        return _same(self.old.number("value"), self.new.number("value")) and self.has_same_rows is not False

    @property
    def has_same_rows(self) -> bool | None:
        """Whether the tables that it was computed from have the same means; None if a side does not say."""
        before, now = self.old.said.get("leaves"), self.new.said.get("leaves")
        if not isinstance(before, list) or not isinstance(now, list):
            return None
        pairs = zip(before, now, strict=False)
        return len(before) == len(now) and all(_same(_mean(a), _mean(b)) for a, b in pairs)


@dataclass(frozen=True, order=True)
class Cause:
    """An input through which a case moved, or may have moved."""

    what: str
    """A name of `ws.changes.causes.TITLES`."""
    detail: str = ""


def _in_units(apart: float, unit: float) -> float:
    if apart == 0:
        return 0.0
    return abs(apart) / unit if unit > 0 else float("inf")


def _mean(leaf: Any) -> float | None:
    found = leaf[0] if isinstance(leaf, list) and leaf else None
    return float(found) if isinstance(found, int | float) else None


def _same(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is now
    return abs(now - before) <= ROUNDING * max(abs(before), abs(now))
