"""How far the leading directions of dW, of activations and of other families overlap, over a subject's replicates."""

from functools import lru_cache
from typing import Literal

import pandas as pd

from ws.adapters import FAMILIES
from ws.errors import UnknownNameError
from ws.lenses.activations import persona_basis, steered_basis, task_basis
from ws.lenses.oracle import OracleOverlaps, View, rank_products, read_oracle_overlaps
from ws.lenses.overlap import Overlaps, read_overlaps
from ws.stats.estimate import Estimate
from ws.stats.sweep import Measure
from ws.stats.tables import WHOLE
from ws.study.replicates import Replicates
from ws.study.sweeps import cut_sweep
from ws.training.direction import Direction

TOP = 8
"""How many directions are compared: the journal's smallest K."""


def overlap_ratio(replicates: Replicates, family: str, *, control: Literal["random"] | None = None) -> Estimate:
    """The overlap of a family's top left directions with those of all others, over chance, over all tensors.

    The two directions of a pair have different seeds, if there are several. Only left sides are compared: families may
    share start values on the right. In the control, random values with the family's norm and rank take its place.
    """
    if control not in (None, "random"):
        raise UnknownNameError("control", control, ["random"])
    recipe = Overlaps(_met(replicates), TOP)
    name = f"{control} {family}" if control else family
    lines = paired_lines(read_overlaps(replicates.store, recipe), name)
    seen, by_chance = (
        Estimate.of(lines.assign(value=lines[name]), sources=replicates.keys(recipe)) for name in ("overlap", "chance")
    )
    return seen / by_chance


def paired_lines(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A row per seed, other family and tensor: the overlap of this seed's dW with the other family's dW."""
    lines = table[(table["side"] == "left") & (table["first"] == name)]
    row = lines["tensor"].astype(str) + " " + lines["second"].astype(str)
    return lines.assign(seed=lines["first_seed"], cluster=WHOLE, row=row)


def oracle_overlap(
    replicates: Replicates, family: str, first: str, second: str, *, at: Literal["first", "last"] | None = None
) -> Estimate:
    """The mean overlap of two oracles over the adapted layers. `at` takes only the lowest or highest layer.

    Oracles: weight, random, cumulative, block, persona and task.
    """
    table, sources = _oracles(replicates, family)
    table = table[(table["first"] == first) & (table["second"] == second)]
    if at is not None:
        layers = table["layer"]
        table = table[layers == (layers.min() if at == "first" else layers.max())]
    named = {"seed": table["seed"], "cluster": WHOLE, "row": table["layer"], "value": table["overlap"]}
    return Estimate.of(pd.DataFrame(named), sources=sources, notes=(f"chance {table['chance'].mean():.3f}",))


def rank_correlation(replicates: Replicates, first: str, second: str, *, measure: Measure = "corrected") -> Estimate:
    """Spearman's correlation, over families, of dW's effect with the overlap of two oracles."""
    effects = {family: cut_sweep(replicates, family, measure=measure).effect for family in FAMILIES}
    overlaps = {family: oracle_overlap(replicates, family, first, second) for family in FAMILIES}
    ranked = (pd.DataFrame({family: one.by_seed for family, one in each.items()}) for each in (effects, overlaps))
    return Estimate.of(rank_products(*ranked)).made_of(*effects.values(), *overlaps.values())


@lru_cache(maxsize=64)
def _oracles(replicates: Replicates, family: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The overlaps of every pair of oracles by layer and seed, overlaps by chance, and the keys of their artifacts."""
    recipes = {seed: _recipe(replicates, replicates.direction(family, seed=seed)) for seed in replicates.seeds}
    tables = [read_oracle_overlaps(replicates.store, recipe).assign(seed=seed) for seed, recipe in recipes.items()]
    return pd.concat(tables, ignore_index=True), replicates.keys(*recipes.values())


def _recipe(replicates: Replicates, direction: Direction) -> OracleOverlaps:
    prompts = replicates.subject.fit_prompts
    steered = steered_basis(direction, prompts)
    personas = persona_basis(replicates.subject.on, replicates.subject.behavior, prompts)
    views = (
        View("cumulative", steered, "cumulative"),
        View("block", steered, "block"),
        View("persona", personas, "cumulative"),
        View("task", task_basis(direction, prompts), "cumulative"),
    )
    return OracleOverlaps(direction, views, k=min(TOP, replicates.subject.scale.k))


def _met(replicates: Replicates) -> tuple[tuple[Direction, Direction], ...]:
    """Every family, and a random control, at each seed beside every other family at the seed that follows."""
    arms: list[tuple[str, Literal["random"] | None]] = [*((name, None) for name in FAMILIES), ("lora", "random")]
    return tuple(
        (
            replicates.direction(name, seed=seed, control=control),
            replicates.direction(other, seed=replicates.after(seed)),
        )
        for name, control in arms
        for seed in replicates.seeds
        for other in FAMILIES
        if other != name
    )
