"""The joint table for a terminal, as Markdown and as CSV."""

import math
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Literal

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ws.report.joint import MEASURES, Joint, Line, Side
from ws.report.verdicts import number
from ws.stats.estimate import Estimate

# Room for "+0.123 [-0.123, +0.123]*" or TOO_SMALL twice, "corrected" and "drop base top 90"; together 80 columns.
COLUMNS = {"part of dW": 17, "measure": 9, "keep": 23, "drop": 23, "norm": 4}
SIDES = ("keep", "drop")
TOO_SMALL = "denominator too small"
HEAD = ("lens", "measure", "keep effect", "drop effect", "retained keep", "retained drop", "norm keep", "norm drop")

UNITS = "effect: nats per row at coefficient +1 less those at 0, with a 95% interval over seeds and questions"
SHARE = "below it the share that is retained of the effect of the whole dW; where K is given, of its residual writes"
SMALL = f"{TOO_SMALL}: the interval of that effect holds 0, so a share of it says nothing"
NORM = "norm: that of keep over that of the whole dW, below it that of drop"
GATED = "* a gate tripped, such as: "


def title(joint: Joint) -> str:
    """A title that says what the table shows."""
    return f"Keep and drop on {joint.model}, {joint.n_seeds} seed{'' if joint.n_seeds == 1 else 's'}"


def interval(estimate: Estimate) -> str:
    """A number with its interval, and a star where a gate tripped."""
    low, high = estimate.interval()
    return f"{number(estimate.value)} [{number(low)}, {number(high)}]{'*' if estimate.gates else ''}"


def effect(line: Line, side: str) -> str:
    """The effect of a side; empty if the line has no such side."""
    return interval(line.sides[side].effect) if side in line.sides else ""


def retained(line: Line, side: str) -> str:
    """The retained share as text, or why there is none."""
    if side not in line.sides:
        return ""
    return interval(line.sides[side].retained) if line.has_denominator else TOO_SMALL


def norm(line: Line, side: str) -> str:
    """The norm of a side over that of dW."""
    return f"{line.sides[side].norm_share:.2f}" if side in line.sides else ""


def notes(joint: Joint) -> list[str]:
    """Explanations of the marks in the table."""
    gates = sorted({gate for line in joint.lines for gate in line.gates})
    small = [SMALL] if not all(line.has_denominator for line in joint.lines) else []
    return [UNITS, SHARE, NORM, *small, *([GATED + gates[0]] if gates else [])]


def terminal(joint: Joint, *, width: int = 80, colour: bool = False) -> str:
    """The table for a terminal of 80 columns or more; plain text unless in colour."""
    out = StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    console = Console(file=out, width=width, force_terminal=colour, color_system=system, markup=False)
    families = [_of_family(joint.of(family=name)) for name in joint.families]
    console.print(Group(Text(title(joint), style="bold"), *families, *map(Text, notes(joint))), highlight=False)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _of_family(lines: list[Line]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    for width in COLUMNS.values():
        grid.add_column(width=width, overflow="fold")
    grid.add_row(*COLUMNS, style="bold")
    for first, line in zip([None, *lines], lines, strict=False):
        name = "" if first is not None and first.view == line.view else line.view.name
        cells = ("\n".join(filter(None, (effect(line, one), retained(line, one)))) for one in SIDES)
        norms = "\n".join(filter(None, (norm(line, one) for one in SIDES)))
        grid.add_row(name, line.measure, *cells, norms)
    return Group(Text(), Text(whole(lines), style="bold"), grid, Text())


def whole(lines: Sequence[Line]) -> str:
    """A family and the effect of its whole dW under each measure."""
    effects = {line.measure: line.whole for line in lines}
    shown = ", ".join(f"{measure} {interval(effects[measure])}" for measure in MEASURES)
    return f"{lines[0].family}: whole dW {shown}"


def cells(line: Line) -> tuple[str, ...]:
    """A line as the texts under HEAD."""
    texts = (shown(line, side) for shown in (effect, retained, norm) for side in SIDES)
    return (line.view.name, line.measure, *texts)


def markdown(joint: Joint) -> str:
    """The table as Markdown, one for each family."""
    parts = [f"## {title(joint)}", ""]
    for name in joint.families:
        lines = joint.of(family=name)
        rows = map(_markdown_row, (HEAD, ["---"] * len(HEAD), *map(cells, lines)))
        parts += [f"### {whole(lines)}", "", *rows, ""]
    return "\n".join([*parts, *(f"- {note}" for note in notes(joint)), ""])


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('*', chr(92) + '*') for cell in cells)} |"


def csv(joint: Joint) -> str:
    """The table with every number in full; a share without a denominator is left empty."""
    return pd.DataFrame([_record(joint, line) for line in joint.lines]).to_csv(index=False)


def _record(joint: Joint, line: Line) -> dict[str, object]:
    record: dict[str, object] = {
        "model": joint.model,
        "family": line.family,
        "lens": line.view.name,
        "group": line.view.group,
        "measure": line.measure,
        **_numbers("whole", line.whole),
    }
    for side in SIDES:
        record |= _side(side, line.sides[side], line.has_denominator) if side in line.sides else {}
    size = {"seeds": line.whole.n_seeds, "rows": line.whole.n_rows, "clusters": line.whole.n_clusters}
    return record | size | {"denominator": "" if line.has_denominator else "too small", "gates": "; ".join(line.gates)}


def _side(name: str, side: Side, has_denominator: bool) -> dict[str, float]:
    retained = _numbers(f"{name}_retained", side.retained)
    if not has_denominator:
        retained = dict.fromkeys(retained, math.nan)
    return _numbers(f"{name}_effect", side.effect) | retained | {f"{name}_norm_share": side.norm_share}


def _numbers(name: str, estimate: Estimate) -> dict[str, float]:
    low, high = estimate.interval()
    return {name: estimate.value, f"{name}_low": low, f"{name}_high": high}
