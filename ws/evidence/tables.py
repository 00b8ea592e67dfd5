"""Tables of many artifacts in one parquet file, each of which comes out as it went in.

Artifacts of one kind have tables with the same columns and mostly the same labels, which one file holds in a small part
of the room. The values are kept bit by bit. The same tables give the same bytes, with the same release of pyarrow.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ws.files.notation import parsed
from ws.files.showing import brief

KEY = "evidence_key"
"""The column of a part that says whose row it is."""

NOTED = "pandas_of_each"
"""The name under which a part has what pandas noted on each of its tables."""

REPEATS = 8
"""A column of floats in which a value comes up so often on average is stored as a list of its values."""

LEVEL = 19
"""Of zstd: parts are written once and fetched often."""


class Columns(NamedTuple):
    """What tables must have in common to lie in one part."""

    schema: pa.Schema
    pandas: str
    """What pandas noted on the table, as JSON, without the number of its rows; empty if it noted nothing."""


def read_table(file: Path) -> tuple[Columns, pa.Table]:
    """A table of an artifact, apart from what pandas noted on it."""
    table = pq.read_table(file)
    noted = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    plain = table.replace_schema_metadata(None)
    return Columns(plain.schema, json.dumps(_of_rows(noted, None), sort_keys=True) if noted else ""), plain


def write_table(table: pa.Table, pandas: str, file: Path) -> None:
    """Write a table with what pandas noted on it."""
    noted = {"pandas": json.dumps(_of_rows(_noted(pandas), table.num_rows))} if pandas else None
    pq.write_table(table.replace_schema_metadata(noted), file)


def write_tables(tables: Mapping[str, pa.Table], columns: Columns, file: Path) -> None:
    """Write tables of the same columns, by the keys of their artifacts, into one file."""
    ordered = sorted(tables)
    whole = pa.concat_tables([tables[key] for key in ordered]).combine_chunks()
    keys = [key for key in ordered for _ in range(tables[key].num_rows)]
    whole = whole.append_column(KEY, pa.array(keys, pa.string()))
    spread = [name for name in whole.column_names if _is_spread(whole[name])]
    pq.write_table(
        whole.replace_schema_metadata({NOTED: columns.pandas}),
        file,
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=[name for name in whole.column_names if name not in spread],
        use_byte_stream_split=spread,
        row_group_size=max(1, whole.num_rows),
        write_statistics=False,
    )


class Tables:
    """A file of many tables, in memory."""

    def __init__(self, file: pa.NativeFile) -> None:
        """Raises: ArrowInvalid, KeyError, TypeError or ValueError for a part of another kind."""
        self._schema = pq.read_schema(file)
        words = [field.name for field in self._schema if _is_text(field.type)]
        self._table = pq.read_table(file, read_dictionary=words)
        self._pandas = (self._schema.metadata or {})[NOTED.encode()].decode()
        if self._pandas:
            _of_rows(_noted(self._pandas), 0)
        runs = pc.run_end_encode(self._table[KEY].combine_chunks().cast(pa.string()))
        ends = runs.run_ends.to_pylist()
        starts = [0, *ends[:-1]] if ends else []
        self._places = dict(zip(runs.values.to_pylist(), zip(starts, ends, strict=True), strict=True))

    def has(self, key: str, _: str) -> bool:
        """Whether this is a part that could hold an artifact's table; a table without rows leaves no trace in it."""
        return True

    def write(self, key: str, _: str, file: Path) -> None:
        """Write the table of one artifact, with the types that it had; a part has one table of each."""
        start, end = self._places.get(key, (0, 0))
        some = self._table.slice(start, end - start).drop_columns([KEY])
        fields = [field.remove_metadata() for field in self._schema if field.name != KEY]
        write_table(some.cast(pa.schema(fields)), self._pandas, file)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_spread(column: pa.ChunkedArray) -> bool:
    """Whether a column holds measured floats, few of which are equal."""
    return pa.types.is_floating(column.type) and pc.count_distinct(column).as_py() * REPEATS > len(column)


def _noted(said: str) -> dict[str, Any]:
    """What pandas noted on a table. Raises: ValueError if it is no object."""
    found = parsed(said.encode())
    if not isinstance(found, dict):
        raise ValueError(f"what pandas noted is {brief(found)}, no object")
    return found


def _of_rows(noted: dict[str, Any], count: int | None) -> dict[str, Any]:
    """What pandas noted, with this number of rows wherever rows are numbered from 0."""
    numbered = [
        {**one, "stop": count}
        if isinstance(one, dict) and (one["kind"], one["start"], one["step"]) == ("range", 0, 1)
        else one
        for one in noted.get("index_columns", [])
    ]
    return {**noted, "index_columns": numbered}
