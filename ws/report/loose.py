"""The recorded cases whose number could turn its sign within its tolerance, which no run would notice."""

from collections import Counter
from collections.abc import Iterable

from ws.report.markdown import row
from ws.report.verdicts import Record, number, ordered


def loose(records: Iterable[Record]) -> str:
    """A table of these cases, and how many there are of all, by what sets their tolerance."""
    found = ordered(records)
    turning = [record for record in found if _may_turn(record)]
    head = ["claim", "test", "case", "value", "tolerance", "from"]
    lines = [head, ["---"] * len(head), *map(_cells, turning)]
    counts = Counter(record.tolerance_from for record in turning)
    by = "".join(f"; {n} by {said}" for said, n in counts.most_common())
    return "\n".join([*map(row, lines), "", f"{len(turning)} of {len(found)} cases{by}", ""])


def _may_turn(record: Record) -> bool:
    return record.value is not None and abs(record.value) <= (record.tolerance or 0.0)


def _cells(record: Record) -> list[str]:
    numbers = f"{record.value:.3g}", number(record.tolerance)
    return [record.claim, record.test, record.case, *numbers, record.tolerance_from]
