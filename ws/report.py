"""What a run said about each claim: records, and the tables made of them for a terminal and for Markdown."""

import json
import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ws.errors import DataError
from ws.verdict import Outcome, Verdict

Twins = tuple[str, ...]
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
RAW_ONLY = "holds raw only"
RANDOM_WEIGHTS = "random weights: numbers are compared, verdicts are shown but not asserted"


@dataclass(frozen=True)
class Record:
    """A verdict on one case of one claim, where it came from, and how it compares with its snapshot."""

    claim: str
    test: str
    case: str
    """The test's parameters without the model, such as `delora-lora-corrected`; empty if it has none."""
    measure: str | None
    """`raw` or `corrected` where the test is parametrized by it."""
    model: str
    random_weights: bool
    outcome: str
    value: float | None
    """Numbers are None where they are not finite, which JSON cannot say."""
    low: float | None
    high: float | None
    level: float | None
    threshold: float | None
    relation: str
    part: str
    tolerance: float | None
    tolerance_from: str
    n_rows: int
    n_clusters: int
    n_seeds: int
    gates: list[str]
    published: str
    device: str
    versions: dict[str, str]
    keys: list[str]
    """The store's keys of everything the numbers were computed from."""
    beside: list[str] = field(default_factory=list)
    """What a reader should see beside the number, such as the push towards Yes on plain facts."""
    snapshot: str = ""
    """`same`, `new`, `missing`, or what changed as old -> new; never part of the snapshot itself."""

    def to_snapshot(self) -> dict[str, Any]:
        """The fields worth recording, as JSON values."""
        return {name: value for name, value in asdict(self).items() if name != "snapshot"}


def numbers(verdict: Verdict) -> dict[str, Any]:
    """The fields of a record that its verdict fills, with None for numbers that are not finite."""
    return {name: _finite(value) for name, value in verdict.to_record().items()}


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def recorded(folder: Path) -> list[Record]:
    """The records of a model's snapshots.

    Raises: DataError if the folder holds none, or one that this version did not write.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise DataError(f"no snapshots in {folder}; record them with `pytest claims/ --snapshot-update`")
    try:
        return [Record(**json.loads(file.read_text(encoding="utf-8")), snapshot="recorded") for file in files]
    except (ValueError, TypeError) as error:
        raise DataError(f"a snapshot in {folder} is not what this version writes ({error}); record it anew") from None


TABLE_START, TABLE_END = "<!-- table -->", "<!-- end of table -->"


def with_table(page: str, table: str) -> str:
    """A page with `table` between its markers, in place of what stood there.

    Raises: DataError if the page does not have both markers, in order.
    """
    head, start, rest = page.partition(TABLE_START)
    _, end, tail = rest.partition(TABLE_END)
    if not start or not end:
        raise DataError(f"the page lacks {TABLE_START} or, after it, {TABLE_END}; add both where the table belongs")
    return f"{head}{start}\n{table}{end}{tail}"


def ordered(records: Iterable[Record]) -> list[Record]:
    """Records by model, claim, test and case, whatever order they were made in."""
    return sorted(records, key=lambda record: (record.model, record.claim, record.test, record.case))


def held_raw(records: Iterable[Record]) -> set[Twins]:
    """The cases whose raw measure holds, named so that their corrected twins have the same name."""
    return {_twins(record) for record in records if record.measure == "raw" and record.outcome == Outcome.HOLDS}


def is_raw_only(record: Record, held: set[Twins]) -> bool:
    """Whether a corrected record does not hold although its raw twin is in `held`."""
    return record.measure == "corrected" and record.outcome != Outcome.HOLDS and _twins(record) in held


def _twins(record: Record) -> Twins:
    case = re.sub(rf"(?<![^-]){re.escape(record.measure or '')}(?![^-])", "*", record.case)
    return record.model, record.claim, record.test, case


def number(x: float | None) -> str:
    """A number with the digits a reader can use."""
    if x is None:
        return "n/a"
    return f"{x:.2f}" if abs(x) >= 0.1 or x == 0 else f"{x:.3f}"


def sentence(test: str) -> str:
    """A test's name as words."""
    return test.removeprefix("test_").replace("_", " ")


def effect(record: Record) -> str:
    """The value, its interval, what it is compared with, why it cannot be trusted if so, what else to see."""
    part = f" ({record.part})" if record.part else ""
    shown = f"{number(record.value)} [{number(record.low)}, {number(record.high)}] {record.relation}{part}"
    return "\n".join([shown, *record.gates, *record.beside])


def terminal(records: Iterable[Record], *, width: int = 80, colour: bool = False) -> str:
    """One table a model, no line longer than `width`; plain text unless in colour."""
    records = ordered(records)
    held = held_raw(records)
    models = [_of_model(list(group), held, width) for _, group in groupby(records, key=lambda record: record.model)]
    out = StringIO()
    system = "standard" if colour else None
    console = Console(file=out, width=width, force_terminal=colour, color_system=system, markup=False)
    console.print(Group(*models), highlight=False)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _of_model(records: list[Record], held: set[Twins], width: int) -> RenderableType:
    columns = _columns(width)
    header = _grid(columns)
    header.add_row("claim and case", "effect [interval]", "verdict", "snapshot", style="bold")
    tests = groupby(records, key=lambda record: (record.claim, record.test))
    body = [part for _, group in tests for part in _of_test(list(group), held, columns)]
    return Group(Text(_title(records), style="bold"), header, *body, Text(_summary(records)), Text())


def _title(records: list[Record]) -> str:
    devices = ", ".join(sorted({record.device for record in records}))
    seeds = " or ".join(str(n) for n in sorted({record.n_seeds for record in records}))
    return f"{records[0].model} ({devices}, {seeds} seed{'' if seeds == '1' else 's'})"


def _summary(records: list[Record]) -> str:
    counts = Counter(record.outcome for record in records)
    found = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    note = f"\n{RANDOM_WEIGHTS}" if any(record.random_weights for record in records) else ""
    return f"{len(records)} case{'' if len(records) == 1 else 's'}: {found}{note}"


def _columns(width: int) -> Columns:
    gaps = 3
    case = max(12, width - gaps - EFFECT_WIDTH - VERDICT_WIDTH - SNAPSHOT_WIDTH)
    return case, EFFECT_WIDTH, VERDICT_WIDTH, SNAPSHOT_WIDTH


def _grid(columns: Columns) -> Table:
    grid = Table.grid(padding=(0, 1))
    for width in columns:
        grid.add_column(width=width, overflow="fold")
    return grid


def _of_test(records: list[Record], held: set[Twins], columns: Columns) -> list[RenderableType]:
    grid = _grid(columns)
    for record in records:
        note = f"\n{RAW_ONLY}" if is_raw_only(record, held) else ""
        verdict = Text(record.outcome, style=STYLES[Outcome(record.outcome)]).append(note, style="yellow")
        grid.add_row(_case(record.case or "(one case)", columns[0]), effect(record), verdict, record.snapshot)
    return [Text(_heading(records[0], sum(columns) + 3)), grid]


def _heading(record: Record, width: int) -> str:
    published = f" (published: {record.published})" if record.published else ""
    text = f"{record.claim}  {sentence(record.test)}{published}"
    return textwrap.fill(text, width, subsequent_indent=" " * (len(record.claim) + 2))


def _case(case: str, width: int) -> str:
    """A case's name, indented and wrapped behind hyphens, underscores and blanks rather than within words."""
    lines = [""]
    for piece in re.findall(r"[^-_ ]*[-_ ]|[^-_ ]+", case):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width - 2:
            lines.append("")
        lines[-1] += piece
    return "\n".join(f"  {line}" for line in lines)


def markdown(records: Iterable[Record]) -> str:
    """One table a model, each under its own heading."""
    records = ordered(records)
    held = held_raw(records)
    models = (list(group) for _, group in groupby(records, key=lambda record: record.model))
    return "\n".join(_markdown_of_model(model, held) for model in models)


def summary(records: Iterable[Record]) -> str:
    """One table a model with a line per claim test: how many of its cases came out how."""
    models = groupby(ordered(records), key=lambda record: record.model)
    return "\n".join(_summary_of_model(list(group)) for _, group in models)


def _summary_of_model(records: list[Record]) -> str:
    head = ["claim", "in words", *map(str, Outcome), "published"]
    tests = groupby(records, key=lambda record: (record.claim, record.test))
    lines = [_markdown_row(cells) for cells in (head, ["---"] * len(head))]
    lines += [_markdown_row(_counted(list(group))) for _, group in tests]
    return "\n".join([f"### {_title(records)}", "", *lines, "", _summary(records).replace("\n", "; "), ""])


def _counted(records: list[Record]) -> list[str]:
    counts = Counter(record.outcome for record in records)
    shown = [str(counts[outcome] or "") for outcome in Outcome]
    return [records[0].claim, sentence(records[0].test), *shown, records[0].published]


def _markdown_of_model(records: list[Record], held: set[Twins]) -> str:
    head = ["claim", "case", "effect [interval]", "verdict", "snapshot", "published"]
    rows = [_markdown_cells(record, held) for record in records]
    lines = [_markdown_row(cells) for cells in (head, ["---"] * len(head), *rows)]
    summary = _summary(records).replace("\n", "; ")
    return "\n".join([f"### {_title(records)}", "", *lines, "", summary, ""])


def _markdown_cells(record: Record, held: set[Twins]) -> list[str]:
    case = f": {record.case}" if record.case else ""
    verdict = f"{record.outcome} ({RAW_ONLY})" if is_raw_only(record, held) else record.outcome
    shown = effect(record).replace("\n", "; ")
    return [record.claim, sentence(record.test) + case, shown, verdict, record.snapshot, record.published]


def _markdown_row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
