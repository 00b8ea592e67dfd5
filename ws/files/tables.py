"""Tables in Parquet that somebody else wrote, read piece by piece up to a size.

A few hundred bytes of Parquet can stand for a hundred million rows, so the size of a file says nothing.
"""

from collections.abc import Callable, Collection

import pyarrow as pa
import pyarrow.parquet as pq

from ws.files.notation import Unreadable
from ws.files.showing import brief, brief_line

MOST_ROWS = 10_000_000
MOST_COLUMNS = 1_000
MOST_STORED = 400 << 20
"""Bytes of all values as they are stored, without compression."""

MOST_READ = 200 << 20
"""Bytes of all values once they are read."""

MOST_AT_ONCE = 4_096


def table_in(found: bytes, *, check: Callable[[Collection[str]], None] = lambda _: None) -> pa.Table:
    """The table that bytes of Parquet hold; `check` is told the names of its columns before any is read.

    Raises: Unreadable if it is none, or stands for too much.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(found))
        stored = _check_said(file.metadata)
        check(file.schema_arrow.names)
        if nested := [field.name for field in file.schema_arrow if _holds_dictionary(field.type)]:
            raise Unreadable(f"its column {brief(nested[0])} has a dictionary inside of its values")
        pieces, size = [], 0
        # No row can hold more than all that is stored, so that these rows together stay below the limit.
        rows = max(1, min(MOST_AT_ONCE, MOST_READ // max(1, stored)))
        for piece in file.iter_batches(rows, use_threads=False):
            pieces.append(piece)
            if (size := size + sum(_bytes(column) for column in piece.columns)) > MOST_READ:
                raise Unreadable(f"its values take more than {MOST_READ:,} bytes")
        return pa.Table.from_batches(pieces, schema=file.schema_arrow)
    except Unreadable:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        raise Unreadable(brief_line(error)) from error


def _bytes(column: pa.Array) -> int:
    """The bytes of all values of a column, each counted as often as it occurs."""
    return int((column.dictionary_decode() if pa.types.is_dictionary(column.type) else column).nbytes)


def check_size(found: bytes) -> None:
    """Raises: Unreadable if bytes are no Parquet, or say that they stand for too much."""
    try:
        _check_said(pq.read_metadata(pa.BufferReader(found)))
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(brief_line(error)) from error


def _holds_dictionary(kind: pa.DataType) -> bool:
    """Whether values consist of others, some of which stand in a dictionary: their size cannot be told."""
    inside = [kind.field(number).type for number in range(kind.num_fields)]
    return any(pa.types.is_dictionary(one) or _holds_dictionary(one) for one in inside)


def _check_said(said: pq.FileMetaData) -> int:
    """The bytes of all values as they are stored. Raises: Unreadable if a file says that it stands for too much."""
    stored = sum(said.row_group(number).total_byte_size for number in range(said.num_row_groups))
    if said.num_rows > MOST_ROWS or said.num_columns > MOST_COLUMNS or not 0 <= stored <= MOST_STORED:
        raise Unreadable(
            f"it has {said.num_rows:,} rows of {said.num_columns:,} columns in {stored:,} bytes; {MOST_ROWS:,}, "
            f"{MOST_COLUMNS:,} and {MOST_STORED:,} at most are read"
        )
    return stored
