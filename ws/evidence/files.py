"""Small files of many artifacts that are no tables, in one parquet file, as they were byte by byte."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ws.evidence.tables import KEY, LEVEL

MOST_BYTES_OF_ONE = 1_000_000
"""Larger files are weights, which do not belong into a repository of code."""


def write_files(contents: Mapping[tuple[str, str], bytes], file: Path) -> None:
    """Write the content of files, by the key of their artifact and their name in it."""
    ordered = sorted(contents)
    columns = {
        KEY: pa.array([key for key, _ in ordered], pa.string()),
        "name": pa.array([name for _, name in ordered], pa.string()),
        "content": pa.array([contents[place] for place in ordered], pa.binary()),
    }
    pq.write_table(
        pa.table(columns),
        file,
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=[KEY, "name"],
        row_group_size=max(1, len(ordered)),
        write_statistics=False,
    )


class Files:
    """A part of many files, in memory."""

    def __init__(self, file: pa.NativeFile) -> None:
        """Raises: ArrowInvalid, KeyError or ValueError for a part of another kind."""
        rows = pq.read_table(file).to_pylist()
        self._contents = {(row[KEY], row["name"]): row["content"] for row in rows}
        if not all(isinstance(content, bytes) for content in self._contents.values()):
            raise ValueError("a file has no bytes")

    def has(self, key: str, name: str) -> bool:
        """Whether a file of an artifact is here."""
        return (key, name) in self._contents

    def write(self, key: str, name: str, file: Path) -> None:
        """Write one file of an artifact."""
        file.write_bytes(self._contents[key, name])
