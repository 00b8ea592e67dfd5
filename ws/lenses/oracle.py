"""How far the directions that dW writes agree with the directions along which steering moves the stream, by layer.

The journal's v9 (2026-04-27). Its weight oracle is the top left singular directions of a layer's residual writes, put
side by side; an activation oracle is the top directions of `ws.lenses.activations`. The overlap of two oracles is the
share of one that lies in the span of the other, by chance k / d_model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from ws.engine.loading import loaded
from ws.errors import MismatchError
from ws.lenses.activations import ActivationBasis, leading, read_directions
from ws.lenses.bases import LayerBases
from ws.lenses.cuts import WRITES, whole_delta
from ws.lenses.modules import layer_of
from ws.lenses.overlap import overlap, overlap_by_chance
from ws.lenses.shared import shared_basis
from ws.lenses.spectrum import orthonormal
from ws.store import Recipe, Store
from ws.store.tables import read_table
from ws.training.direction import Direction

OWN = ("weight", "random")
"""Oracles that every table has beside its views: dW's own writes, and random directions."""


class View(NamedTuple):
    """Activation directions of one scope, and their name in the table."""

    name: str
    basis: ActivationBasis
    scope: str


@dataclass(frozen=True)
class OracleOverlaps(Recipe):
    """`overlaps.parquet`: the overlap of the first k directions of every two oracles, a row per pair and layer of dW.

    Raises: MismatchError for views of another model, or two views of the same name.
    """

    direction: Direction
    views: tuple[View, ...]
    k: int = 8

    def __post_init__(self) -> None:
        names = [*OWN, *(view.name for view in self.views)]
        if len(set(names)) < len(names):
            raise MismatchError(f"oracles named {names}; expected every name once, rename a view")
        if any(view.basis.on != self.direction.on for view in self.views):
            raise MismatchError(
                f"a view of another model beside {self.direction.describe()}; read states of the model of this dW"
            )

    def describe(self) -> str:
        return f"overlap of {len(self.views) + len(OWN)} oracles at K = {self.k}, {self.direction.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.direction.on, store)
        writes = WRITES.apply(whole_delta(self.direction, lm, store), lm)
        own = shared_basis([writes], self.k, per="layer")
        weight = {layer_of(path): basis.cpu() for path, basis in own.items()}
        generator = torch.Generator().manual_seed(self.direction.plus.seed)
        random = {layer: orthonormal(lm.d_model, self.k, generator) for layer in weight}
        views = {view.name: read_directions(store, view.basis, view.scope) for view in self.views}
        oracle_overlaps({"weight": weight, "random": random, **views}, sorted(weight), self.k).to_parquet(
            out / "overlaps.parquet"
        )


def read_oracle_overlaps(store: Store, recipe: OracleOverlaps) -> pd.DataFrame:
    """The columns of `oracle_overlaps`."""
    return read_table(store.get(recipe) / "overlaps.parquet")


def oracle_overlaps(oracles: Mapping[str, LayerBases], layers: list[int], k: int) -> pd.DataFrame:
    """Columns first, second, layer, k, width, overlap, chance and chance_sd, a row per pair of oracles and layer.

    Raises: MismatchError if an oracle has no directions at a layer; ShapeError if it has fewer than k.
    """
    rows = []
    for first, second in combinations(oracles, 2):
        for layer in layers:
            mine, its = (leading(oracles[name], layer, k) for name in (first, second))
            null = overlap_by_chance(k, d=len(mine))
            rows.append((first, second, layer, k, len(mine), overlap(mine, its), null.mean, null.sd))
    return pd.DataFrame(rows, columns=["first", "second", "layer", "k", "width", "overlap", "chance", "chance_sd"])


def rank_products(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Products of standardised ranks over families, whose mean over the rows of a seed is Spearman's rank correlation.

    Both tables have a row per seed and a column per family. The result has columns seed, cluster and row (both hold the
    family) and value, so that an interval resamples families as well as seeds. Ranks are taken once, over all families:
    a resampled set is not ranked anew. Raises: MismatchError for different seeds or families.
    """
    if not first.index.equals(second.index) or not first.columns.equals(second.columns):
        raise MismatchError(
            f"ranks of {list(first.columns)} and {list(second.columns)} over seeds {list(first.index)} and "
            f"{list(second.index)}; expected the same seeds and families, in one order"
        )
    products = _standardised_ranks(first) * _standardised_ranks(second)
    long = products.rename_axis(index="seed", columns="cluster").stack(future_stack=True).rename("value").reset_index()
    return long.assign(row=long["cluster"])


def _standardised_ranks(table: pd.DataFrame) -> pd.DataFrame:
    ranks = table.rank(axis=1)
    centred = ranks.sub(ranks.mean(axis=1), axis=0)
    return centred.div(ranks.std(axis=1, ddof=0), axis=0)
