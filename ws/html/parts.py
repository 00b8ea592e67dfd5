"""Parts of dW: what is left of the effect in each part, and in dW without it, family by family."""

from collections.abc import Iterator

from ws.adapters import FAMILIES
from ws.html.figures import Group, Line, Plot, interval, lacking, mark
from ws.html.recorded import NotRecorded
from ws.report.joint import View, views
from ws.stats.estimate import Estimate
from ws.stats.sweep import Measure
from ws.study.cuts import Named
from ws.study.replicates import Replicates
from ws.study.sweeps import cut_sweep

MEASURE: Measure = "corrected"
"""Cuts are drawn under the measure that claims about them are judged by; their cards have the others."""

GROUPS = {
    "spectrum": "Parts of dW by its own spectrum, and by that of the weight it changes (base)",
    "modules": "Parts of dW by module and layer",
    "directions": "Residual writes inside and outside directions of activations, shared and random ones",
}
"""The groups of views, each a figure."""


def parts(replicates: Replicates) -> Iterator[Group]:
    """A group of plots for each group of views, a plot for each family of which a part is recorded."""
    model = replicates.subject.model
    for name, title in GROUPS.items():
        of_group = [view for view in views(model) if view.group == name]
        plots, missing = [], []
        for family in FAMILIES:
            lines = list(_lines(replicates, family, [view for view in of_group if view.applies(family)]))
            missing += [] if lines else [family]
            if lines:
                whole = cut_sweep(replicates, family, measure=MEASURE).effect
                title_of = f"{family}: whole dW {interval(whole)}"
                plots.append(
                    Plot(title_of, tuple(lines), (0.0, whole.value), model=model, family=family, measure=MEASURE)
                )
        yield Group(
            f"{model}: {title[0].lower()}{title[1:]}",
            f"Effect at coefficient 1 in nats per row, {MEASURE}, agree pair. A disc is that part alone, a diamond dW "
            "without it; the lines are at 0 and at the effect of the whole dW.",
            plots=tuple(plots),
            missing=tuple(lacking("parts", missing, model, {claim for view in of_group for claim in view.claims})),
        )


def _lines(replicates: Replicates, family: str, asked: list[View]) -> Iterator[Line]:
    """The lines of views of which a side is recorded."""
    for view in asked:
        effects = {side: _effect(replicates, family, cut) for side, cut in view.sides.items()}
        there = {side: effect for side, effect in effects.items() if effect is not None}
        if not there:
            continue
        marks = tuple(mark(there[side], *look) for side, look in LOOKS.items() if side in there)
        told = ", ".join(f"{side} {interval(effect)}" for side, effect in there.items())
        gates = dict.fromkeys(gate for effect in there.values() for gate in effect.gates)
        yield Line(view.name, "", marks, told, "; ".join(gates))


def _effect(replicates: Replicates, family: str, cut: Named) -> Estimate | None:
    """The effect of a part; None if it is not recorded."""
    try:
        return cut_sweep(replicates, family, cut, measure=MEASURE).effect
    except NotRecorded:
        return None


LOOKS = {"keep": ("h", ""), "drop": ("x", "d")}
"""The shape and the look of each side of a view."""
