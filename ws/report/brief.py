"""What a run found, on one screen: counts, what changed, and a few marks for each claim."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import groupby
from typing import Literal

from rich.console import Console
from rich.text import Text

from ws.report.held import NOT_COMPARED, NOT_RECORDED
from ws.report.terminal import STYLES, beside, terminal
from ws.report.verdicts import RANDOM_WEIGHTS, Record, flips, number, ordered, title
from ws.stats.verdict import Outcome

MARKS = {Outcome.HOLDS: "+", Outcome.REFUTED: "-", Outcome.INCONCLUSIVE: "?", Outcome.INVALID: "x"}
"""The mark behind the number of a claim's cases with an outcome."""
QUIET = frozenset({"same", "new", "recorded", NOT_COMPARED, NOT_RECORDED})
"""What a snapshot may be without anybody having to look."""
MOST_CHANGED = 8
"""So many changed cases are named; the rest is counted."""
CELL = 26
"""Room for `C05  12+ 108- 24? 18x` and a gap: three claims in 80 columns."""


SCREEN = 40
"""So many lines are looked at without scrolling."""


def on_a_screen(records: Iterable[Record], *, width: int = 80, colour: bool = False) -> str:
    """The table of a run's verdicts without the lines beside its numbers; marks for each claim if that is too long."""
    found = list(records)
    table = terminal(found, width=width, colour=colour, folded=True)
    return table if table.count("\n") <= SCREEN else brief(found, width=width, colour=colour)


def brief(records: Iterable[Record], *, width: int = 80, colour: bool = False) -> str:
    """A screen for each model, no line longer than `width`; plain text unless in colour."""
    out = StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    console = Console(file=out, width=width, force_terminal=colour, color_system=system, markup=False)
    for _, group in groupby(ordered(records), key=lambda record: record.model):
        for line in _of_model(list(group), width):
            console.print(line, highlight=False, no_wrap=True, overflow="ellipsis")
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _of_model(records: list[Record], width: int) -> Iterator[Text]:
    yield Text(title(records), style="bold")
    counts = Counter(Outcome(record.outcome) for record in records)
    claims = {record.claim for record in records}
    yield Text(f"{len(records)} cases of {len(claims)} claims:")
    yield Text(", ").join(_counted(counts, {one: f" {one} ({MARKS[one]})" for one in Outcome}))
    yield from (Text(line) for line in _remarks(records))
    yield from _changed([record for record in records if record.snapshot not in QUIET])
    yield Text()
    cells = [_of_claim(claim, list(group)) for claim, group in groupby(records, key=lambda record: record.claim)]
    across = max(1, width // CELL)
    for row in (cells[k : k + across] for k in range(0, len(cells), across)):
        yield Text().join([*_padded(row[:-1]), row[-1]])


def _counted(counts: Counter[Outcome], names: dict[Outcome, str]) -> list[Text]:
    """How often there is each outcome that there is, in its colour."""
    return [Text(f"{counts[one]}{names[one]}", style=STYLES[one]) for one in Outcome if counts[one]]


def _of_claim(claim: str, records: Sequence[Record]) -> Text:
    counts = Counter(Outcome(record.outcome) for record in records)
    return Text(f"{claim:<4} ").append(Text(" ").join(_counted(counts, {one: MARKS[one] for one in Outcome})))


def _padded(cells: Sequence[Text]) -> Iterator[Text]:
    for cell in cells:
        cell.pad_right(max(1, CELL - cell.cell_len))
        yield cell


def _remarks(records: Sequence[Record]) -> Iterator[str]:
    if turned := flips(list(records)):
        yield f"verdicts that flip from coefficient 1 to iso-KL: {turned}"
    if any(record.random_weights for record in records):
        yield RANDOM_WEIGHTS
    if n := beside(records):
        yield n


def _changed(records: Sequence[Record]) -> Iterator[Text]:
    """The cases that are not what their snapshots say, by name while they are few."""
    for record in records[:MOST_CHANGED]:
        case = f" {record.case}" if record.case else ""
        yield Text(f"{record.snapshot:<12} {record.claim}{case}: {record.outcome} {number(record.value)}", style="red")
    if len(records) > MOST_CHANGED:
        yield Text(f"and {len(records) - MOST_CHANGED} more that are not as recorded", style="red")
