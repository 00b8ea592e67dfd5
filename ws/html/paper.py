"""The forest plot of one claim as a file for a paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ws.errors import DeviceError
from ws.report.forest import GREY, forest
from ws.report.register import Register
from ws.report.show import one_claim
from ws.report.verdicts import Record

Format = Literal["svg", "png"]

INK = "#1b1f24"
"""The colour of words and lines on white paper."""

DOTS_PER_PIXEL = 3.0
"""At 700 pixels a panel and its names, 300 dots an inch on 7 inches."""


def write_figure(out: Path, records: Sequence[Record], register: Register, form: Format) -> str:
    """Write the plot; returns its file and its size, in words.

    Raises: DataError if the records are of several claims or models, or of a claim that the register does not list;
        DeviceError if PNG is asked for and resvg_py is missing.
    """
    drawn = forest(records, one_claim(records, register)).replace(GREY, INK)
    content = drawn.encode() if form == "svg" else png(drawn)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(content)
    return f"{out}, {len(content) / 1e3:.0f} kB"


def png(drawn: str) -> bytes:
    """An SVG as a PNG on white.

    Raises: DeviceError if resvg_py is missing.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise DeviceError(
            "PNG figures are drawn by resvg_py, which is not installed; pip install 'weight-steering-claims[figures]', "
            "or take --format svg"
        ) from None
    return bytes(svg_to_bytes(svg_string=drawn, zoom=DOTS_PER_PIXEL, background="#ffffff"))
