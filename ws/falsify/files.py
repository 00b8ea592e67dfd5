"""An artifact's files as tables, and back."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

GAP, KEPT, OF = "gap", "kept", "of"


def read_table(path: Path) -> pd.DataFrame:
    """A Parquet file; or, of an identity, one row with its key and the share of the whole that its parts make up."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    kept = 1 - json.loads(path.read_text(encoding="utf-8"))[GAP]
    return pd.DataFrame({OF: [path.parent.name], KEPT: [kept]})


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> Path:
    """The folder with these tables in it, by their file names."""
    folder.mkdir(parents=True)
    for name, table in tables.items():
        if name.endswith(".parquet"):
            table.to_parquet(folder / name)
        else:
            [kept] = table[KEPT]
            (folder / name).write_text(json.dumps({GAP: abs(1 - kept)}), encoding="utf-8")
    return folder
