"""A CSV in the published schema."""

import csv
from pathlib import Path

from ws.dilemmas.lines import MOST_BYTES, lines_of
from ws.dilemmas.published import Published, layout_of, published
from ws.errors import DataError
from ws.files.cells import advised
from ws.files.opening import content


def read_csv(path: Path) -> Published:
    """The dilemmas of a CSV in the published schema, with columns of any of the three tables.

    Raises: DataError naming file and line if a column is missing, a label is unknown or a dilemma has not two actions.
    """
    text = content(path, most=MOST_BYTES, what="a CSV in the published schema", refuse=DataError)
    lines = [line for _, line in lines_of(text, path.name, keep_ends=True)]
    reader = csv.DictReader(lines, strict=True)
    try:
        layout = layout_of(reader.fieldnames or (), place=f"{path.name} line 1")
        rows = [(f"{path.name} line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        line = reader.reader.line_num
        why = advised(error, most=csv.field_size_limit())
        raise DataError(f"{path.name} line {line} cannot be read: {why}") from error
    return published(rows, layout, name=path.name)
