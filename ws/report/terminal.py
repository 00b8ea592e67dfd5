"""The table of a run's verdicts, for a terminal."""

import re
import textwrap
from collections.abc import Iterable
from io import StringIO
from itertools import groupby
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ws.report.verdicts import Record, in_words, notes, ordered, outcomes, sentence, tally, title
from ws.stats.verdict import Outcome

Columns = tuple[int, int, int, int]

STYLES = {
    Outcome.HOLDS: "green",
    Outcome.REFUTED: "red",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.INVALID: "magenta",
}
# Room for "-12.25 [-13.10, -11.60] > 0", "holds raw only" and INCONCLUSIVE; the rest of 80 columns takes a
# case such as `delora-lora-corrected`.
EFFECT_WIDTH, VERDICT_WIDTH, SNAPSHOT_WIDTH = 28, 14, 12


def terminal(records: Iterable[Record], *, width: int = 80, colour: bool = False, folded: bool = False) -> str:
    """One table a model, no line longer than `width`; plain text unless in colour.

    `folded` leaves out what stands beside the numbers, and counts it.
    """
    groups = groupby(ordered(records), key=lambda record: record.model)
    models = [_of_model(list(group), width, folded) for _, group in groups]
    out = StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    console = Console(file=out, width=width, force_terminal=colour, color_system=system, markup=False)
    console.print(Group(*models), highlight=False)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def beside(records: Iterable[Record]) -> str:
    """How many lines stand beside the numbers of some cases, in words; empty if there is none."""
    n = sum(in_words(record).count("\n") for record in records)
    lines = "1 line" if n == 1 else f"{n} lines"
    return f"beside the numbers: {lines} of gates and side measures, which -v shows" if n else ""


def _of_model(records: list[Record], width: int, folded: bool) -> RenderableType:
    columns = _columns(width)
    header = _grid(columns)
    header.add_row("claim and case", "effect [interval]", "verdict", "snapshot", style="bold")
    tests = groupby(records, key=lambda record: (record.claim, record.test))
    body = [part for _, group in tests for part in _of_test(list(group), columns, folded)]
    said = [tally(records), *filter(None, [beside(records) if folded else ""])]
    return Group(Text(title(records), style="bold"), header, *body, Text("\n".join(said)), Text())


def _columns(width: int) -> Columns:
    gaps = 3
    case = max(12, width - gaps - EFFECT_WIDTH - VERDICT_WIDTH - SNAPSHOT_WIDTH)
    return case, EFFECT_WIDTH, VERDICT_WIDTH, SNAPSHOT_WIDTH


def _grid(columns: Columns) -> Table:
    grid = Table.grid(padding=(0, 1))
    for width in columns:
        grid.add_column(width=width, overflow="fold")
    return grid


def _of_test(records: list[Record], columns: Columns, folded: bool) -> list[RenderableType]:
    grid = _grid(columns)
    found = outcomes(records)
    for record in records:
        said = "".join(f"\n{note}" for note in notes(record, found))
        verdict = Text(record.outcome, style=STYLES[Outcome(record.outcome)]).append(said, style="yellow")
        words = in_words(record)
        shown = words.partition("\n")[0] if folded else words
        grid.add_row(_case(record.case or "(one case)", columns[0]), shown, verdict, record.snapshot)
    return [Text(_heading(records[0], sum(columns) + 3)), grid]


def _heading(record: Record, width: int) -> str:
    published = f" (published: {record.published})" if record.published else ""
    text = f"{record.claim}  {sentence(record.test, record.behavior)}{published}"
    return textwrap.fill(text, width, subsequent_indent=" " * (len(record.claim) + 2))


def _case(case: str, width: int) -> str:
    """A case's name, indented, with line breaks after hyphens, underscores and blanks rather than within words."""
    lines = [""]
    for piece in re.findall(r"[^-_ ]*[-_ ]|[^-_ ]+", case):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width - 2:
            lines.append("")
        lines[-1] += piece
    return "\n".join(f"  {line}" for line in lines)
