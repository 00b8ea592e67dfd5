"""Results as files: JSON, CSV or Parquet, by the ending of the name.

A file is written whole or not at all, and the same results make the same bytes.
"""

import csv
import io
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ws.errors import DataError
from ws.files.cells import advised
from ws.files.notation import Unreadable, decoded, parsed
from ws.files.opening import content
from ws.files.showing import brief
from ws.files.tables import table_in
from ws.results.columns import Column, columns, from_rows, rows
from ws.results.results import Json, Results, document, from_document
from ws.results.schema import Asked, format_name, kinds, version


def to_json(results: Results) -> bytes:
    """A document of JSON, with a line for each verdict."""
    said = document(results)
    lines = ",\n".join(_dumped(one) for one in said.pop("verdicts"))
    head = "".join(f" {json.dumps(name)}: {_dumped(value)},\n" for name, value in said.items())
    return f'{{\n{head} "verdicts": [\n{lines}\n ]\n}}\n'.encode()


def from_json(text: bytes) -> Any:
    """The document in JSON. Raises: Unreadable if it is none, or has numbers that JSON does not know."""
    return parsed(text)


def to_csv(results: Results) -> bytes:
    """A table with a line for each verdict; lists are cells of JSON, and an empty cell is null."""
    table = [{column.name: _cell(row[column.name]) for column in columns()} for row in rows(results)]
    frame = pd.DataFrame(table, columns=[column.name for column in columns()], dtype=str)
    # The line ends of RFC 4180: with others, a carriage return in a cell would not be put into quotes.
    said: str = frame.to_csv(index=False, lineterminator="\r\n")
    return said.encode()


def from_csv(text: bytes) -> Json:
    """The document of a table in CSV. Raises: Unreadable for a cell that cannot be read, or other columns."""
    lines = csv.reader(io.StringIO(decoded(text), newline=""), strict=True)
    try:
        names = next(lines, [])
        _check_columns(names)
        return from_rows([_row(names, cells, lines.line_num) for cells in lines if cells])
    except csv.Error as error:
        raise Unreadable(advised(error, most=csv.field_size_limit()), lines.line_num) from error


def _row(names: Sequence[str], cells: Sequence[str], line: int) -> dict[str, Any]:
    """The values of a line by column. Raises: Unreadable if it has another number of cells, or one of another kind."""
    if len(cells) != len(names):
        raise Unreadable(f"{len(cells)} cells for {len(names)} columns", line)
    said = dict(zip(names, cells, strict=True))
    return {column.name: _read(column, said[column.name], line) for column in columns()}


def to_parquet(results: Results) -> bytes:
    """A table with a row for each verdict, whose lists are lists."""
    fields = [pa.field(column.name, _type(column.asked)) for column in columns()]
    schema = pa.schema(fields, metadata={"format": format_name(), "version": str(version())})
    out = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows(results), schema=schema), out, compression="zstd")
    return out.getvalue()


def from_parquet(table: bytes) -> Json:
    """The document of a table in Parquet. Raises: Unreadable if it is none, or has other columns."""
    return from_rows(table_in(table, check=_check_columns).to_pylist())


MOST_BYTES = 32 << 20
"""The largest file; the verdicts of 1,000 cases take 5 MB."""

WHAT = "a file of `pytest --results FILE` or `ws results`"


class Form(NamedTuple):
    """How results are written, and read again."""

    write: Callable[[Results], bytes]
    read: Callable[[bytes], Any]


FORMS: Mapping[str, Form] = {
    ".json": Form(to_json, from_json),
    ".csv": Form(to_csv, from_csv),
    ".parquet": Form(to_parquet, from_parquet),
}
"""The forms by the ending of a file's name."""


def check_name(path: Path) -> Form:
    """The form that a file's name asks for. Raises: DataError if there is none of that ending."""
    if path.suffix.lower() not in FORMS:
        raise DataError(f"{path} ends in {path.suffix!r}; expected {', '.join(FORMS)}")
    return FORMS[path.suffix.lower()]


def check_place(path: Path) -> None:
    """Raises: DataError if results could not be written to a file of this name, before they are made."""
    check_name(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file, such as {path / 'results.json'}")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        seen = "cannot be written to" if above.is_dir() else "is no folder"
        raise DataError(f"{path} cannot be written, as {above} {seen}; name another place")


def write(results: Results, path: Path) -> str:
    """Write results in the form that the file's name asks for; returns what to say of it.

    Raises: DataError if the name asks for no form.
    """
    put(path, check_name(path).write(results))
    n = len(results.records)
    return f"{path}, {n} verdict{'' if n == 1 else 's'}"


def read(path: Path) -> Results:
    """The results in a file.

    Raises: DataError if it cannot be read or holds none.
    """
    form = check_name(path)
    found = content(path, most=MOST_BYTES, what=WHAT, refuse=DataError)
    try:
        said = form.read(found)
    except Unreadable as error:
        line = f", line {error.line}," if error.line else ""
        raise DataError(f"{path}{line} cannot be read ({error.said}); expected {WHAT}; write it anew") from error
    return from_document(said, str(path))


def put_all(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Put files into a folder beside what is there; returns what to say of each.

    Raises: DataError, before any is written, if one is there already and says something else.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is no folder; name one, there or not")
    for name, written in files.items():
        if (folder / name).exists() and not _says(folder / name, written):
            raise DataError(f"{folder / name} is there and has other verdicts of that time; name another folder")
    for name, written in files.items():
        put(folder / name, written)
    return [f"{folder / name}, {len(written) / 1e6:.2f} MB" for name, written in files.items()]


def _says(file: Path, written: bytes) -> bool:
    """Whether a file is a plain one with this content."""
    return file.is_file() and file.stat().st_size == len(written) and file.read_bytes() == written


def put(path: Path, written: bytes) -> None:
    """Put a file in its place when it is whole, with the rights of any new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        scratch.write_bytes(written)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _cell(value: object) -> str:
    """A value as a cell: text as it is, null as nothing, all else as in JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else _dumped(value)


def _read(column: Column, cell: str, line: int) -> Any:
    """The value of a cell. Raises: Unreadable if it is none of the column's kind."""
    if cell == "":
        return "" if column.may_be_blank_text else None
    if column.kind == "string":
        return cell
    try:
        return from_json(_as_json(column.kind, cell).encode())
    except Unreadable:
        raise Unreadable(f"{column.name} is {brief(cell)}; expected {column.kind}", line) from None


def _as_json(kind: str, cell: str) -> str:
    """A cell in the spelling of JSON: other programs write True for true."""
    return cell.lower() if kind == "boolean" else cell


def _check_columns(names: Collection[str]) -> None:
    """Raises: Unreadable unless a table has the columns of the schema, each once."""
    known = [column.name for column in columns()]
    if missing := [name for name in known if name not in names]:
        raise Unreadable(f"it has no column {missing[0]!r}, which version {version()} has")
    if strange := [name for name in names if name not in known]:
        raise Unreadable(f"it has a column {brief(strange[0])}, which version {version()} has not")
    if len(names) > len(known):
        raise Unreadable("it has a column twice")


def _type(asked: Asked) -> pa.DataType:
    """The type of Arrow for values of a schema."""
    [kind] = (one for one in kinds(asked) if one != "null")
    if kind == "array":
        return pa.list_(_type(asked["items"]))
    if kind == "object":
        return pa.struct([(name, _type(one)) for name, one in asked["properties"].items()])
    return {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}[kind]
