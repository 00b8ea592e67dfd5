"""One line of a forest plot: intervals with a shape at their value, and lines at what they are compared with.

Places are in percent, so that a strip is as wide as the page lets it be, and its shapes keep their form. A strip says
nothing to a screen reader, since its numbers stand beside it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from ws.html.cases import Case
from ws.html.scale import Scale, scale


class Mark(NamedTuple):
    """A number on a strip."""

    shape: str
    """One of the shapes that the page defines: `h` a disc, `r` a cross, `o` a ring, `x` a diamond."""
    value: float
    low: float | None
    high: float | None
    look: str = ""
    """Its class in the style sheet, if it is not to look as its line does."""


def axis_of(marks: Iterable[Mark], compared: Iterable[float] = ()) -> Scale | None:
    """The axis of all these marks and of what they are compared with; None without a mark."""
    drawn = list(marks)
    if not drawn:
        return None
    intervals = [(one.low, one.high) for one in drawn if one.low is not None and one.high is not None]
    return scale([*(one.value for one in drawn), *compared], intervals)


def drawn(on: Scale | None, marks: Sequence[Mark], compared: Iterable[float] = ()) -> Markup:
    """The drawing of a line; empty without a mark."""
    if on is None or not marks:
        return Markup("")
    lines = "".join(f'<rect class="t" x="{on.percent(at)}%"/>' for at in compared)
    return Markup(f'<svg aria-hidden="true">{lines}{"".join(_marked(on, one) for one in marks)}</svg>')


def _marked(on: Scale, mark: Mark) -> str:
    look = f' class="{mark.look}"' if mark.look else ""
    low, high = (on.percent(mark.value if end is None else end) for end in (mark.low, mark.high))
    interval = f'<rect{look} x="{low:g}%" width="{high - low:.4g}%"/>'
    beyond = [
        f'<use{look} href="#to-{side}" x="{at}%" y="50%"/>'
        for side, at, end in (("left", 0, mark.low), ("right", 100, mark.high))
        if end is not None and not on.holds(end)
    ]
    return f'{interval}{"".join(beyond)}<use{look} href="#mark-{mark.shape}" x="{on.percent(mark.value)}%" y="50%"/>'


def scale_of(cases: Iterable[Case]) -> Scale | None:
    """The axis that cases of one measure share; None if none of them has a finite number."""
    found = list(cases)
    return axis_of(
        (mark for case in found for mark in _marks(case)),
        (at for case in found if case.record.value is not None for at in _compared(case)),
    )


def strip(case: Case, on: Scale | None) -> Markup:
    """The drawing of a case; empty without a number."""
    return drawn(on, _marks(case), _compared(case))


def axis(on: Scale | None) -> Markup:
    """The numbers below the strips of one panel."""
    if on is None:
        return Markup("")
    labels = "".join(f'<text x="{on.percent(at)}%" y="11">{at:.10g}</text>' for at in on.ticks)
    return Markup(f'<svg><rect width="100%"/>{labels}</svg>')


def is_margin(relation: str) -> bool:
    """Whether a comparison is with a number on both sides of 0."""
    return relation.startswith("within")


def _marks(case: Case) -> tuple[Mark, ...]:
    r = case.record
    return () if r.value is None else (Mark(case.look, r.value, r.low, r.high),)


def _compared(case: Case) -> tuple[float, ...]:
    at = case.record.threshold
    if at is None:
        return ()
    return (-at, at) if is_margin(case.record.relation) else (at,)
