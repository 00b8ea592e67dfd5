"""The records of a file of rows (JSONL: an object a line; CSV: cells under a header), and the lines that are no record.

Names of columns may be written in any case, with spaces or hyphens for underscores, and as the layout of the file says.
Reading goes on after a line that is refused, so that one error names all such lines.
"""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ws.behaviors.words import half_character
from ws.errors import DataError
from ws.files.cells import advised
from ws.files.notation import Unreadable, parsed
from ws.files.opening import content


@dataclass(frozen=True)
class Layout:
    """The columns of a kind of file."""

    spellings: Mapping[str, tuple[str, ...]]
    """Kinds of columns and how they may be spelled; columns of the kind "ignored" are not read.

    `cluster` joins rows that are not independent; without it, every row is its own cluster.
    """
    required: tuple[str, ...]
    """Kinds that every row has."""


QUESTIONS = Layout(
    {
        "question": ("question", "prompt"),
        "answer": ("answer_matching_behavior", "answer_matching_behaviour", "matching_answer", "answer"),
        "other": ("answer_not_matching_behavior", "answer_not_matching_behaviour", "not_matching_answer"),
        "cluster": ("cluster",),
        "topic": ("topic", "category"),
        "ignored": ("statement", "label_confidence"),
    },
    required=("question", "answer"),
)
"""Questions that are answered by Yes or No, or by a letter."""

TEXTS = Layout(
    {
        "message": ("message", "prompt", "question", "user_msg"),
        "plus": ("plus", "positive"),
        "minus": ("minus", "negative"),
        "cluster": ("cluster",),
        "topic": ("topic", "category"),
    },
    required=("message", "plus", "minus"),
)
"""Messages with two answers of opposite sides."""

LINE_BYTES = 1 << 20
"""The longest line that is read: twice the length of 131,072 tokens (a long context) of English at 4 bytes a token."""

FILE_BYTES, LINES = 64 << 20, 100_000
"""The largest file: scoring so many rows takes days."""

COLUMNS = 100
"""The most columns of a header or keys of an object."""

LISTED = 20
"""How many different flaws an error writes out; it only counts the others."""

FLAWS = 1_000
"""So many lines are refused before the rest is left unread: it is no file of rows."""

WHAT = "a JSONL or CSV file of rows"


class Record(NamedTuple):
    """One row of the file, as it is written there."""

    line: int
    values: dict[str, str]
    """Text by kind of column, without ignored columns."""


class Flaw(NamedTuple):
    """Why a line is not a row: what was seen, what was expected, what to do."""

    line: int
    text: str


def records(path: Path, layout: Layout) -> list[Record | Flaw]:
    """Every line of the file, in its order.

    Raises: DataError if it cannot be read, is too large, ends in neither .jsonl nor .csv, or has too
        many lines that are no rows.
    """
    readers = {".jsonl": _of_jsonl, ".ndjson": _of_jsonl, ".csv": _of_csv}
    if (read := readers.get(path.suffix.lower())) is None:
        raise DataError(
            f"{path} ends in {path.suffix.lower()!r}; expected .jsonl, one object a line, or .csv; convert it"
        )
    text = content(path, most=FILE_BYTES, what=WHAT, refuse=DataError)
    if (lines := text.count(b"\n")) > LINES:
        raise DataError(f"{path} has {lines:,} lines; expected {LINES:,} at most; split it")
    found: list[Record | Flaw] = []
    flaws: list[Flaw] = []
    for one in read(layout, _lines(text)):
        found.append(one)
        if isinstance(one, Flaw):
            flaws.append(one)
        if len(flaws) == FLAWS:
            raise DataError(f"{refused(path, flaws)}\nand after {FLAWS:,} such lines the rest was left unread")
    return found


def refused(path: Path, flaws: Sequence[Flaw]) -> DataError:
    """The error that names these lines, grouped by flaw, and counts the flaws that are too many to list."""
    lines: defaultdict[str, list[int]] = defaultdict(list)
    for line, text in sorted(set(flaws)):
        lines[text].append(line)
    if len(lines) == 1:
        [(text, where)] = lines.items()
        return DataError(f"{path}, {_named(where)}: {text}")
    listed = [f"  {_named(where)}: {text}" for text, where in lines.items()]
    rest = sum(map(len, list(lines.values())[LISTED:]))
    more = [f"  and {rest} more lines"] if rest else []
    number = len({flaw.line for flaw in flaws})
    return DataError("\n".join([f"{path}: {number} lines are refused", *listed[:LISTED], *more]))


def _named(lines: Sequence[int]) -> str:
    shown = ", ".join(map(str, lines[:LISTED]))
    more = f" and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
    return f"line{'s' * (len(lines) > 1)} {shown}{more}"


def _lines(content: bytes) -> Iterator[tuple[int, str | Flaw]]:
    """The lines with their numbers, from 1; without the byte order mark that some programs put at the start."""
    # splitlines() would also split at characters that JSON allows inside a string.
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if len(line) > LINE_BYTES:
            text = (
                f"{len(line):,} bytes; expected {LINE_BYTES:,} at most, more than a model reads; shorten or remove it"
            )
            yield number, Flaw(number, text)
            continue
        try:
            yield number, line.decode("utf-8")
        except UnicodeDecodeError as error:
            yield number, Flaw(number, f"byte {error.start} is not UTF-8; save the file as UTF-8")


def _of_jsonl(layout: Layout, lines: Iterator[tuple[int, str | Flaw]]) -> Iterator[Record | Flaw]:
    for number, line in lines:
        if isinstance(line, Flaw):
            yield line
        elif line.strip():
            yield _of_object(layout, number, line)


def _of_object(layout: Layout, number: int, line: str) -> Record | Flaw:
    try:
        pairs = parsed(line.encode(), objects=tuple, halves=True)
    except Unreadable as error:
        return Flaw(number, f"no JSON ({error.said}); write one object a line")
    # Objects are read as tuples of pairs, so that a key that occurs twice is noticed; a JSON list stays a list.
    if not isinstance(pairs, tuple):
        return Flaw(number, f"{line.strip()[:40]} is no object; write one object a line")
    return _record(layout, number, pairs)


def _of_csv(layout: Layout, lines: Iterator[tuple[int, str | Flaw]]) -> Iterator[Record | Flaw]:
    read = [line for _, line in lines]
    if flaws := [line for line in read if isinstance(line, Flaw)]:
        # A cell may span several lines, so once a line is refused, its neighbours cannot be read reliably either.
        yield from flaws
        return
    reader = csv.reader(io.StringIO("\n".join(line for line in read if isinstance(line, str)), newline=""), strict=True)
    ended = 0
    with _cells_as_long_as_lines():
        try:
            header = next(reader, [])
            if flaw := _wrong_columns(layout, header):
                yield Flaw(1, flaw)
                return
            ended = reader.line_num
            for cells in reader:
                ended = reader.line_num
                if not cells:
                    continue
                if len(cells) == len(header):
                    yield _record(layout, reader.line_num, list(zip(header, cells, strict=True)))
                else:
                    yield Flaw(
                        reader.line_num,
                        f"{len(cells)} cells for {len(header)} columns; quote a cell that holds a comma, fill in one "
                        "that is missing",
                    )
        except csv.Error as error:
            yield Flaw(ended + 1, advised(error, most=LINE_BYTES))


@contextmanager
def _cells_as_long_as_lines() -> Iterator[None]:
    usual = csv.field_size_limit(LINE_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(usual)


def _record(layout: Layout, line: int, pairs: Sequence[tuple[str, object]]) -> Record | Flaw:
    if flaw := _wrong_columns(layout, [name for name, _ in pairs]):
        return Flaw(line, flaw)
    values: dict[str, str] = {}
    for name, value in pairs:
        if (kind := _kind(layout, name)) is None or kind == "ignored":
            continue
        if not isinstance(value, str):
            return Flaw(line, f"{name[:40]} is {json.dumps(value)[:40]}; expected text in quotes")
        if half := half_character(value):
            return Flaw(line, f"{name} holds {half}, half a character; write the whole one or remove it")
        values[kind] = value.strip()
    return Record(line, values)


def _wrong_columns(layout: Layout, names: Sequence[str]) -> str | None:
    """What is wrong with the columns: an unknown one, one that comes twice, a missing one; None if they are right."""
    if len(names) > COLUMNS:
        return f"{len(names):,} columns; expected {COLUMNS} at most; remove the others"
    kinds = [_kind(layout, name) for name in names]
    if unknown := [name for name, kind in zip(names, kinds, strict=True) if kind is None]:
        known = ", ".join(name for spellings in layout.spellings.values() for name in spellings)
        return f"unknown column {unknown[0][:40]!r}; known: {known}; rename or remove it"
    for kind, spellings in layout.spellings.items():
        times = kinds.count(kind)
        if (times == 0 and kind in layout.required) or (times > 1 and kind != "ignored"):
            seen = ", ".join(name[:40] for name in names)
            return f"{times} columns hold the {kind} ({seen}); expected one of {', '.join(spellings)}"
    return None


def _kind(layout: Layout, column: str) -> str | None:
    name = re.sub(r"[\s-]+", "_", column.strip().lower())
    return next((kind for kind, names in layout.spellings.items() if name in names), None)
