"""A line over coefficients with the band of its interval, as SVG with a title and a description."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from ws.html.scale import Scale, scale

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 300.0, 170.0, 46.0, 10.0, 8.0, 26.0
"""Of a drawing and of its margins; it is stretched to the width that the page has for it."""


class Point(NamedTuple):
    """A number at a place of the horizontal axis, with its interval."""

    at: float
    value: float
    low: float
    high: float


def shared(lines: Sequence[Sequence[Point]]) -> Scale:
    """The vertical axis on which all of these lines are drawn."""
    points = [point for line in lines for point in line]
    return scale([0.0, *(point.value for point in points)], [(point.low, point.high) for point in points])


def chart(id: str, title: str, told: str, line: Sequence[Point], on: Scale) -> Markup:
    """The drawing of one line; `told` says in words what there is to see."""
    across = scale(point.at for point in line)

    def x(at: float) -> str:
        return f"{LEFT + across.percent(at) / 100 * (WIDTH - LEFT - RIGHT):.1f}"

    def y(value: float) -> str:
        return f"{HEIGHT - BOTTOM - on.percent(value) / 100 * (HEIGHT - TOP - BOTTOM):.1f}"

    parts = [_level(y(at), f"{at:.10g}", is_zero=at == 0) for at in on.ticks]
    parts += [f'<text class="m" x="{x(p.at)}" y="{HEIGHT - 8:g}">{_signed(p.at)}</text>' for p in line]
    above = [f"{x(p.at)},{y(p.high)}" for p in line]
    below = [f"{x(p.at)},{y(p.low)}" for p in reversed(line)]
    parts.append(f'<polygon points="{" ".join([*above, *below])}"/>')
    parts.append(f'<polyline points="{" ".join(f"{x(p.at)},{y(p.value)}" for p in line)}"/>')
    parts += [f'<circle cx="{x(p.at)}" cy="{y(p.value)}" r="3"/>' for p in line]
    said = f'<title id="{id}-title">{escape(title)}</title><desc id="{id}-told">{escape(told)}</desc>'
    head = f'<svg class="chart" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img"'
    # The id is ours; words of others are in the title and in what is told.
    return Markup(f'{head} aria-labelledby="{id}-title {id}-told">{said}{"".join(parts)}</svg>')


def _signed(at: float) -> str:
    return f"{at:+g}" if at else "0"


def _level(y: str, label: str, *, is_zero: bool) -> str:
    """A line across at a tick of the vertical axis, and its number."""
    kind = ' class="zero"' if is_zero else ""
    line = f'<line{kind} x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y}" y2="{y}"/>'
    return f'{line}<text class="e" x="{LEFT - 6:g}" y="{y}" dy="4">{label}</text>'
