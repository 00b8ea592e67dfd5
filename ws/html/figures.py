"""The figures below the claims, as values: what the templates of a figure draw, and what is missing for it."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from ws.html.cases import short
from ws.html.scale import Scale
from ws.html.strip import Mark, axis, axis_of, drawn
from ws.models.table import known_model
from ws.stats.estimate import Estimate


@dataclass(frozen=True)
class Line:
    """A line of a plot: a name, its numbers as marks and in words."""

    name: str
    detail: str
    marks: tuple[Mark, ...]
    told: str
    note: str = ""


@dataclass(frozen=True)
class Plot:
    """Lines on one axis."""

    title: str
    lines: tuple[Line, ...]
    compared: tuple[float, ...] = ()
    model: str = ""
    family: str = ""
    """The one family that it is about; empty if it is about several."""
    measure: str = ""

    @property
    def scale(self) -> Scale | None:
        return axis_of((mark for line in self.lines for mark in line.marks), self.compared)

    def strip(self, line: Line) -> Markup:
        return drawn(self.scale, line.marks, self.compared)

    @property
    def axis(self) -> Markup:
        return axis(self.scale)


@dataclass(frozen=True)
class Drawn:
    """A line chart with the numbers behind it."""

    title: str
    drawing: Markup
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    model: str
    family: str
    measure: str


class Missing(NamedTuple):
    """What a figure lacks, and the command that records it."""

    what: str
    command: str


@dataclass(frozen=True)
class Group:
    """Figures under one heading."""

    title: str
    note: str
    plots: tuple[Plot, ...] = ()
    charts: tuple[Drawn, ...] = ()
    missing: tuple[Missing, ...] = ()


def interval(estimate: Estimate) -> str:
    """A number with its interval."""
    low, high = estimate.interval()
    return f"{short(estimate.value)} [{short(low)}, {short(high)}]"


def mark(estimate: Estimate, shape: str, look: str = "") -> Mark:
    """A number on a strip."""
    low, high = estimate.interval()
    return Mark(shape, estimate.value, low, high, look)


def run(model: str, claims: Iterable[str]) -> str:
    """The command that judges claims on a model, and so builds what their figures need."""
    ids = sorted({claim.lower() for claim in claims})
    asked = f"-k {shlex.quote(' or '.join(ids))} " if ids else ""
    on = known_model(model)
    return f"pytest claims/ {asked}{'--smoke' if on.untrained else f'--model={shlex.quote(on.typed)}'}"


def lacking(what: str, names: Sequence[str], model: str, claims: Iterable[str]) -> list[Missing]:
    """What to say of all that is missing of a figure; nothing if nothing is."""
    if not names:
        return []
    command = f"{run(model, claims)} --snapshot-update --record-evidence"
    return [Missing(f"Not recorded on {model}: {what} of {', '.join(names)}.", command)]
