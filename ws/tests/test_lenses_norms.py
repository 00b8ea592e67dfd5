"""Norms and places of dW over seeds are those of each direction's geometry."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from ws.lenses import norms
from ws.lenses.norms import norm, weak_readout_ratio
from ws.stats.estimate import Estimate
from ws.store import Store
from ws.tests.small import adapter
from ws.training.direction import Direction, read_geometry, summary

DIRECTIONS = {seed: Direction(adapter(seed=seed), adapter(sign="minus", seed=seed)) for seed in (0, 1)}


def test_the_norm_is_that_of_each_seed(store: Store) -> None:
    found = norm(store, DIRECTIONS)
    each = {seed: summary(read_geometry(store, direction))["norm"] for seed, direction in DIRECTIONS.items()}
    assert found.by_seed.to_dict() == pytest.approx(each)


@pytest.mark.parametrize("spoil", [lambda table: table[1:], lambda table: table.assign(delta_sq=np.nan)])
def test_a_norm_without_one_of_the_tensors_is_none(
    store: Store, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    tables = {direction: read_geometry(store, direction) for direction in DIRECTIONS.values()}
    tables[DIRECTIONS[1]] = spoil(tables[DIRECTIONS[1]])
    monkeypatch.setattr(norms, "read_geometry", lambda store, direction: tables[direction])
    assert norm(store, DIRECTIONS).gates == ("NaN or infinite in 1 of 2 values",)


def test_the_weak_readout_ratio_is_of_means_over_tensors_that_write_the_stream(store: Store) -> None:
    tables = [read_geometry(store, direction) for direction in DIRECTIONS.values()]
    weak, by_chance = (sum(table[name].sum() for table in tables) for name in ("weak_sq", "weak_null"))
    found = weak_readout_ratio(store, DIRECTIONS)
    assert found.value == pytest.approx(weak / by_chance)
    assert found.n_rows == tables[0]["weak_sq"].notna().sum()
    assert found.n_clusters == 1, "tensors are all there"


@pytest.mark.parametrize("number", [norm, weak_readout_ratio])
def test_both_know_the_directions(store: Store, number: Callable[..., Estimate]) -> None:
    assert number(store, DIRECTIONS).sources == tuple(map(store.key, DIRECTIONS.values()))
