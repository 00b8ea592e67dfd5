"""A recorded verdict as a reader of the page sees it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ws.adapters import FAMILIES
from ws.report.verdicts import ISO_KL, ONE, Outcomes, Record, in_words, notes, number
from ws.stats.verdict import Outcome, in_full

FOOTINGS = {ONE: "coefficient 1", ISO_KL: "equal KL"}
"""The footings in words."""

SMALLEST = 1e-3
"""Below this, the three digits behind the point that numbers have are 0."""

NO_MEASURE = "other"
"""What stands for the measure of a case that has none, since its test asks one number only."""

MEASURES = ("raw", "corrected", "dilemmas", "text", "written", NO_MEASURE)
"""The order in which measures are shown."""

VERDICTS = {
    Outcome.HOLDS: ("h", "the numbers tell that the claim is so"),
    Outcome.REFUTED: ("r", "the numbers tell that it is not so"),
    Outcome.INCONCLUSIVE: ("o", "they tell neither"),
    Outcome.INVALID: ("x", "a gate tripped, so they cannot be trusted"),
}
"""For each verdict its class in the style sheet, which gives it a shape and a colour, and what it says."""


@dataclass(frozen=True)
class Case:
    """One case of a claim."""

    record: Record
    remarks: tuple[str, ...]
    """Lines below its number: gates, what an open case could have told, what a twin came out as, side effects."""

    @property
    def measure(self) -> str:
        return self.record.measure or NO_MEASURE

    @property
    def footing(self) -> str:
        """In words; empty if its test has none."""
        return FOOTINGS.get(self.record.footing or "", "")

    @property
    def name(self) -> str:
        """The case without its measure and its footing; empty if nothing else varies."""
        parts = filter(None, (self.record.measure, self.record.footing))
        rest = self.record.case
        for part in parts:
            rest = re.sub(rf"(?:^|-){re.escape(part)}(?=-|$)", "", rest, count=1)
        return rest.strip("-")

    @property
    def families(self) -> tuple[str, ...]:
        """The adapter families that the case, or else its test, names."""
        return families_in(self.record.case) or families_in(self.record.test)

    @property
    def look(self) -> str:
        """The class of its verdict in the style sheet."""
        return VERDICTS[Outcome(self.record.outcome)][0]

    @property
    def cells(self) -> tuple[object, ...]:
        """Its numbers as recorded, under the heads of COLUMNS between `case` and `read from`."""
        r = self.record
        interval = map(figure, (r.value, r.low, r.high))
        doubts = (figure(r.p_holds), figure(r.p_refuted), r.cases)
        counts = (r.n_seeds, r.n_clusters, r.n_rows)
        return (*interval, in_full(r), r.outcome, *doubts, *counts, figure(r.tolerance), r.tolerance_from)

    @property
    def number(self) -> str:
        """The value with its interval, and what it is compared with."""
        r = self.record
        return f"{short(r.value)} [{short(r.low)}, {short(r.high)}] {in_full(r)}"


COLUMNS = (
    *("case", "value", "low", "high", "compared", "verdict", "p holds", "p refuted", "of cases"),
    *("seeds", "clusters", "rows", "tolerance", "set by", "read from"),
)
"""The heads of a table of numbers."""


def figure(x: float | None) -> str:
    """A number as it is recorded, to 6 digits."""
    return "" if x is None else f"{x:.6g}"


def short(x: float | None) -> str:
    """A number in few digits, of which one at least is not 0."""
    return f"{x:.1e}" if x is not None and 0 < abs(x) < SMALLEST else number(x)


def families_in(name: str) -> tuple[str, ...]:
    """The adapter families among the words of a name."""
    words = set(re.split(r"[-_ ]", name))
    return tuple(family for family in FAMILIES if family in words)


def case_of(record: Record, twins: Outcomes) -> Case:
    """A record with its remarks, of which its twins are a part."""
    part = [record.part] if record.part else []
    # The first line of it is the number.
    said = in_words(record).split("\n")[1:]
    return Case(record, (*part, *notes(record, twins), *said))


def by_measure(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """Cases by measure, in the order of MEASURES; measures that no one listed come last."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.measure, []).append(case)
    known = {name: place for place, name in enumerate(MEASURES)}
    return {name: found[name] for name in sorted(found, key=lambda name: known.get(name, len(known)))}
