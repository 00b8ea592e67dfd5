"""Sweeps of a subject's replicates: the rows of dW, of its cuts and of controls, over seeds and coefficients.

Everything is built on demand through the store; if it is there already, no model is loaded. Every seed has the rows of
the unchanged model at coefficient 0.
"""

from functools import lru_cache

import numpy as np
import pandas as pd

from ws.lenses.identity import Identity, read_gap
from ws.lenses.modules import layer_of
from ws.scoring.rows import COEFFS
from ws.scoring.scored import Scored, read_scored
from ws.scoring.text import FIRST_PAIR
from ws.stats.estimate import Estimate
from ws.stats.sweep import OF_TEXT, Measure, Sweep
from ws.steering.interventions import Nothing, Weights
from ws.study.cuts import Asked, cut_of, cut_of_direction
from ws.study.replicates import Control, Replicates
from ws.training.direction import read_geometry

ENDS_AND_ONE = (-2.0, 1.0, 2.0)
"""The coefficients that spread and effect need: all that controls and written answers have."""

WRITES = "residual_writes"
"""The part of dW that is cut along directions."""

OTHER_COEFFS = (0.5, 2.0, 4.0)
"""Coefficients at which cuts are scored in one artifact; +1, all that most claims need, is an artifact of its own."""

SeedRows = tuple[tuple[int, Scored], ...]


def sweep(
    replicates: Replicates,
    family: str,
    *,
    measure: Measure = "corrected",
    control: Control | None = None,
    coeffs: tuple[float, ...] = COEFFS,
    pair: str | None = None,
) -> Sweep:
    """The scored rows of dW, or of a control for it, over all coefficients and seeds.

    `coeffs` restricts dW's coefficients, `pair` the corrected measure to one pair of phrasings.
    """
    if control is not None or (measure == "written" and coeffs == COEFFS):
        coeffs = ENDS_AND_ONE
    directions = {seed: replicates.direction(family, seed=seed, control=control) for seed in replicates.seeds}
    steered = tuple(
        (seed, replicates.subject.scored(measure, Weights(one), seed=seed, coeffs=coeffs))
        for seed, one in directions.items()
    )
    return _noted(replicates, steered, measure, pair, family if 1.0 in coeffs else None)


def cut_sweep(
    replicates: Replicates,
    family: str,
    cut: Asked = "whole",
    *,
    measure: Measure = "corrected",
    coeffs: tuple[float, ...] = (1.0,),
    control: Control | None = None,
) -> Sweep:
    """A part of dW at some coefficients, on the questions of the agree pair that cuts are scored on."""
    steered = tuple(
        (seed, rows)
        for seed in replicates.seeds
        for rows in _cut_rows(replicates, family, cut, measure, coeffs, control, seed)
    )
    return _of_cuts(replicates, steered, measure, frozenset((0.0, *coeffs)))


def sweep_of(replicates: Replicates, steered: SeedRows, measure: Measure) -> Sweep:
    """The rows of any interventions, one for each seed, and of the unchanged model."""
    return Sweep(_together(replicates, steered, measure), measure, sources=_keys(replicates, steered, measure))


def retained(
    replicates: Replicates, family: str, cut: Asked, *, of: Asked = "whole", measure: Measure = "corrected"
) -> Estimate:
    """The effect of a cut over that of dW, or of another cut: a ratio of paired means.

    If the interval of the denominator contains 0, the ratio means nothing, and a claim on it is INVALID.
    """
    part, everything = (cut_sweep(replicates, family, one, measure=measure).effect for one in (cut, of))
    name = "dW" if of == "whole" else of
    return (part / everything).noting(f"effect of {name} {everything.value:+.2f} nats {family}")


def writes_effect(
    replicates: Replicates, family: str, cut: Asked | None = None, *, coeff: float = 1.0, measure: Measure = "corrected"
) -> Estimate:
    """Mean of the residual writes, or of a cut of them, at a coefficient minus mean at 0, in nats per row."""
    swept = cut_sweep(replicates, family, cut or WRITES, coeffs=(coeff,), measure=measure)
    return swept.at(coeff) - swept.at(0.0)


def share_of_writes(
    replicates: Replicates, family: str, cut: Asked | None = None, *, coeff: float = 1.0, measure: Measure = "corrected"
) -> Estimate:
    """The effect of a cut over that of all residual writes at the same coefficient, a ratio of paired means."""
    whole, part = (writes_effect(replicates, family, one, coeff=coeff, measure=measure) for one in (None, cut))
    return (part / whole).noting(f"effect {part.value:+.2f} of {whole.value:+.2f} nats {family}")


def kept_energy(replicates: Replicates, family: str, cut: Asked, *, measure: Measure = "corrected") -> Estimate:
    """The cut's share of dW's squared norm, with the rows of the cut's effect, so that the two can be compared."""
    effect = cut_sweep(replicates, family, cut, measure=measure).effect
    lines = effect.index.to_frame(index=False)
    shares = {seed: _energy_share(replicates, family, cut, measure, seed) for seed in replicates.seeds}
    geometry = replicates.keys(*(replicates.subject.direction(family, seed=seed) for seed in replicates.seeds))
    return Estimate.of(lines.assign(value=lines["seed"].map(shares)), sources=(*effect.sources, *geometry))


def gap(replicates: Replicates, family: str, *parts: Asked, of: Asked = "whole") -> float:
    """The norm of what these cuts together miss of dW, or of another cut, as a share of its norm; on the first seed."""
    seed = replicates.seeds[0]
    cuts = tuple(cut_of(replicates.subject, family, part, seed=seed) for part in parts)
    return read_gap(replicates.store, Identity(cuts, cut_of(replicates.subject, family, of, seed=seed)))


def layers(replicates: Replicates, family: str) -> list[int]:
    """The decoder layers that dW is in, in order."""
    direction = replicates.subject.direction(family, seed=replicates.seeds[0])
    replicates.store.needs(direction)
    return sorted(set(map(layer_of, read_geometry(replicates.store, direction)["tensor"])))


def zero_rows(replicates: Replicates, family: str) -> pd.DataFrame:
    """Rows scored with 0 * dW added, on the first seed."""
    return read_scored(
        replicates.store,
        replicates.subject.rows(replicates.subject.weights(family, seed=replicates.seeds[0]), coeffs=(0.0,)),
    )


def _cut_rows(
    replicates: Replicates,
    family: str,
    cut: Asked,
    measure: Measure,
    coeffs: tuple[float, ...],
    control: Control | None,
    seed: int,
) -> list[Scored]:
    direction = replicates.direction(family, seed=seed, control=control)
    if isinstance(cut, str) and cut == "whole":
        return [replicates.subject.scored(measure, Weights(direction), seed=seed, coeffs=COEFFS)]
    made = cut_of_direction(replicates.subject, direction, cut, seed=seed)
    others = tuple(coeff for coeff in coeffs if coeff not in (0.0, 1.0, *OTHER_COEFFS))
    together = [some for some in ((1.0,), OTHER_COEFFS, others) if {*some} & {*coeffs}]
    return [replicates.subject.cut_scored(measure, made, seed=seed, coeffs=some) for some in together]


def _energy_share(replicates: Replicates, family: str, cut: Asked, measure: Measure, seed: int) -> float:
    [rows] = _cut_rows(replicates, family, cut, measure, (1.0,), None, seed)
    norm = read_scored(replicates.store, rows)["norm"].iloc[0]
    squares = read_geometry(replicates.store, replicates.subject.direction(family, seed=seed))["delta_sq"]
    return float(norm**2 / squares.sum(skipna=False))


@lru_cache(maxsize=128)
def _noted(replicates: Replicates, steered: SeedRows, measure: Measure, pair: str | None, family: str | None) -> Sweep:
    """One sweep for all callers, so that its estimates are computed once; a family's has a note on what else it did."""
    swept = Sweep(_together(replicates, steered, measure), measure, pair, sources=_keys(replicates, steered, measure))
    if family is None:
        return swept
    if measure in OF_TEXT:
        return swept.noting(f"all answers {swept.likelihood().value:+.3f} {family}")
    return swept.noting(f"facts to Yes {swept.yes_bias.value:+.2f} {family}")


@lru_cache(maxsize=1024)
def _of_cuts(replicates: Replicates, steered: SeedRows, measure: Measure, coeffs: frozenset[float]) -> Sweep:
    """The rows that cuts are scored on, at these coefficients; recipes may have scored more."""
    rows, sources = _together(replicates, steered, measure), _keys(replicates, steered, measure)
    is_at = rows["coeff"].isin(coeffs)
    if measure == "text":
        return Sweep(rows[is_at & (rows["pair"] == FIRST_PAIR)], measure, sources=sources)
    asked = [question.id for question in replicates.subject.cut_questions]
    rows = rows[is_at & rows["question_id"].isin(asked)]
    return Sweep(rows, measure, pair=replicates.subject.first_pair, sources=sources)


def _together(replicates: Replicates, steered: SeedRows, measure: Measure) -> pd.DataFrame:
    seeds, recipes = zip(*steered, *_still(replicates, steered, measure), strict=True)
    tables = [read_scored(replicates.store, recipe) for recipe in recipes]
    return pd.concat(tables, ignore_index=True).assign(seed=np.repeat(seeds, list(map(len, tables))))


def _keys(replicates: Replicates, steered: SeedRows, measure: Measure) -> tuple[str, ...]:
    still = dict.fromkeys(recipe for _, recipe in _still(replicates, steered, measure))
    return replicates.keys(*still, *(rows for _, rows in steered))


def _still(replicates: Replicates, steered: SeedRows, measure: Measure) -> SeedRows:
    """The unchanged model under each seed; it answers Yes/No questions alike under all of them."""
    subject = replicates.subject
    return tuple((seed, subject.scored(measure, Nothing(), seed=seed, coeffs=(0.0,))) for seed in dict(steered))
