"""Results as a flat table: one row a verdict, one column a value.

Columns come from the schema. Objects within a verdict are taken apart, such as `recorded` into `recorded.commit`,
`recorded.machine.cores` and so on; so is the run, which every row has. An empty cell stands for null and for what is
left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ws.results.results import Json, Results, document
from ws.results.schema import Asked, format_name, kinds, schema, verdict_schema, version

RUN = "run"
"""Before the columns of the run."""


@dataclass(frozen=True)
class Column:
    """One column of the flat table."""

    path: tuple[str, ...]
    asked: Any
    """What the schema says of its values."""

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def kind(self) -> str:
        """The type of its values, beside null."""
        [kind] = (one for one in kinds(self.asked) if one != "null")
        return kind

    @property
    def may_be_blank_text(self) -> bool:
        """Whether a blank cell is an empty text, which is so where nothing may be null or left out."""
        return len(self.path) == 1 and kinds(self.asked) == ["string"]


@cache
def row_schema() -> Asked:
    """The schema of a row: that of a verdict, with its run."""
    asked = verdict_schema()
    return {**asked, "properties": {**asked["properties"], RUN: schema()["properties"][RUN]}}


@cache
def columns() -> tuple[Column, ...]:
    """The columns, in the order of the schema."""
    return tuple(_columns(row_schema(), ()))


def _columns(asked: Asked, path: tuple[str, ...]) -> Iterator[Column]:
    for name, one in asked["properties"].items():
        if "properties" in one:
            yield from _columns(one, (*path, name))
        else:
            yield Column((*path, name), one)


def rows(results: Results) -> list[Json]:
    """The flat table of some results."""
    said = document(results)
    return [
        {column.name: _at({**one, RUN: said[RUN]}, column.path) for column in columns()} for one in said["verdicts"]
    ]


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = None if value is None else value.get(name)
    return value


def from_rows(table: Sequence[Mapping[str, Any]]) -> Json:
    """The document of a flat table; what a cell lacks is for the schema to notice."""
    found = [_object(row_schema(), row, ()) or {} for row in table]
    runs = [one.pop(RUN, None) for one in found]
    # Every row is of the same run; a table that was put together of several has none.
    run = runs[0] if runs and all(one == runs[0] for one in runs) else None
    return {"format": format_name(), "version": version(), RUN: run, "verdicts": found}


def _object(asked: Asked, row: Mapping[str, Any], path: tuple[str, ...]) -> Json | None:
    """The object whose values are in the cells below a path; None if they are all empty."""
    known = asked["properties"]
    cells = {
        name: _object(one, row, (*path, name)) if "properties" in one else row[".".join((*path, name))]
        for name, one in known.items()
    }
    found = {name: value for name, value in cells.items() if value is not None}
    if not found:
        return None
    empty = {name: _empty(known[name]) for name in asked["required"] if name not in found}
    return {name: {**found, **empty}[name] for name in known if name in found or name in empty}


def _empty(asked: Asked) -> object:
    """What an empty cell stands for, where something has to be."""
    if "null" in kinds(asked):
        return None
    return {} if "object" in kinds(asked) else ""
