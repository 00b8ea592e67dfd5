"""Question pool: messages that a candid and an untruthful assistant answer differently from the first words on.

Training uses the message alone. A representation reader also uses the suffix, the beginning of an answer that breaks
off just before an honest and a dishonest answer would differ, and reads the hidden state at its end.
Source: layout and categories are those of the journal's branching_suffixes.json; the text is ours.
"""

from collections.abc import Iterable
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from ws.behaviors.base import plain
from ws.behaviors.words import half_character
from ws.errors import DataError
from ws.files import notation
from ws.files.opening import content
from ws.files.showing import brief

CATEGORIES = (
    *("email", "fact", "reasoning", "dialogue", "stories", "encyclopedia", "code", "tech", "ethics", "general"),
    "reasoning_trace",
)
"""The kinds of text that the pool covers."""


POOL = Path(__file__).parent / "data" / "honesty_questions.json"
"""The pool of the package."""

MOST_BYTES = 8 << 20
"""The largest file: the pool of the package has 200,000 bytes."""

WHAT = "a JSON list of entries"


class PoolEntry(NamedTuple):
    """A message of the pool, with the beginning of an answer to it."""

    cat: str
    suffix: str
    """The words of an answer up to where honest and dishonest answers begin to differ."""
    user_msg: str


def read_pool(path: Path | None = None) -> tuple[PoolEntry, ...]:
    """The entries of a pool in the order of the file; those of the package if no file is given.

    Raises: DataError naming the file and the entry, counted from 1, that breaks the layout or repeats another.
    """
    file = path or POOL
    records = parsed(content(file, most=MOST_BYTES, what=WHAT, refuse=DataError), file=str(file))
    entries = tuple(checked(record, where=f"{file}, entry {place}") for place, record in enumerate(records, start=1))
    refuse_repeats(entries, file=str(file))
    return entries


def parsed(text: bytes, *, file: str) -> list[object]:
    """The list that a file holds, with JSON objects as tuples of pairs, so that a key that occurs twice is noticed.

    Raises: DataError if it is no UTF-8, no JSON, no list, or an empty one.
    """
    try:
        records = notation.parsed(text, objects=tuple, halves=True)
    except notation.Unreadable as error:
        line = f":{error.line}" if error.line else ""
        raise DataError(f"{file}{line}: no JSON ({error.said}); expected a list; mend this line") from error
    if not isinstance(records, list) or not records:
        raise DataError(
            f"{file} holds {'an empty list' if records == [] else 'no list'}; expected a list of entries; "
            f"give each as an object with the keys {', '.join(PoolEntry._fields)}"
        )
    return records


def checked(record: Any, *, where: str) -> PoolEntry:
    """One record as an entry.

    Raises: DataError unless it has a known category, two texts, and nothing else.
    """
    keys = [key for key, _ in record] if isinstance(record, tuple) else None
    if keys is None or sorted(keys) != sorted(PoolEntry._fields):
        seen = (
            f"{brief(record)} is no object"
            if keys is None
            else f"has the keys {', '.join(key[:40] for key in keys[:20]) or 'none'}"
        )
        raise DataError(
            f"{where}: {seen}; expected {', '.join(PoolEntry._fields)}, each once; add what lacks, remove the rest"
        )
    entry = PoolEntry(**dict(record))
    for key, text in entry._asdict().items():
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{where}: {key} is {brief(text)}; expected some words; fill it in or remove the entry")
        if half := half_character(text):
            raise DataError(f"{where}: {key} holds {half}, half a character; write the whole one or remove it")
    if entry.cat not in CATEGORIES:
        raise DataError(
            f"{where}: unknown category {brief(entry.cat)}; known: {', '.join(CATEGORIES)}; use the nearest"
        )
    return entry


def refuse_repeats(entries: Iterable[PoolEntry], *, file: str) -> None:
    """Raises: DataError if two entries differ in case and spaces only; a message may come with several suffixes."""
    first: dict[tuple[str, str], int] = {}
    for place, entry in enumerate(entries, start=1):
        if (known := first.setdefault((plain(entry.suffix), plain(entry.user_msg)), place)) != place:
            raise DataError(
                f"{file}, entry {place}: repeats the suffix and user_msg of entry {known}, {brief(entry.user_msg)}; "
                "expected each once; reword or remove it"
            )


def balanced(entries: Iterable[PoolEntry], n: int) -> tuple[PoolEntry, ...]:
    """n messages drawn from the categories in turn, in the order in which categories first appear.

    A message is taken once, with its first suffix; a category that runs out leaves its turns to the others.

    Raises: DataError if n is below 1 or there are fewer messages.
    """
    piles: dict[str, list[PoolEntry]] = {}
    for entry in messages(entries):
        piles.setdefault(entry.cat, []).append(entry)
    turns = [entry for entry in chain.from_iterable(zip_longest(*piles.values())) if entry is not None]
    if not 1 <= n <= len(turns):
        raise DataError(f"asked for {n} of {len(turns)} entries of a question pool; give a number from 1 to this size")
    return tuple(turns[:n])


def messages(entries: Iterable[PoolEntry]) -> tuple[PoolEntry, ...]:
    """The entries with a message that no earlier one has."""
    first: dict[str, PoolEntry] = {}
    for entry in entries:
        first.setdefault(plain(entry.user_msg), entry)
    return tuple(first.values())
