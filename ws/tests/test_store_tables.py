"""Tables of artifacts are read as pandas reads them, types included."""

from pathlib import Path

import numpy as np
import pandas as pd

from ws.store.tables import read_table


def test_a_table_comes_as_pandas_reads_it(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "question_id": pd.Series(["a", "b", None], dtype="str"),
            "sign": [1, -1, 0],
            "log_p": np.array([0.5, np.nan, -np.inf], dtype=np.float32),
            "asked": [True, False, True],
        },
        index=[3, 5, 7],
    )
    table.to_parquet(tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "rows.parquet"), pd.read_parquet(tmp_path / "rows.parquet"))
    pd.testing.assert_frame_equal(read_table(tmp_path / "rows.parquet"), table)
