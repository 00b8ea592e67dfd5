"""Whether the families' ranking by how far they steer is the same for other seeds and for other models."""

from collections.abc import Sequence

import pandas as pd

from ws.adapters import FAMILIES
from ws.lenses.oracle import rank_products
from ws.stats.estimate import Estimate
from ws.stats.sweep import Measure
from ws.study.replicates import Replicates
from ws.study.sweeps import sweep


def between_seeds(replicates: Replicates, *, measure: Measure = "corrected") -> Estimate:
    """Spearman's correlation of the families' effects under one seed with those under another; clusters are families.

    Seeds are compared two by two (`Replicates.couples`); the estimate's seeds are the first of each couple.
    """
    effects = _effects(replicates, measure)
    table = _by_seed(effects)
    first, second = (list(seeds) for seeds in zip(*replicates.couples, strict=True))
    return _correlation(table.loc[first], table.loc[second].set_axis(first), effects)


def between_models(replicates: Replicates, others: Replicates, *, measure: Measure = "corrected") -> Estimate:
    """Spearman's correlation of the families' effects on one model with those on another; clusters are families.

    Both models have the same seeds, which share nothing but their number.
    """
    mine, its = (_effects(each, measure) for each in (replicates, others))
    return _correlation(_by_seed(mine), _by_seed(its), [*mine, *its])


def _effects(replicates: Replicates, measure: Measure) -> list[Estimate]:
    """The effect of every family, in their order."""
    return [sweep(replicates, family, measure=measure).effect for family in FAMILIES]


def _by_seed(effects: Sequence[Estimate]) -> pd.DataFrame:
    """A row per seed and a column per family."""
    return pd.DataFrame({family: effect.by_seed for family, effect in zip(FAMILIES, effects, strict=True)})


def _correlation(first: pd.DataFrame, second: pd.DataFrame, effects: Sequence[Estimate]) -> Estimate:
    said = (", ".join(f"{family} {table[family].mean():+.3f}" for family in FAMILIES) for table in (first, second))
    return Estimate.of(rank_products(first, second)).made_of(*effects).noting(*said)
