"""Constructed and trained updates on the same rows, each as far from the unchanged model as the other.

A construction does not depend on a seed; where rows do, as text does, each seed has its own. The controls are the
update turned round, and random values with its norm and rank in every tensor, at the coefficient that the construction
has at equal KL.
"""

from functools import lru_cache, partial
from typing import Literal

import pandas as pd

from ws.constructed.base import Constructed
from ws.constructed.table import construction
from ws.contest.arm import Arm, Dose, RecipeOf, Side
from ws.contest.contest import Contest
from ws.contest.footing import arm_at, strength
from ws.scoring.scored import read_scored
from ws.stats.estimate import Estimate
from ws.stats.sweep import Measure, Sweep
from ws.steering.iso_kl import read_iso_kl
from ws.study.replicates import Replicates

Control = Literal["random"]


@lru_cache(maxsize=128)
def constructed_arm(replicates: Replicates, name: str, *, control: Control | None = None, side: Side = 1) -> Arm:
    """A construction at equal KL; side: -1 turns it round.

    Raises: UnknownNameError for a construction that does not exist.
    """
    made = Constructed(construction(replicates.subject, name))
    calibration = Contest(replicates.subject).iso_kl(made)
    replicates.store.needs(calibration)
    coeff = side * read_iso_kl(replicates.store, calibration).coeff
    steering = {
        seed: Constructed(made.construction, random_seed=None if control is None else seed) for seed in replicates.seeds
    }
    doses = tuple(Dose(seed, one, coeff) for seed, one in steering.items())
    return Arm(name, doses, side, ranked=control is None and side > 0)


def trained_arm(replicates: Replicates, family: str) -> Arm:
    """dW of a family at equal KL."""
    return arm_at(replicates.store, Contest(replicates.subject), replicates.seeds, family, "iso-kl")


def effect(replicates: Replicates, arm: Arm, *, measure: Measure) -> Estimate:
    """How far an arm moves a measure towards the behavior, in nats per row or per token."""
    return _swept(replicates, arm, measure).effect_at(float(arm.side))


def reached(replicates: Replicates, name: str, family: str, *, measure: Measure) -> Estimate:
    """The effect of a construction over that of a family's dW, both at equal KL: a ratio of paired means.

    If the interval of the trained effect contains 0, the ratio means nothing, and a claim on it is INVALID.
    """
    made = effect(replicates, constructed_arm(replicates, name), measure=measure)
    trained = effect(replicates, trained_arm(replicates, family), measure=measure)
    return (made / trained).noting(f"effect {made.value:+.3f} of {trained.value:+.3f} nats {family}")


def zero_rows(replicates: Replicates, name: str) -> pd.DataFrame:
    """Yes/No rows scored with 0 times a construction added."""
    made = Constructed(construction(replicates.subject, name))
    return read_scored(replicates.store, replicates.subject.rows(made, coeffs=(0.0,)))


@lru_cache(maxsize=256)
def _swept(replicates: Replicates, arm: Arm, measure: Measure) -> Sweep:
    def recipe_of(seed: int) -> RecipeOf:
        return partial(replicates.subject.scored, measure, seed=seed)

    store = replicates.store
    swept = Sweep(arm.table_by_seed(store, recipe_of), measure, sources=arm.keys_by_seed(store, recipe_of))
    return swept.noting(strength(store, Contest(replicates.subject), arm)) if arm.ranked else swept
