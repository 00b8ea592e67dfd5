"""Our own dilemmas, and those of anybody's JSON-lines file of the same fields."""

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ws.behaviors.words import half_character
from ws.dilemmas.base import MOST_OF_ID, Dilemma, check_set
from ws.dilemmas.lines import MOST_BYTES, lines_of
from ws.errors import DataError
from ws.files.notation import Unreadable, parsed
from ws.files.opening import content
from ws.files.showing import brief, brief_names

OWN = Path(__file__).parent / "data" / "dilemmas.jsonl"
"""Our own dilemmas."""


def read_own(path: Path | None = None) -> tuple[Dilemma, ...]:
    """Our own dilemmas, or those of another JSON-lines file of the same fields.

    Raises: DataError naming file and line if a line is no JSON object, or lacks a field, or a field is wrong.
    """
    file = path or OWN
    lines = list(lines_of(content(file, most=MOST_BYTES, what="a JSONL file of dilemmas", refuse=DataError), file.name))
    read = tuple(_dilemma(line, place=place) for place, line in lines)
    check_set(read)
    return read


def _dilemma(line: str, *, place: str) -> Dilemma:
    try:
        entry = parsed(line.encode(), halves=True)
    except Unreadable as error:
        raise DataError(f"{place} is no JSON: {error.said}; expected one object a line; correct the line") from error
    if not isinstance(entry, dict):
        raise DataError(
            f"{place} holds {brief(entry)}; expected an object with the fields of a dilemma; correct the line"
        )
    _check_fields(entry, place=place)
    try:
        return Dilemma(**entry)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error


def _check_fields(entry: dict[str, Any], *, place: str) -> None:
    """Raises: DataError if a field is missing, unknown or of another type."""
    types: dict[str, Any] = {field.name: field.type for field in fields(Dilemma)}
    missing = [field.name for field in fields(Dilemma) if field.default is MISSING and field.name not in entry]
    unknown = sorted(entry.keys() - types.keys())
    if missing or unknown:
        raise DataError(
            f"{place} lacks {missing} and has {brief_names(unknown)} besides; expected the fields {list(types)}; "
            "correct the line"
        )
    wrong = [name for name, value in entry.items() if not isinstance(value, types[name])]
    if wrong:
        raise DataError(
            f"{place} has {wrong[0]} {brief(entry[wrong[0]])}; expected {types[wrong[0]]}; correct the value"
        )
    if len(entry["id"]) > MOST_OF_ID:
        raise DataError(
            f"{place} has an id of {len(entry['id']):,} characters; expected {MOST_OF_ID} at most; shorten it"
        )
    for name, value in entry.items():
        if isinstance(value, str) and (half := half_character(value)):
            raise DataError(f"{place}: {name} holds {half}, half a character; write the whole one or remove it")
