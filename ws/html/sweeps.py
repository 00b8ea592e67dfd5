"""Sweeps: how far dW moves each measure at each coefficient, from the unchanged model."""

from collections.abc import Iterator

from ws.adapters import FAMILIES
from ws.html.chart import Point, chart, shared
from ws.html.figures import Drawn, Group, lacking
from ws.html.recorded import NotRecorded
from ws.stats.sweep import OF_TEXT, Measure, Sweep
from ws.study.replicates import Replicates
from ws.study.sweeps import sweep

CLAIMS: dict[Measure, tuple[str, ...]] = {"raw": ("C02",), "corrected": ("C02",), "text": ("C02",), "written": ("C40",)}
"""For each measure, claims whose tests build its sweeps."""


def sweeps(replicates: Replicates) -> Iterator[Group]:
    """A group of charts for each measure: a chart for each family whose rows are recorded."""
    for measure, claims in CLAIMS.items():
        lines: dict[str, list[Point]] = {}
        missing = []
        for family in FAMILIES:
            try:
                lines[family] = points(sweep(replicates, family, measure=measure))
            except NotRecorded:
                missing.append(family)
        model, unit = replicates.subject.model, "nats per token" if measure in OF_TEXT else "nats per row"
        yield Group(
            f"{model}, {measure}",
            f"Change from the unchanged model, {unit}, over the coefficient of dW; the band is the 95% interval.",
            charts=tuple(_chart(model, measure, unit, family, lines) for family in lines),
            missing=tuple(lacking(f"the {measure} sweep", missing, model, claims)),
        )


def points(swept: Sweep) -> list[Point]:
    """The change from the unchanged model at every coefficient."""
    coeffs = sorted(float(at) for at in swept.rows["coeff"].unique())
    moved = {at: swept.effect_at(at) for at in coeffs if at != 0}
    return [Point(at, moved[at].value, *moved[at].interval()) if at else Point(0.0, 0.0, 0.0, 0.0) for at in coeffs]


def _chart(model: str, measure: Measure, unit: str, family: str, lines: dict[str, list[Point]]) -> Drawn:
    line = lines[family]
    ends = " and ".join(f"{p.value:+.3g} [{p.low:.3g}, {p.high:.3g}] at {p.at:+g}" for p in (line[0], line[-1]))
    title = f"{family} on {model}, {measure}: change in {unit} over the coefficient"
    # The name of a model of one's own may have signs that an id must not have.
    id = f"sweep-{measure}-{family}-{model.encode().hex()}"
    rows = tuple((f"{p.at:+g}", *(f"{x:.4g}" for x in p[1:])) for p in line)
    head = ("coefficient", "change", "low", "high")
    return Drawn(
        family,
        chart(id, title, f"It moves by {ends}.", line, shared([*lines.values()])),
        head,
        rows,
        model,
        family,
        measure,
    )
