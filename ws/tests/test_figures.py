"""Figures show every number of the joint table with its interval, and stand on pages that need nothing else."""

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from ws.adapters import FAMILIES
from ws.errors import DataError, DeviceError
from ws.report import figures
from ws.report.figures import colour_of, index, write, write_png
from ws.report.joint import MEASURES, Joint, Line, Side, View, side, views
from ws.stats.estimate import Estimate


def gate(joint: Joint, why: str) -> Joint:
    """The same table with a gate tripped on every effect."""

    def closed(its: Side) -> Side:
        return replace(its, effect=replace(its.effect, gates=(why,)))

    lines = [replace(line, sides={name: closed(its) for name, its in line.sides.items()}) for line in joint.lines]
    return Joint(joint.model, tuple(lines))


@cache
def one(seed: int) -> Estimate:
    """A number around 1, from three seeds and twelve clusters."""
    draws = np.random.default_rng(seed)
    lines = [
        (s, c, c, 1 + shift + 0.1 * noise)
        for s, shift in enumerate(draws.normal(0, 0.15, 3))
        for c, noise in enumerate(draws.normal(0, 1, 12))
    ]
    return Estimate.of(pd.DataFrame(lines, columns=["seed", "cluster", "row", "value"]))


def table(families: Sequence[str] = ("lora", "ia3")) -> Joint:
    """A made-up table whose lines are those of the embedded model."""
    lines = [line for place, family in enumerate(families) for line in _of_family(family, 0.3 + 0.1 * place)]
    return Joint("smollm2-135m", tuple(lines))


def _of_family(family: str, effect: float) -> list[Line]:
    found = []
    for place, view in enumerate(view for view in views("smollm2-135m") if view.applies(family)):
        for measure in MEASURES:
            size = effect * (3 if measure == "raw" else 1)
            whole, of = size * one(1), (0.8 if view.k else 1.0) * size * one(2)
            shares = dict(zip(view.sides, _shares(view, place), strict=False))
            sides = {name: side(s * size * one(place % 7), of, s) for name, s in shares.items()}
            found.append(Line(family, view, measure, whole, of, sides))
    return found


def _shares(view: View, place: int) -> tuple[float, float]:
    kept = np.log2(view.k + 1) / 8 if view.k else (place * 0.37) % 1
    return kept, 1 - kept


@pytest.fixture(scope="module")
def made() -> Joint:
    return table()


@pytest.fixture(scope="module")
def drawn(made: Joint) -> dict[str, go.Figure]:
    return figures.figures(made)


def bars(figure: go.Figure, along: str) -> list[tuple[float, float]]:
    """Every number of a figure with its interval's half width."""
    data = [trace for trace in figure.data if getattr(trace, f"error_{along}").array is not None]
    return [pair for trace in data for pair in zip(trace[along], trace[f"error_{along}"].array, strict=True)]


def sides(joint: Joint, group: str) -> list[tuple[float, float]]:
    effects = [its.effect for line in joint.of(group=group) for its in line.sides.values()]
    return [(effect.value, effect.interval()[1] - effect.value) for effect in effects]


@pytest.mark.parametrize(
    ("stem", "group", "along"),
    [("spectrum", "spectrum", "x"), ("modules", "modules", "x"), ("activations", "directions", "y")],
)
def test_every_side_of_every_line_has_one_bar(
    made: Joint, drawn: dict[str, go.Figure], stem: str, group: str, along: str
) -> None:
    np.testing.assert_allclose(sorted(bars(drawn[stem], along)), sorted(sides(made, group)))


def test_every_family_has_a_colour_of_its_own(drawn: dict[str, go.Figure]) -> None:
    assert len({colour_of(name) for name in FAMILIES}) == len(FAMILIES)
    used = {trace.line.color for trace in drawn["spectrum"].data if trace.showlegend is False}
    assert used == {colour_of(name) for name in ("lora", "ia3")}


def test_a_number_behind_a_gate_is_faint(made: Joint, drawn: dict[str, go.Figure]) -> None:
    gated = figures.figures(gate(made, "pmass 0.10 < 0.5 at coeff +1"))
    assert {shade for trace in gated["modules"].data for shade in trace.marker.opacity or ()} == {figures.FAINT}
    assert {shade for trace in drawn["modules"].data for shade in trace.marker.opacity or ()} == {1.0}


def test_a_whole_effect_without_an_interval_has_no_band(made: Joint) -> None:
    nothing = Estimate.of(pd.DataFrame({"seed": [0], "cluster": [0], "row": [0], "value": [float("nan")]}))
    lines = [replace(line, whole=nothing, denominator=nothing) for line in made.lines]
    assert figures.figures(Joint("smollm2-135m", tuple(lines)))["modules"].layout.shapes == ()


def test_a_table_without_lines_is_refused() -> None:
    with pytest.raises(DataError, match="has no lines to draw; ask for at least one family"):
        figures.figures(Joint("smollm2-135m", ()))


def test_everything_is_written(made: Joint, tmp_path: Path) -> None:
    asked: list[Path] = []
    paths = write(made, tmp_path / "lenses", write_png=lambda images: asked.extend(images))
    pages = [f"{stem}.html" for stem in ("spectrum", "modules", "activations")]
    images = [f"{stem}.png" for stem in ("spectrum", "modules", "activations")]
    assert [path.name for path in paths] == ["joint.md", "joint.csv", *pages, "index.html", *images]
    assert [path.name for path in asked] == images
    assert {path.name for path in (tmp_path / "lenses").iterdir()} == {path.name for path in paths} - set(images)


def test_pages_stay_when_png_cannot_be_drawn(made: Joint, tmp_path: Path) -> None:
    def no_browser(images: dict[Path, go.Figure]) -> None:
        raise DeviceError("no browser")

    with pytest.raises(DeviceError, match="no browser"):
        write(made, tmp_path, write_png=no_browser)
    assert (tmp_path / "index.html").exists()


def test_the_index_has_all_figures_and_the_table_and_loads_nothing(made: Joint, drawn: dict[str, go.Figure]) -> None:
    page = index(made, drawn)
    assert [name for name in drawn if f'id="{name}"' not in page] == []
    assert page.count("<table>") == 2
    assert re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", page) is None


def test_a_machine_without_a_browser_is_told_what_to_install(
    drawn: dict[str, go.Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("kaleido", reason="PNG is an extra")
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with pytest.raises(DeviceError, match=r"there is none here; install one .*chromium.*--no-png"):
        write_png({tmp_path / "spectrum.png": drawn["spectrum"]})


def test_a_machine_without_kaleido_is_told_how_to_get_it(
    drawn: dict[str, go.Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(DeviceError, match=r"kaleido, which is not installed; pip install .*figures.*--no-png"):
        write_png({tmp_path / "spectrum.png": drawn["spectrum"]})
