"""The check that a steered model still computes numbers.

What is added to a model may be so large that its sums exceed what a number can hold. Everything behind them is then no
number any more, and a mean of it says nothing.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ws.errors import DataError


def check_finite(tables: Mapping[tuple[int, float], pd.DataFrame], column: str, *, steering: str) -> None:
    """Raises: DataError naming seed and coefficient of a table of rows in which some values are no finite numbers."""
    for (seed, coeff), rows in tables.items():
        broken = int((~np.isfinite(rows[column].astype(float))).sum())
        if broken:
            norm = float(rows["norm"].iloc[0])
            raise DataError(
                f"{steering} at {coeff:+g} (seed {seed}): {broken} of {len(rows)} rows have a {column} that is no "
                f"finite number, as what is added is too large for the model (norm {norm:.2g}); expected numbers in "
                "every row; steer nearer to 0 (--coeffs), or train or fetch what steers anew"
            )
