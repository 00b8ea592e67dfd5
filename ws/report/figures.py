"""Three figures of the joint table: dW's spectrum, its layers and modules, and directions of the residual stream.

A column is a family, a row a measure, and every number has its interval. Pages are interactive and need no network;
PNG is for papers.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from ws.adapters import FAMILIES
from ws.errors import DataError, DeviceError
from ws.report.joint import ACTIVATION, FULL_NORM, MEASURES, RANDOM, SHARED, Joint, Line
from ws.report.joint_text import HEAD, cells, csv, interval, markdown, notes, title, whole
from ws.stats.estimate import Estimate

WritePNG = Callable[[dict[Path, Figure]], None]

# Okabe and Ito 2008, "Color Universal Design": colour-blind people can tell these apart. Their yellow is too pale for
# print.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#555555"


def colour_of(family: str) -> str:
    """A family's colour; from the eighth family on, colours come again."""
    return PALETTE[list(FAMILIES).index(family) % len(PALETTE)]


@dataclass(frozen=True)
class Look:
    """How one side of a line is drawn, whatever its family."""

    label: str
    symbol: str
    dash: str = "solid"
    shift: float = 0.0
    """Offset from its place on the axis, so that the two sides of a line do not hide each other."""


KEEP = Look("keep: that part alone", "circle", shift=-0.18)
DROP = Look("drop: dW without it", "diamond-open", shift=0.18)

INSIDE = Look("keep: residual writes inside K directions", "circle", shift=-0.1)
OUTSIDE = Look("drop: residual writes outside them", "diamond-open", "dash", shift=0.1)
SCALED = Look("keep, at the norm of all residual writes", "x", "dot")
AT_RANDOM = Look("keep: inside K random directions", "triangle-up-open", "dot")

SOURCES = {
    "activation directions": {(ACTIVATION, "keep"): INSIDE, (ACTIVATION, "drop"): OUTSIDE, (FULL_NORM, "keep"): SCALED},
    "shared directions": {(SHARED, "keep"): INSIDE, (SHARED, "drop"): OUTSIDE, (RANDOM, "keep"): AT_RANDOM},
}
"""The look of each side of a line, for each source of directions."""

WHOLE_LABEL, WRITES_LABEL = "whole dW, with its interval", "all residual writes"
UNITS = "effect (nats per row)"
EXPLAINED = "agree pair, coefficient +1 less 0; bars are 95% intervals over seeds and questions; faint: a gate tripped"

FAINT = 0.35
"""Opacity of a number that tripped a gate."""

# Pixels; a figure of seven families is about 1500 wide, and at 2.5 dots a pixel 300 dots an inch on 12 inches.
COLUMN, NAME, BY_K, BETWEEN, NARROWEST = 185, 24, 240, 45, 900
LEFT, RIGHT, TOP, BOTTOM = 165, 60, 150, 70
LEGEND_ENTRY, LEGEND_ROW = 300, 20
DOTS_PER_PIXEL = 2.5


def figures(joint: Joint) -> dict[str, Figure]:
    """The figures by the stem of their files. Raises: DataError for a table without lines."""
    if not joint.lines:
        raise DataError(f"the table of {joint.model} has no lines to draw; ask for at least one family")
    return {
        "spectrum": by_name(joint, "spectrum", "Parts of dW by its own spectrum and by that of its weight (base)"),
        "modules": by_name(joint, "modules", "Parts of dW by module and layer"),
        "activations": by_k(joint, "Residual writes of dW inside and outside K directions"),
    }


def by_name(joint: Joint, group: str, heading: str) -> Figure:
    """The effect of every part of a group, kept and dropped, against the effect of the whole dW."""
    names = list(dict.fromkeys(line.view.name for line in joint.of(group=group)))
    titles = [_coloured(family) for family in joint.families]
    figure = _panels(titles, row_height=NAME * len(names) + 30)
    for row, measure in enumerate(MEASURES, start=1):
        for column, family in enumerate(joint.families, start=1):
            lines = joint.of(group=group, measure=measure, family=family)
            for side, look in {"keep": KEEP, "drop": DROP}.items():
                shown = [(float(names.index(line.view.name)), line) for line in lines]
                figure.add_trace(_bars(shown, side, look, along="x"), row=row, col=column)
            _band(figure, lines[0].whole, family, row, column, along="x")
            figure.update_xaxes(matches=_axis(figure, row, 1, "x"), rangemode="tozero", row=row, col=column)
            if row == len(MEASURES):
                figure.update_xaxes(title_text=UNITS, row=row, col=column)
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.4, -0.6], zeroline=False
    )
    return _titled(figure, joint, heading, [KEEP, DROP], {WHOLE_LABEL: "solid"})


def by_k(joint: Joint, heading: str) -> Figure:
    """The effect over the number of directions, a column for each family and source of directions."""
    asked = joint.of(group="directions", measure=MEASURES[0])
    columns = [
        (source, family)
        for source, looks in SOURCES.items()
        for family in joint.families
        if any(line.family == family and (line.view.kind, "keep") in looks for line in asked)
    ]
    titles = [_coloured(family, f"<br>{source}") for source, family in columns]
    figure = _panels(titles, row_height=BY_K)
    for row, measure in enumerate(MEASURES, start=1):
        for column, (source, family) in enumerate(columns, start=1):
            lines = joint.of(group="directions", measure=measure, family=family)
            for (kind, side), look in SOURCES[source].items():
                shown = [(math.log2(line.view.k), line) for line in lines if line.view.kind == kind]
                figure.add_trace(_bars(shown, side, look, along="y"), row=row, col=column)
            _band(figure, lines[0].whole, family, row, column, along="y")
            _line(figure, lines[0].denominator, row, column)
            figure.update_yaxes(matches=_axis(figure, row, 1, "y"), rangemode="tozero", row=row, col=column)
        figure.update_yaxes(title_text=UNITS, row=row, col=1)
    ks = sorted({line.view.k for line in asked})
    figure.update_xaxes(tickvals=[math.log2(k) for k in ks], ticktext=ks)
    figure.update_xaxes(range=[math.log2(ks[0]) - 0.5, math.log2(ks[-1]) + 0.5])
    figure.update_xaxes(zeroline=False, tickfont_size=11)
    figure.update_xaxes(title_text="K directions a layer", row=len(MEASURES))
    looks = [look for source, looks in SOURCES.items() if source in dict(columns) for look in looks.values()]
    return _titled(figure, joint, heading, dict.fromkeys(looks), {WHOLE_LABEL: "solid", WRITES_LABEL: "dashdot"})


def _panels(columns: Sequence[str], *, row_height: int) -> Figure:
    """Empty panels, one row for each measure."""
    inner = (row_height + BETWEEN) * len(MEASURES)
    figure = make_subplots(
        rows=len(MEASURES),
        cols=len(columns),
        shared_yaxes=True,
        column_titles=list(columns),
        row_titles=[f"<b>{measure}</b>" for measure in MEASURES],
        horizontal_spacing=0.012,
        vertical_spacing=BETWEEN / inner,
    )
    width = max(LEFT + RIGHT + COLUMN * len(columns), NARROWEST)
    figure.update_layout(template="simple_white", width=width, height=inner)
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(zeroline=True, zerolinecolor=GREY, zerolinewidth=1, showgrid=True, gridcolor="#ececec")
    return figure


def _bars(shown: Sequence[tuple[float, Line]], side: str, look: Look, *, along: str) -> Scatter:
    """Effects at their places on one axis, with their intervals along the other."""
    effects = [line.sides[side].effect for _, line in shown]
    numbers = {
        along: [effect.value for effect in effects],
        "y" if along == "x" else "x": [place + look.shift for place, _ in shown],
        f"error_{along}": {"array": list(map(_half, effects)), "thickness": 1.3, "width": 2.5},
    }
    colour = colour_of(shown[0][1].family) if shown else GREY
    return Scatter(
        **numbers,
        mode="markers" if along == "x" else "lines+markers",
        marker={"symbol": look.symbol, "size": 7, "opacity": [FAINT if one.gates else 1.0 for one in effects]},
        line={"color": colour, "dash": look.dash, "width": 1.3},
        text=[_told(line, side) for _, line in shown],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _half(estimate: Estimate) -> float:
    """Half the width of an interval, which is symmetric around its number."""
    return estimate.interval()[1] - estimate.value


def _told(line: Line, side: str) -> str:
    effect = line.sides[side].effect
    gates = "".join(f"<br>{escape(gate)}" for gate in effect.gates)
    return f"{line.family}, {side} {line.view.name}<br>{interval(effect)} nats per row, {line.measure}{gates}"


def _band(figure: Figure, effect: Estimate, family: str, row: int, column: int, *, along: str) -> None:
    """The whole effect as a line, its interval as a band around it."""
    low, high = effect.interval()
    if not math.isfinite(high - low):
        return
    rectangle, line = (figure.add_vrect, figure.add_vline) if along == "x" else (figure.add_hrect, figure.add_hline)
    where = {"row": row, "col": column, "layer": "below"}
    rectangle(**{f"{along}0": low, f"{along}1": high}, fillcolor=colour_of(family), opacity=0.13, line_width=0, **where)
    line(**{along: effect.value}, line={"color": colour_of(family), "width": 1.2}, **where)


def _line(figure: Figure, effect: Estimate, row: int, column: int) -> None:
    if math.isfinite(effect.value):
        figure.add_hline(effect.value, line={"color": GREY, "width": 1.2, "dash": "dashdot"}, row=row, col=column)


def _coloured(family: str, below: str = "") -> str:
    return f'<b style="color:{colour_of(family)}">{family}</b><span style="font-size:12px">{below}</span>'


def _axis(figure: Figure, row: int, column: int, which: str) -> str:
    """The name of a panel's axis."""
    panel = figure.get_subplot(row, column)
    return (panel.xaxis if which == "x" else panel.yaxis).plotly_name.replace("axis", "")


def _titled(figure: Figure, joint: Joint, heading: str, looks: Iterable[Look], lines: dict[str, str]) -> Figure:
    """Panels with a title (naming model and number of seeds) and a legend; each column has its own colour."""
    for look in looks:
        _entry(figure, look.label, look.dash, look.symbol, "markers" if look in (KEEP, DROP) else "lines+markers")
    for label, dash in lines.items():
        _entry(figure, label, dash, "circle", "lines")
    width, inner = figure.layout.width, figure.layout.height
    entries = sum(trace.showlegend is not False for trace in figure.data)
    top = TOP + LEGEND_ROW * math.ceil(entries * LEGEND_ENTRY / width)
    height = top + inner + BOTTOM
    seeds = f"{joint.n_seeds} seed{'' if joint.n_seeds == 1 else 's'}"
    text = f"<b>{heading}</b><br>{joint.model}, {seeds}<br><sub>{EXPLAINED}</sub>"
    figure.update_layout(
        font={"family": "Liberation Sans, Arial, sans-serif", "size": 13},
        title={"text": text, "x": 12 / width, "y": 1 - 24 / height, "yanchor": "top", "font": {"size": 17}},
        legend={"orientation": "h", "yref": "container", "y": 1 - 82 / height, "yanchor": "top"},
        legend_xref="container",
        legend_x=12 / width,
        margin={"l": LEFT, "r": RIGHT, "t": top, "b": BOTTOM},
        height=height,
    )
    return figure


def _entry(figure: Figure, label: str, dash: str, symbol: str, mode: str) -> None:
    look = {"marker": {"symbol": symbol, "color": GREY, "size": 8}, "line": {"dash": dash, "color": GREY, "width": 1.3}}
    figure.add_scatter(x=[None], y=[None], name=label, mode=mode, **look)


def write(joint: Joint, folder: Path, *, write_png: WritePNG | None) -> list[Path]:
    """Write table, figures and a page with all of them; returns the paths, in the order of writing.

    PNG files come last, so that everything else exists if there is no browser; None leaves them out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = figures(joint)
    pages = {f"{stem}.html": _page(figure, stem) for stem, figure in drawn.items()}
    texts = {"joint.md": markdown(joint), "joint.csv": csv(joint), **pages, "index.html": index(joint, drawn)}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    images = {folder / f"{stem}.png": figure for stem, figure in drawn.items()} if write_png else {}
    if write_png:
        write_png(images)
    return [*(folder / name for name in texts), *images]


def _page(figure: Figure, stem: str) -> str:
    return figure.to_html(include_plotlyjs=True, div_id=stem)


STYLE = "<style>body{font-family:sans-serif;margin:2em}td,th{padding:.1em .6em;text-align:left}</style>"


def index(joint: Joint, drawn: dict[str, Figure]) -> str:
    """One page with the figures and the table; it needs no other file and no network."""
    divs = [
        figure.to_html(full_html=False, include_plotlyjs=place == 0, div_id=stem)
        for place, (stem, figure) in enumerate(drawn.items())
    ]
    name = escape(title(joint))
    style = "body{font-family:sans-serif;margin:2em}td,th{padding:.1em .6em;text-align:left;white-space:nowrap}"
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{style}</style></head>'
    )
    tables = [_table(joint.of(family=family)) for family in joint.families]
    said = [f"<p>{escape(note)}</p>" for note in notes(joint)]
    return "\n".join([head, f"<body><h1>{name}</h1>", *divs, *tables, *said, "</body></html>"])


def _table(lines: Sequence[Line]) -> str:
    rows = [_row("th", HEAD), *(_row("td", cells(line)) for line in lines)]
    return "\n".join([f"<h2>{escape(whole(lines))}</h2>", "<table>", *rows, "</table>"])


def _row(tag: str, texts: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(text)}</{tag}>' for text in texts)}</tr>"


REMEDY = "install one (Debian: apt-get install chromium; anywhere: kaleido_get_chrome), or leave PNG out with --no-png"


def write_png(images: dict[Path, Figure]) -> None:
    """Draw figures in a browser without a window, which is started once for all figures.

    Raises: DeviceError if kaleido or a browser is missing, or the browser does not start.
    """
    try:
        import kaleido
        from kaleido.errors import BrowserFailedError, ChromeNotFoundError
    except ImportError:
        raise DeviceError(
            "PNG files need kaleido, which is not installed; pip install 'weight-steering-claims[figures]', or leave "
            "them out with --no-png"
        ) from None
    asked = [{"fig": one, "path": path, "opts": {"scale": DOTS_PER_PIXEL}} for path, one in images.items()]
    try:
        # Without MathJax, which would come from the network and is not needed. Failures are returned, not raised.
        failed = kaleido.write_fig_from_object_sync(asked, kopts={"mathjax": False})
    except ChromeNotFoundError:
        raise DeviceError(f"PNG files are drawn by Chrome or Chromium, and there is none here; {REMEDY}") from None
    except BrowserFailedError as error:
        raise DeviceError(f"the browser that draws PNG files did not start ({error}); {REMEDY}") from None
    if failed:
        raise DeviceError(
            f"the browser could not draw {len(failed)} of {len(asked)} PNG files ({failed[0]}); try the browser that "
            "kaleido_get_chrome installs, or leave PNG out with --no-png"
        )
