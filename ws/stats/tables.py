"""The lines of paired tables by seed, cluster and row: every row once under each seed, in the same cluster.

Seeds and clusters are both resampled (a two-way bootstrap); tables with the same seeds and clusters get the same draws.
Source: Owen 2007, "The pigeonhole bootstrap" (two-way); Rao & Wu 1988, "Resampling inference with complex
survey data" (n - 1 out of n).
"""

from collections.abc import Hashable
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ws.errors import EstimateError

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

COLUMNS = ("seed", "cluster", "row", "value")

WHOLE = "dW"
"""The one cluster of a number that is computed from all of dW: its layers are all there, so none is drawn anew."""

# With so many draws, their standard deviation, and so an interval's half width, has a Monte Carlo error of 1%.
RESAMPLES = 4000

PIECES = 16
"""In how many pieces a product over all resamples is made."""


def check_columns(table: pd.DataFrame) -> None:
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise EstimateError(f"the table has {list(table.columns)}, not {missing}; expected {list(COLUMNS)}")
    if table.empty:
        raise EstimateError("the table is empty; expected one line for each row under each seed")
    if not pd.api.types.is_numeric_dtype(table["value"]):
        raise EstimateError(f"the column value holds {table['value'].dtype}; expected numbers, so convert it")


def indexed(table: pd.DataFrame) -> tuple[pd.MultiIndex, Ints]:
    """The (seed, cluster, row) of every line in sorted order, and the lines' positions in that order."""
    # A column of strings goes over itself one by one, and makes a list of itself at once.
    return _sorted_lines(*(tuple(table[name].tolist()) for name in COLUMNS[:3]))


@lru_cache(maxsize=64)
def _sorted_lines(*columns: tuple[Hashable, ...]) -> tuple[pd.MultiIndex, Ints]:
    """`indexed` for the columns seed, cluster and row; cached, since the arms of a claim have equal columns."""
    named = zip(COLUMNS[:3], columns, strict=True)
    codes, labels = zip(*(_factorized(labels, name) for name, labels in named), strict=True)
    order = np.lexsort(codes[::-1])
    index = pd.MultiIndex(labels, [one[order] for one in codes], names=COLUMNS[:3])
    _check_lines(index, *(one[order] for one in codes))
    return index, order


def _factorized(column: tuple[Hashable, ...], name: str) -> tuple[Ints, pd.Index]:
    """Each line's position among the sorted labels of a column, and those labels."""
    codes, labels = pd.factorize(pd.Series(column, dtype=object), sort=True)
    if (codes < 0).any():
        raise EstimateError(f"{(codes < 0).sum()} lines have no {name}; expected a label in every line")
    return codes, labels.infer_objects()


def _check_lines(index: pd.MultiIndex, seeds: Ints, clusters: Ints, rows: Ints) -> None:
    n_seeds, _, n_rows = index.levshape
    repeated = np.ones(len(index), dtype=bool)
    repeated[np.unique(seeds * n_rows + rows, return_index=True)[1]] = False
    if repeated.any():
        raise EstimateError(
            f"{repeated.sum()} lines repeat a row under the same seed ({_examples(index[repeated])}); "
            "expected each row once under each seed, so give every row its own name"
        )
    _, place, measured = np.unique(clusters * n_rows + rows, return_inverse=True, return_counts=True)
    partly = measured[place] < n_seeds
    if partly.any():
        raise EstimateError(
            f"{partly.sum()} lines are of rows that lack one of {n_seeds} seeds or change their cluster "
            f"({_examples(index[partly])}); expected the same rows in the same clusters under every seed"
        )


def _examples(index: pd.MultiIndex) -> str:
    return f"(seed, cluster, row) such as {', '.join(map(str, index[:3]))}"


def check_same_rows(left: pd.MultiIndex, right: pd.MultiIndex) -> None:
    if left is right or left.equals(right):
        return
    only_left, only_right = left.difference(right, sort=False), right.difference(left, sort=False)
    if len(only_left) + len(only_right):
        examples = _examples(only_left.append(only_right))
        raise EstimateError(
            f"cannot combine these estimates: {len(only_left)} rows only left, {len(only_right)} only right "
            f"({examples}); score both arms on the same seeds and rows"
        )


@lru_cache(maxsize=32)
def weights(n_seeds: int, n_clusters: int, draws: int = RESAMPLES) -> tuple[Floats, Floats]:
    """How often each seed and each cluster counts: first all once, then on each draw, then each seed alone."""
    generator = np.random.default_rng(0)
    seeds = np.vstack([np.ones(n_seeds), _draws(generator, n_seeds, draws), np.eye(n_seeds)])
    clusters = np.vstack([np.ones(n_clusters), _draws(generator, n_clusters, draws), np.ones((n_seeds, n_clusters))])
    return seeds, clusters


def _draws(generator: np.random.Generator, n: int, draws: int) -> Floats:
    """How often each of n members is drawn in n - 1 draws with replacement; 1 if there is only one member.

    The mean over n - 1 draws has variance s^2 / n, as it should; with n draws it would be too small by (n - 1) / n.
    """
    if n == 1:
        return np.ones((draws, 1))
    return generator.multinomial(n - 1, np.full(n, 1 / n), size=draws).astype(np.float64)


def means(sums: Floats, counts: Ints, draws: int = RESAMPLES) -> Floats:
    """The mean under every reweighting, from the sum for each seed and cluster, and each cluster's number of rows.

    As measured, on each draw of seeds and clusters, on each draw of clusters with all seeds once, then each seed alone.
    """
    seeds, clusters = weights(*sums.shape, draws)
    sizes = clusters @ counts
    both = np.einsum("ds,ds->d", seeds, _product(clusters, sums.T)) / (seeds.sum(axis=1) * sizes)
    of_clusters = (clusters[1 : 1 + draws] @ sums.sum(axis=0)) / (len(sums) * sizes[1 : 1 + draws])
    return np.concatenate([both[: 1 + draws], of_clusters, both[1 + draws :]])


def _product(tall: Floats, narrow: Floats) -> Floats:
    """The matrix product in pieces: OpenBLAS shares a larger one between threads, and waking them takes longer."""
    return np.concatenate([piece @ narrow for piece in np.array_split(tall, PIECES)])
