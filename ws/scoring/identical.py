"""The check that all arms are scored on the same rows.

A way of steering that is scored on fewer, other or differently labelled rows cannot be compared. Rows that only some
arms have are not dropped, but an error.
"""

from collections.abc import Mapping

import pandas as pd

from ws.errors import DataError
from ws.scoring.rows import KEY

Key = tuple[str | int, ...]


def check_identical(arms: Mapping[str, pd.DataFrame]) -> None:
    """Raises unless every arm has the same rows, equally labelled, at each of its seeds and coefficients.

    Arms may have different seeds and coefficients: a system prompt has no coefficient -1 and no seed.
    Raises: DataError naming an arm, the rows that it lacks or repeats, and what to do; also if there is no arm, or an
        arm has no rows.
    """
    if not arms or any(table.empty for table in arms.values()):
        empty = [arm for arm, table in arms.items() if table.empty]
        raise DataError(f"nothing to compare: {f'{empty[0]!r} has no rows' if empty else 'no arm'}; score some first")
    parts = {(arm, *part): rows for arm, table in arms.items() for part, rows in _parts(table)}
    every = {row: arm for (arm, *_), rows in parts.items() for row in rows}
    for (arm, where), rows in parts.items():
        if repeated := len(rows) - len(set(rows)):
            raise DataError(f"arm {arm!r}{where} repeats {repeated} rows; expected each once; score it anew")
        if missing := sorted(every.keys() - set(rows)):
            raise DataError(
                f"arm {arm!r}{where} lacks {len(missing)} of {len(every)} rows that {every[missing[0]]!r} has: "
                f"{', '.join(map(_named, missing[:3]))}{' ...' if len(missing) > 3 else ''}; "
                "score all arms on one tuple of questions"
            )


def _parts(table: pd.DataFrame) -> list[tuple[tuple[str], list[Key]]]:
    """For each seed and coefficient: both in words, and the keys of the rows there."""
    by = [name for name in ("seed", "coeff") if name in table]
    groups = table.groupby(by) if by else [((), table)]
    return [
        (("".join(f", {name} {value:g}" for name, value in zip(by, values, strict=True)),), _keys(rows))
        for values, rows in groups
    ]


def _keys(rows: pd.DataFrame) -> list[Key]:
    return list(rows[list(KEY)].itertuples(index=False, name=None))


def _named(key: Key) -> str:
    return f"{key[0]} (sign {key[-1]:+d}, cluster {key[1]})"
