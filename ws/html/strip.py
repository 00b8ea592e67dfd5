"""One case of a forest plot: its interval, its value as a shape of its verdict, and what it is compared with.

Places are in percent, so that a strip is as wide as the page lets it be, and its shapes keep their form. A strip says
nothing to a screen reader, since its numbers stand beside it.
"""

from collections.abc import Iterable

from markupsafe import Markup

from ws.html.cases import Case
from ws.html.scale import Scale, scale


def scale_of(cases: Iterable[Case]) -> Scale | None:
    """The axis that cases of one measure share; None if none of them has a finite number."""
    drawn = [case.record for case in cases if case.record.value is not None]
    if not drawn:
        return None
    values = [x for one in drawn for x in (one.value, one.threshold) if x is not None]
    margins = [-one.threshold for one in drawn if one.threshold is not None and is_margin(one.relation)]
    return scale(
        [*values, *margins], [(one.low, one.high) for one in drawn if one.low is not None and one.high is not None]
    )


def is_margin(relation: str) -> bool:
    """Whether a comparison is with a number on both sides of 0."""
    return relation.startswith("within")


def strip(case: Case, on: Scale | None) -> Markup:
    """The drawing of a case; empty without a number."""
    r = case.record
    if on is None or r.value is None:
        return Markup("")
    low, high = (on.percent(r.value if end is None else end) for end in (r.low, r.high))
    lines = "".join(f'<rect class="t" x="{on.percent(at)}%"/>' for at in _compared(case))
    interval = f'<rect x="{low:g}%" width="{high - low:.4g}%"/>'
    beyond = [
        f'<use href="#to-{side}" x="{at}%" y="50%"/>'
        for side, at, end in (("left", 0, r.low), ("right", 100, r.high))
        if end is not None and not on.holds(end)
    ]
    value = f'<use href="#mark-{case.look}" x="{on.percent(r.value)}%" y="50%"/>'
    return Markup(f'<svg aria-hidden="true">{lines}{interval}{"".join(beyond)}{value}</svg>')


def axis(on: Scale | None) -> Markup:
    """The numbers below the strips of one measure."""
    if on is None:
        return Markup("")
    labels = "".join(f'<text x="{on.percent(at)}%" y="11">{at:.10g}</text>' for at in on.ticks)
    return Markup(f'<svg><rect width="100%"/>{labels}</svg>')


def _compared(case: Case) -> tuple[float, ...]:
    at = case.record.threshold
    if at is None:
        return ()
    return (-at, at) if is_margin(case.record.relation) else (at,)
