"""The lines of a file of dilemmas, up to a size."""

import io
from collections.abc import Iterator

from ws.errors import DataError
from ws.files.notation import Unreadable, decoded

MOST_BYTES, MOST_LINES = 32 << 20, 100_000
"""The largest file."""


def lines_of(text: bytes, name: str, *, keep_ends: bool = False) -> Iterator[tuple[str, str]]:
    """The place and the text of each line. Raises: DataError for too many, or one that is no UTF-8."""
    if (count := text.count(b"\n")) > MOST_LINES:
        raise DataError(f"{name} has {count:,} lines; expected {MOST_LINES:,} at most; split it")
    try:
        said = decoded(text)
    except Unreadable as error:
        raise DataError(f"{name} line {error.line} cannot be read: {error.said}") from error
    # splitlines() would also split at characters that JSON allows inside a string.
    lines = io.StringIO(said, newline="" if keep_ends else None)
    for number, line in enumerate(lines, start=1):
        yield f"{name} line {number}", line if keep_ends else line.rstrip("\n")
