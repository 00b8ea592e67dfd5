"""A forest plot as SVG: each case of a claim with its interval and its verdict, raw and corrected side by side.

The background is transparent, and the grey can be read on a light and on a dark page.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from ws.errors import DataError
from ws.report.register import Entry
from ws.report.verdicts import Record, number, ordered, sentence, tally, title
from ws.stats.verdict import Outcome

COLOURS = {
    Outcome.HOLDS: "#2e9e5b",
    Outcome.REFUTED: "#d1453b",
    Outcome.INCONCLUSIVE: "#b8860b",
    Outcome.INVALID: "#9b59b6",
}
SHAPES = {
    Outcome.HOLDS: "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    Outcome.REFUTED: "m-4-4l8 8m-8 0l8-8",
    Outcome.INCONCLUSIVE: "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    Outcome.INVALID: "m-5 0l5-5l5 5l-5 5z",
}
"""The shape of each verdict around a point, as a path: disc, cross, ring, diamond. Not everybody tells the colours."""

GREY = "#7a8088"
LABELS, LETTER, PANEL, WORDS, LINE, MARGIN = 90.0, 6.5, 215.0, 122.0, 24.0, 12.0
"""In pixels: least width of the cases' names, widths of a letter, a panel and the verdicts beside it; heights of a
line and a margin."""

APART = 36.0
"""Pixels between two numbers below an axis, at least."""


def forest(records: Iterable[Record], entry: Entry) -> str:
    """The plot of a claim's cases on one model: those with a measure, or all if no case has a measure.

    Raises: DataError if there is nothing to draw.
    """
    found = [record for record in ordered(records) if record.claim == entry.id and _has_interval(record)]
    drawn = [record for record in found if record.measure] or found
    if not drawn:
        raise DataError(f"no case of {entry.id} has a number to draw; record some with --snapshot-update")
    measures = list(dict.fromkeys(record.measure for record in drawn))[::-1]  # raw first
    scales = [_Scale([record for record in drawn if record.measure == measure]) for measure in measures]
    rows = _rows(drawn)
    labels = max(LABELS, *(20 + LETTER * len(_name(record)) for record in drawn))
    width, top = labels + len(measures) * (PANEL + WORDS) + MARGIN, 3 * LINE
    height = top + len(rows) * LINE + 2 * LINE
    parts = [_text(0.0, LINE - 6, f"{entry.id}: {entry.sentence}", size=15, bold=True)]
    parts.append(_text(0.0, 2 * LINE - 10, f"{title(drawn)}; dashed: what the claim compares with"))
    for place, (measure, scale) in enumerate(zip(measures, scales, strict=True)):
        left = labels + place * (PANEL + WORDS)
        parts += _panel(left, top, rows, scale, measure or "")
        parts += [
            mark for line, row in enumerate(rows) for mark in _marks(left, top + line * LINE, scale, row, measure)
        ]
    parts += [_label(top + line * LINE, row) for line, row in enumerate(rows)]
    box = f'viewBox="{-MARGIN:.0f} 0 {width + MARGIN:.0f} {height:.0f}" width="{width + MARGIN:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img"'
    style = f'font-family="system-ui, sans-serif" font-size="12" fill="{GREY}" stroke-width="2"'
    said = f"<title>{escape(entry.sentence)}</title>\n<desc>{escape(tally(drawn))}</desc>"
    return "\n".join([f"{head} {style}>", said, *parts, "</svg>", ""])


def _has_interval(record: Record) -> bool:
    return None not in (record.low, record.value, record.high)


class _Scale:
    """The mapping from values to pixels in a panel."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.thresholds = sorted({record.threshold for record in records if record.threshold is not None})
        ends = [end for record in records for end in (record.low, record.high, record.value) if end is not None]
        self.low, self.high = min(ends + self.thresholds), max(ends + self.thresholds)
        self._unit = PANEL / ((self.high - self.low) or 1.0)

    def x(self, value: float) -> float:
        return (value - self.low) * self._unit

    def is_apart(self, one: float, other: float) -> bool:
        """Whether numbers at both places can be read, or they are the same."""
        return one != other and abs(self.x(one) - self.x(other)) >= APART


Row = str | list[Record]
"""A heading (the name of a test in words), or the records of one of its cases, one for each measure."""


def _rows(records: list[Record]) -> list[Row]:
    rows: list[Row] = []
    for test, of_test in groupby(records, key=lambda record: record.test):
        cases = list(of_test)
        rows.append(sentence(test, cases[0].behavior))
        rows += [list(group) for _, group in groupby(cases, key=_name)]
    return rows


def _name(record: Record) -> str:
    """The name of a case without its measure."""
    return "-".join(part for part in record.case.split("-") if part != record.measure)


def _label(y: float, row: Row) -> str:
    return _text(0.0, y + 16, row, bold=True) if isinstance(row, str) else _text(10.0, y + 16, _name(row[0]))


def _panel(left: float, top: float, rows: list[Row], scale: _Scale, measure: str) -> list[str]:
    bottom = top + len(rows) * LINE
    ends = [end for end in (scale.low, scale.high) if all(scale.is_apart(end, at) for at in scale.thresholds)]
    at = [*scale.thresholds, *ends]
    ticks = [_text(left + scale.x(value), bottom + 18, number(value), anchor="middle") for value in at]
    dashed = [
        f'<line x1="{left + scale.x(value):.1f}" x2="{left + scale.x(value):.1f}" y1="{top + line * LINE:.0f}" '
        f'y2="{top + line * LINE + LINE:.0f}" stroke="{GREY}" stroke-width="1" stroke-dasharray="3 3"/>'
        for value in scale.thresholds
        for line, row in enumerate(rows)
        if not isinstance(row, str)
    ]
    name = _text(left + PANEL / 2, bottom + 2 * LINE - 10, measure, anchor="middle", bold=True)
    axis = f'<line x1="{left}" x2="{left + PANEL}" y1="{bottom}" y2="{bottom}" stroke="{GREY}" stroke-width="1"/>'
    return [axis, *dashed, *ticks, name]


def _marks(left: float, y: float, scale: _Scale, row: Row, measure: str | None) -> list[str]:
    return [
        mark
        for record in row
        if not isinstance(record, str) and record.measure == measure
        for mark in _interval(left, y + 12, scale, record)
    ]


def _interval(left: float, y: float, scale: _Scale, record: Record) -> list[str]:
    colour = COLOURS[Outcome(record.outcome)]
    shape, fill = SHAPES[Outcome(record.outcome)], _fill(record, colour)
    low, value, high = (left + scale.x(end) for end in (record.low, record.value, record.high) if end is not None)
    return [
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}"/>',
        f'<path d="M{value:.1f} {y:.1f}{shape}" stroke="{colour}" fill="{fill}"/>',
        _text(left + PANEL + 10, y + 4, record.outcome, colour=colour),
    ]


def _fill(record: Record, colour: str) -> str:
    return colour if record.outcome == Outcome.HOLDS else "#ffffff"


def _text(
    x: float, y: float, words: str, *, size: int = 12, bold: bool = False, anchor: str = "", colour: str = ""
) -> str:
    look = f' font-size="{size}"' if size != 12 else ""
    look += ' font-weight="600"' if bold else ""
    look += f' text-anchor="{anchor}"' if anchor else ""
    look += f' fill="{colour}"' if colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{look}>{escape(words)}</text>'
