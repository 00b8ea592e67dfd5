"""Two answers as lines of a terminal: side by side where there is room, one below the other elsewhere."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

WIDE = 80
"""From so many columns on, answers stand side by side."""

BAR = " │ "
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of all that follows, also behind the answer."""


class Said(NamedTuple):
    """A heading, and what was said under it."""

    heading: str
    text: str


def rows(answers: Sequence[Said], *, width: int) -> list[Text]:
    """The answers as rows no wider than `width`."""
    return _beside(answers, width=width) if width >= WIDE else _below(answers, width=width)


def printable(text: str) -> str:
    """The text without what a terminal would obey: control characters but line breaks, and turns of direction."""
    kept = text.expandtabs(4)
    return "".join("\ufffd" if _is_obeyed(one) else one for one in kept)


def _is_obeyed(character: str) -> bool:
    return character != "\n" and (unicodedata.category(character) in ("Cc", "Zl", "Zp") or character in TURNING)


def _beside(answers: Sequence[Said], *, width: int) -> list[Text]:
    each = (width - len(BAR) * (len(answers) - 1)) // len(answers)
    columns = [_column(said, width=each) for said in answers]
    height = max(map(len, columns))
    filled = [[*column, *[Text()] * (height - len(column))] for column in columns]
    return [
        Text(BAR, style="dim").join(_padded(line, each) for line in line_of) for line_of in zip(*filled, strict=True)
    ]


def _below(answers: Sequence[Said], *, width: int) -> list[Text]:
    parts = [_column(said, width=width) for said in answers]
    return [line for place, part in enumerate(parts) for line in ([Text()] * bool(place) + part)]


def _column(said: Said, *, width: int) -> list[Text]:
    console = _console()
    head = Text(printable(said.heading), style="bold").wrap(console, width)
    body = Text(printable(said.text.strip())).wrap(console, width)
    for line in (*head, *body):
        line.rstrip()
    return [*head, *body]


@cache
def _console() -> Console:
    """What rich wants beside a width, to break lines."""
    return Console()


def _padded(line: Text, width: int) -> Text:
    whole = line.copy()
    whole.append(" " * (width - cell_len(line.plain)))
    return whole
