"""What a TOML or JSON file holds, entry by entry, each with the place where it stands, so that an error can name it.

Files are untrusted: they are data, no path in them is followed and nothing in them is run.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ws.behaviors.base import plain
from ws.behaviors.words import half_character
from ws.errors import DataError

MOST_BYTES = 1_000_000
"""The largest file; a behavior of a hundred messages has about 20,000."""

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
        return Entry(f"{self.where}, {key}", self.value[key])

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
        raise DataError(f"{path} is a folder; expected a TOML or JSON file; name one in it")
    if path.suffix not in (".toml", ".json"):
        raise DataError(f"{name}: ends in {path.suffix or 'nothing'!r}; expected .toml or .json; rename it")
    text = _text(path)
    try:
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text, object_pairs_hook=tuple)
        return Entry(name, _tables(found, name))
    except tomllib.TOMLDecodeError as error:
        said = re.fullmatch(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", str(error))
        what, line = (said["what"], said["line"]) if said else (str(error), None)
        raise DataError(f"{name}:{line or text.count(chr(10)) + 1}: no TOML ({what}); mend this line") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{name}:{error.lineno}: no JSON ({error.msg}); mend this line") from error
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{name}: cannot be read ({first_line(error)}); expected texts in lists; simplify it"
        ) from error


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _text(path: Path) -> str:
    # These functions say no where Path's raise, as for a name that is too long.
    if not os.path.exists(path):
        beside = os.listdir(path.parent) if os.path.isdir(path.parent) else []
        near = difflib.get_close_matches(path.name, beside, n=1)
        raise DataError(f"no file {path}; expected a TOML or JSON file; " + _meant(near))
    if not os.path.isfile(path):
        raise DataError(f"{path} is no ordinary file; expected a TOML or JSON file; save it as one")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected a file that you may read; change that") from error
    if len(content) > MOST_BYTES:
        size = path.stat().st_size
        raise DataError(
            f"{path.name}: {size:,} bytes; expected {MOST_BYTES:,} at most; keep to the texts of a behavior"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: byte {error.start} is no UTF-8; save the file as UTF-8") from error


def _meant(near: list[str]) -> str:
    return f"did you mean {near[0]!r}?" if near else "check its name"


def _tables(value: object, where: str) -> object:
    """The same with JSON objects, which are tuples of pairs here, as dicts. Raises: DataError if a key comes twice."""
    match value:
        case tuple():
            keys = [key for key, _ in value]
            if repeated := next((key for key in keys if keys.count(key) > 1), None):
                raise DataError(f"{where}: the key {shown(repeated)} comes twice; expected each once; merge the two")
            return {key: _tables(one, f"{where}, {key}") for key, one in value}
        case list():
            return [_tables(one, f"{where}, entry {place}") for place, one in enumerate(value, start=1)]
    return value
