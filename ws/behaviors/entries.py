"""What a TOML or JSON file holds, entry by entry, each with the place where it stands, so that an error can name it.

Files are untrusted: they are data, no path in them is followed and nothing in them is run.
"""

import difflib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ws.behaviors.base import plain
from ws.behaviors.words import half_character
from ws.errors import DataError
from ws.files import notation
from ws.files.opening import content
from ws.files.toml import parsed_toml

MOST_BYTES = 1_000_000
"""The largest file; a behavior of a hundred messages has about 20,000."""

WHAT = "a TOML or JSON file"

MOST_CHARACTERS = 4_000
"""The longest text: about 1,000 tokens, which every model can read beside an answer."""


@dataclass(frozen=True)
class Entry:
    """A value of a file, and where it stands there."""

    where: str
    """In words, such as `mine.toml, messages, heldout, entry 3`."""
    value: Any

    def table(self, needed: Iterable[str], optional: Iterable[str] = ()) -> dict[str, "Entry"]:
        """The entries of a table by key.

        Raises: DataError if it is no table, lacks a needed key or has one that is neither needed nor optional.
        """
        needed, optional = tuple(needed), tuple(optional)
        known = (*needed, *optional)
        if not isinstance(self.value, dict):
            raise self.error(f"{shown(self.value)} is no table", f"the keys {', '.join(known)}", "write them")
        for key in self.value:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                advice = f"did you mean {near[0]!r}?" if near else "remove it"
                raise self.error(f"unknown key {shown(key)}", ", ".join(known), advice)
        if lacking := [key for key in needed if key not in self.value]:
            raise self.error(f"has no {' and no '.join(lacking)}", ", ".join(known), "add what lacks")
        return {key: self.below(key) for key in known if key in self.value}

    def below(self, key: str) -> "Entry":
        """One entry of a table."""
        return Entry(f"{self.where}, {key:.60}", self.value[key])

    def entries(self, *, least: int, why: str = "") -> list["Entry"]:
        """The entries of a list, which has `least` or more; `why` says what these are needed for.

        Raises: DataError if it is no list, or too short.
        """
        if not isinstance(self.value, list):
            raise self.error(f"{shown(self.value)} is no list", f"a list of {least} or more", "put it between [ and ]")
        if lacking := max(0, least - len(self.value)):
            raise self.error(f"has {len(self.value)} entries", f"{least} or more{why}", f"add {lacking}")
        return [Entry(f"{self.where}, entry {place}", value) for place, value in enumerate(self.value, start=1)]

    def text(self) -> "Entry":
        """The same with its text, without spaces and line breaks at the ends.

        Raises: DataError if it is no text, or an empty, a too long or a broken one.
        """
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.error(f"reads {shown(self.value)}", "some words", "write them, or remove the entry")
        if half := half_character(self.value):
            raise self.error(f"holds {half}, half a character", "whole ones", "write the whole one or remove it")
        if len(self.value) > MOST_CHARACTERS:
            raise self.error(f"has {len(self.value):,} characters", f"{MOST_CHARACTERS:,} at most", "shorten it")
        return Entry(self.where, self.value.strip())

    def texts(self, *, least: int, why: str = "") -> list["Entry"]:
        """The texts of a list."""
        return [entry.text() for entry in self.entries(least=least, why=why)]

    def error(self, seen: str, expected: str, advice: str) -> DataError:
        """An error about this entry, in one line."""
        return DataError(f"{self.where}: {seen}; expected {expected}; {advice}")

    @contextmanager
    def named(self) -> Iterator[None]:
        """Put this entry's place before the errors of what is made of it."""
        try:
            yield
        except DataError as error:
            raise DataError(f"{self.where}: {error}") from error


def shown(value: object) -> str:
    """A value as its author would know it again, in one line and not too long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def refuse_repeats(texts: Iterable[Entry]) -> None:
    """Raises: DataError if two texts differ in case and spaces only."""
    first: dict[str, Entry] = {}
    for entry in texts:
        known = first.setdefault(plain(entry.value), entry)
        if known is not entry:
            place = known.where.partition(", ")[2]
            raise entry.error(f"repeats {place}, {shown(entry.value)}", "each text once", "reword or remove it")


def read_entries(path: Path) -> Entry:
    """The content of a TOML or JSON file.

    Raises: DataError if it is no such file, too large, no UTF-8, or breaks the rules of its format.
    """
    name = path.name
    if os.path.isdir(path):
        raise DataError(f"{path} is a folder; expected {WHAT}; name one in it")
    if path.suffix not in (".toml", ".json"):
        raise DataError(f"{name}: ends in {path.suffix or 'nothing'!r}; expected .toml or .json; rename it")
    text = content(path, most=MOST_BYTES, what=WHAT, refuse=DataError)
    try:
        return Entry(name, _tables(parsed_toml(text) if path.suffix == ".toml" else _of_json(text), name))
    except notation.Unreadable as error:
        line = f":{error.line}" if error.line else ""
        format = path.suffix.removeprefix(".").upper()
        raise DataError(f"{name}{line}: no {format} ({error.said}); expected {WHAT}; mend this line") from error


def _of_json(text: bytes) -> object:
    return notation.parsed(text, objects=tuple, halves=True)


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _tables(value: object, where: str) -> object:
    """The same with JSON objects, which are tuples of pairs here, as dicts. Raises: DataError if a key comes twice."""
    match value:
        case tuple():
            counts = Counter(key for key, _ in value)
            if repeated := next((key for key, count in counts.items() if count > 1), None):
                raise DataError(f"{where}: the key {shown(repeated)} comes twice; expected each once; merge the two")
            return {key: _tables(one, f"{where}, {key:.60}") for key, one in value}
        case list():
            return [_tables(one, f"{where}, entry {place}") for place, one in enumerate(value, start=1)]
    return value
