"""What two trainings have in common that differ in the seed: other sampled answers, other start values.

Seeds are compared two by two (`Replicates.couples`); an estimate's seeds are the first of each couple. One couple says
nothing of others, as one seed does, and an estimate of one alone is gated.
"""

from collections.abc import Mapping

import pandas as pd

from ws.lenses.cosine import InnerProducts, read_products
from ws.stats.cases import FEWEST_SEEDS
from ws.stats.estimate import Estimate
from ws.stats.sweep import Measure, Sweep
from ws.stats.tables import WHOLE
from ws.steering.interventions import Intervention, Weights
from ws.steering.mean import MeanWeights
from ws.study.replicates import Control, Replicates
from ws.study.sweeps import sweep_of
from ws.training.direction import Direction

ROW = ["seed", "question_id"]


def cosine(replicates: Replicates, family: str, *, control: Control | None = None) -> Estimate:
    """The cosine of two seeds' dW over all weights."""
    recipes = {
        couple[0]: InnerProducts(*_directions(replicates, family, couple, control)) for couple in replicates.couples
    }
    tables = [cosines(read_products(replicates.store, recipe)).assign(seed=seed) for seed, recipe in recipes.items()]
    found = Estimate.of(pd.concat(tables, ignore_index=True), sources=replicates.keys(*recipes.values()))
    return found.gated(*_gates(replicates))


def cosines(products: pd.DataFrame) -> pd.DataFrame:
    """Columns cluster (all tensors are one), row (tensor) and value; its mean is the cosine over all weights."""
    size = (products["first_sq"].sum() * products["second_sq"].sum()) ** 0.5
    named = {"cluster": WHOLE, "row": products["tensor"]}
    return pd.DataFrame({**named, "value": len(products) * products["dot"] / size})


def moved_alike(replicates: Replicates, family: str, *, control: Control | None = None) -> Estimate:
    """Pearson's correlation of how far two seeds' dW move the log-probability of each answer; clusters are messages.

    Both read the answers that were sampled for the first seed of a couple, at coefficient 1.
    """
    first, second = (_swept(replicates, family, "text", place, control) for place in (0, 1))
    one, other = (standardised(changes(swept)) for swept in (first, second))
    return of_changes(one * other, first, second).gated(*_gates(replicates))


def mean_retained(replicates: Replicates, family: str, *, measure: Measure = "corrected") -> Estimate:
    """The effect of the mean of two seeds' dW over the mean of their effects, a ratio of paired means."""
    each = [_swept(replicates, family, measure, place, None) for place in (0, 1)]
    means = {couple[0]: MeanWeights(_directions(replicates, family, couple, None)) for couple in replicates.couples}
    together, mean_of_each = _scored(replicates, measure, means), 0.5 * (each[0].effect + each[1].effect)
    norm, norms = (rows.loc[rows["coeff"] == 1, "norm"].mean() for rows in (together.rows, each[0].rows))
    said = f"effect of each {mean_of_each.value:+.3f} nats, norm of the mean {norm / norms:.2f} of one {family}"
    return (together.effect / mean_of_each).noting(said).gated(*_gates(replicates))


def _gates(replicates: Replicates) -> tuple[str, ...]:
    if len(replicates.couples) > 1:
        return ()
    return (f"1 couple of seeds; {FEWEST_SEEDS} or more are needed, of {2 * FEWEST_SEEDS} seeds",)


def _directions(
    replicates: Replicates, family: str, couple: tuple[int, int], control: Control | None
) -> tuple[Direction, Direction]:
    first, second = (replicates.direction(family, seed=seed, control=control) for seed in couple)
    return first, second


def _swept(replicates: Replicates, family: str, measure: Measure, place: int, control: Control | None) -> Sweep:
    """One seed of each couple, its first or its second, on the rows of the first."""
    chosen = {
        couple[0]: Weights(_directions(replicates, family, couple, control)[place]) for couple in replicates.couples
    }
    return _scored(replicates, measure, chosen)


def _scored(replicates: Replicates, measure: Measure, interventions: Mapping[int, Intervention]) -> Sweep:
    steered = tuple(
        (seed, replicates.subject.scored(measure, one, seed=seed, coeffs=(1.0,))) for seed, one in interventions.items()
    )
    return sweep_of(replicates, steered, measure)


def changes(swept: Sweep) -> pd.Series:
    """How far each row moves from coefficient 0 to 1, by seed and row; in nats of the column that the measure reads."""
    column = "log_p" if swept.measure == "text" else "log_ratio"
    at = {coeff: rows.set_index(ROW)[column] for coeff, rows in swept.rows.groupby("coeff")}
    return (at[1.0] - at[0.0]).sort_index()


def standardised(moved: pd.Series) -> pd.Series:
    """Changes of each seed with mean 0 and variance 1."""
    by_seed = moved.groupby(level="seed")
    return (moved - by_seed.transform("mean")) / by_seed.transform("std", ddof=0)


def of_changes(values: pd.Series, *swept: Sweep) -> Estimate:
    """The mean of values, by seed and row, that were computed from the changes of sweeps of the same rows."""
    clusters = swept[0].rows.drop_duplicates("question_id").set_index("question_id")["cluster"]
    lines = values.rename("value").reset_index().rename(columns={"question_id": "row"})
    whole = Estimate.of(lines.assign(cluster=lines["row"].map(clusters)))
    return whole.made_of(*(one.at(coeff) for one in swept for coeff in (1.0, 0.0)))
