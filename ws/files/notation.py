"""JSON that somebody else wrote, read by the letter of its standard and within bounds.

Python's own reader takes more than JSON: NaN and infinite numbers, a key twice (the first is lost), halves of
characters that no file can keep. It gives up on numbers of thousands of digits and on deep nesting, each with another
exception.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from ws.files.opening import Refuse, content

MOST_BYTES = 8 << 20
"""The largest file, where its reader says no other."""

MOST_MARKS = 2_000_000
"""Commas and opening brackets: each may cost 100 bytes of memory, so that all of them take 200 MB at most."""

MOST_DEPTH = 64
"""Brackets inside each other. Nothing that is read here has more than 10, and Python itself ends at about 1,000."""

MOST_DIGITS = 40
"""Of a whole number: one of 128 bits has 39."""

HALF = re.compile("[\ud800-\udfff]")

_IN_QUOTES = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

Pairs = Sequence[tuple[str, Any]]
"""The keys and values of an object of JSON, as they stand there."""


class Unreadable(ValueError):
    """Why a text is not read as JSON or the like: what was seen, and on which line if that is known."""

    def __init__(self, said: str, line: int | None = None) -> None:
        super().__init__(said)
        self.said, self.line = said, line


def unique(pairs: Pairs) -> dict[str, Any]:
    """An object of JSON. Raises: Unreadable if a key comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable(f"the key {json.dumps(_repeated(pairs)[:40])} comes twice in one object")
    return found


def _repeated(pairs: Pairs) -> str:
    """The first key that comes again."""
    counts = Counter(key for key, _ in pairs)
    return next(key for key, count in counts.items() if count > 1)


def read_json(
    path: Path,
    *,
    what: str,
    refuse: Refuse,
    most: int = MOST_BYTES,
    marks: int = MOST_MARKS,
    finite: bool = True,
    advice: str = "save it anew",
) -> Any:
    """The value in a JSON file; `advice` says what to do about one that is refused.

    Raises: `refuse` if it cannot be had, or is no JSON as `parsed` reads it.
    """
    found = content(path, most=most, what=what, refuse=refuse)
    try:
        return parsed(found, marks=marks, finite=finite)
    except Unreadable as error:
        line = f", line {error.line}" if error.line else ""
        raise refuse(f"{path}{line} is no JSON that can be read: {error.said}; expected {what}; {advice}") from error


def parsed(
    text: bytes,
    *,
    objects: Callable[[Pairs], Any] = unique,
    halves: bool = False,
    marks: int = MOST_MARKS,
    finite: bool = True,
) -> Any:
    """The value that a text of JSON holds.

    `objects` makes what stands for an object of its keys and values. `halves` lets halves of characters pass, for a
    caller that says in which text one is; without `finite`, NaN and infinite numbers pass, as configs of models have
    them.
    Raises: Unreadable if it is no JSON, too much of it, a number is not finite or has too many digits, brackets are
        nested too deep, a text holds half a character, or (unless `objects` takes it) a key comes twice.
    """
    check_bounds(text, marks=marks)
    try:
        value = json.loads(
            decoded(text),
            object_pairs_hook=objects,
            parse_constant=_no_number if finite else None,
            parse_float=_finite if finite else None,
            parse_int=_short,
        )
    except json.JSONDecodeError as error:
        raise Unreadable(error.msg, error.lineno) from error
    # In UTF-8 there are no halves, so only a text that names them by their numbers can hold one.
    return value if halves or not _SURROGATE.search(text) else whole(value)


def check_bounds(text: bytes, *, marks: int = MOST_MARKS) -> None:
    """Raises: Unreadable if a text has more than `marks` commas and opening brackets, or these are nested too deep."""
    if (seen := sum(map(text.count, (b",", b"[", b"{")))) > marks:
        raise Unreadable(f"it has about {seen:,} values, {marks:,} at most are read")
    if (depth := nesting(text)) > MOST_DEPTH:
        raise Unreadable(f"brackets are nested {depth:,} deep, {MOST_DEPTH} at most are read")


def decoded(text: bytes) -> str:
    """A text in UTF-8, without the mark that some programs put at its start. Raises: Unreadable if it is none."""
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The mark at the start is no part of what is counted there.
        at = error.start + len(text) - len(error.object)
        raise Unreadable(f"byte {at} is no UTF-8: save it as UTF-8", text.count(b"\n", 0, at) + 1) from error


def nesting(text: bytes) -> int:
    """How many brackets, square or curly, stand inside each other at most, those in double quotes not counted."""
    if (all_of_them := text.count(b"[") + text.count(b"{")) <= MOST_DEPTH:
        return all_of_them
    brackets = _IN_QUOTES.sub(b"", text).translate(None, _NO_BRACKETS)
    return max(accumulate(+1 if one in b"[{" else -1 for one in brackets), default=0)


def whole(value: Any) -> Any:
    """The same value. Raises: Unreadable if a text in it holds half a character."""
    for text in _texts(value):
        if half := HALF.search(text):
            raise Unreadable(f"a text holds \\u{ord(half[0]):04x}, half a character")
    return value


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value of JSON, keys too."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(text):
                yield text
            case list(items) | tuple(items):
                waiting += items
            case dict(found):
                waiting += [*found, *found.values()]


def _no_number(said: str) -> None:
    raise Unreadable(f"{said} is no number of JSON")


def _finite(said: str) -> float:
    if not math.isfinite(value := float(said)):
        raise Unreadable(f"{_brief(said)} is too large for a number")
    return value


def _short(said: str) -> int:
    if len(said) > MOST_DIGITS:
        raise Unreadable(f"the number {_brief(said)} has {len(said):,} digits, {MOST_DIGITS} at most are read")
    return int(said)


def _brief(said: str) -> str:
    return said if len(said) <= 24 else f"{said[:20]}..."
