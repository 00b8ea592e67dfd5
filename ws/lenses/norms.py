"""How large dW is, and where it lies: estimates over its tensors and seeds."""

from collections.abc import Mapping

import pandas as pd

from ws.stats.estimate import Estimate
from ws.stats.tables import WHOLE
from ws.store import Store
from ws.training.direction import Direction, read_geometry


def norm(store: Store, directions: Mapping[int, Direction]) -> Estimate:
    """The Frobenius norm of dW over all tensors, in base-weight units; one number per seed."""
    squares = _tensors(store, directions).pivot(index="tensor", columns="seed", values="delta_sq")
    # A sum without the tensors that are missing, or are no number, would make a broken dW a shorter one.
    norms = squares.sum(skipna=False) ** 0.5
    lines = pd.DataFrame({"seed": norms.index, "cluster": WHOLE, "row": "norm", "value": norms.to_numpy()})
    return Estimate.of(lines, sources=_keys(store, directions))


def weak_readout_ratio(store: Store, directions: Mapping[int, Direction]) -> Estimate:
    """Energy of dW in directions that the unembedding reads least, over what chance would put there; 1: no preference.

    Computed on tensors that write the residual stream.
    """
    table = _tensors(store, directions).dropna(subset="weak_sq")
    lines = table.assign(cluster=WHOLE, row=table["tensor"])
    weak, by_chance = (Estimate.of(lines.assign(value=table[column])) for column in ("weak_sq", "weak_null"))
    return (weak / by_chance).noting(sources=_keys(store, directions))


def _tensors(store: Store, directions: Mapping[int, Direction]) -> pd.DataFrame:
    tables = [read_geometry(store, direction).assign(seed=seed) for seed, direction in directions.items()]
    return pd.concat(tables, ignore_index=True)


def _keys(store: Store, directions: Mapping[int, Direction]) -> list[str]:
    return [store.key(direction) for direction in directions.values()]
