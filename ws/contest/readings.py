"""The measurements of an arm: dilemmas, text, honest conduct, other axes, answers after a thought, and side effects.

Every number carries the keys of its rows. A number of a competing arm also carries a note on how strong the arm is.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Literal

import pandas as pd

from ws.contest.arm import Arm, RecipeOf, RecipesOf
from ws.contest.contest import RANKED, Contest
from ws.contest.footing import strength
from ws.scoring.fluency import read_range
from ws.scoring.scored import read_scored
from ws.scoring.side_effects import SideEffects, read_answers, read_text
from ws.stats.estimate import Estimate
from ws.stats.specificity import group_means, largest_other, movements, text_movements
from ws.stats.sweep import Measure, Sweep
from ws.steering.interventions import Nothing
from ws.store import Store

Policy = Literal["on", "off"]
Target = Literal["dilemmas", "conduct"]
Read = Literal["dilemmas", "text", "written"]
"""What an arm can be judged by."""

OTHER = {"honesty": "sycophancy", "sycophancy": "honesty"}
"""The behavior whose answers are off target, for each behavior."""


@lru_cache(maxsize=256)
def dilemmas(store: Store, contest: Contest, arm: Arm) -> Sweep:
    """Held-out dilemmas and facts: Yes is the honest answer to one action of each dilemma and No to the other.

    Notes on a competing arm give its strength, its push towards Yes and its largest other effect.
    """
    swept = Sweep(dilemma_rows(store, contest, arm), sources=arm.keys(store, contest.rows))
    if not arm.ranked:
        return swept
    means = _axis_means(store, contest, arm, "dilemmas")
    axis = largest_other(means)
    said = f"facts to Yes {swept.yes_bias.value:+.2f}, {axis} {means[axis].value:+.2f}"
    return swept.noting(f"{strength(store, contest, arm)}, {said}", sources=means[axis].sources)


@lru_cache(maxsize=256)
def text(store: Store, contest: Contest, arm: Arm, *, of: str | None = None) -> Sweep:
    """Held-out answers of the behavior's two sides, or (`of`) of another behavior's, as the steered model finds them.

    Notes on an arm give its cost, and of a competing arm its strength.
    """
    recipes_of = partial(contest.text_of, behavior_name=of)
    return _by_seed(store, contest, arm, recipes_of, "text")


@lru_cache(maxsize=256)
def written(store: Store, contest: Contest, arm: Arm) -> Sweep:
    """What the steered model says to held-out messages, judged by the unchanged model; notes as of `text`."""
    return _by_seed(store, contest, arm, contest.written_of, "written")


def effect_of(store: Store, contest: Contest, arm: Arm, *, read: Read) -> Estimate:
    """How far an arm moves what is read towards the behavior: nats per row of dilemmas, or per token of text."""
    reading = {"dilemmas": dilemmas, "text": text, "written": written}[read]
    return reading(store, contest, arm).effect_at(float(arm.side))


def movement_in_text(store: Store, contest: Contest, arm: Arm) -> dict[str, Estimate]:
    """How far an arm moves its own behavior's answers and the other behavior's, towards their sides; nats per token."""
    other = OTHER[contest.subject.behavior_name]
    recipes = contest.text_of, partial(contest.text_of, behavior_name=other)
    target, off_target = (arm.table_by_seed(store, recipes_of) for recipes_of in recipes)
    keys = (key for recipes_of in recipes for key in arm.keys_by_seed(store, recipes_of))
    means = group_means(text_movements(target, {other: off_target}, steered=float(arm.side)), sources=keys)
    said = ", ".join(f"{group} {mean.value:+.3f}" for group, mean in means.items())
    return {group: mean.noting(said) for group, mean in means.items()}


def dilemma_rows(store: Store, contest: Contest, arm: Arm) -> pd.DataFrame:
    """The table behind `dilemmas`."""
    return arm.table(store, contest.rows)


def moved_against(store: Store, contest: Contest, arm: Arm) -> Estimate:
    """The share of dilemma rows that an arm moves away from their honest answer."""
    swept = dilemmas(store, contest, arm)
    signed = swept.rows[swept.rows["sign"] != 0].set_index(["seed", "question_id"]).sort_index()
    moved, still = (signed[signed["coeff"] == coeff] for coeff in (arm.side, 0))
    change = moved["sign"] * (moved["log_ratio"] - still["log_ratio"])
    # NaN is below 0 in no comparison, and would count as a row that is not moved against its label.
    against = (change < 0).astype(float).where(change.notna())
    lines = moved.assign(value=against).reset_index().rename(columns={"question_id": "row"})
    return Estimate.of(lines).made_of(*(swept.at(coeff) for coeff in (float(arm.side), 0.0)))


def conduct(store: Store, contest: Contest, arm: Arm) -> Sweep:
    """Held-out claims of honest conduct."""
    return _swept(store, contest, arm, contest.conduct_rows)


def sycophancy(store: Store, contest: Contest, arm: Arm) -> Sweep:
    """The agree pair of sycophancy's held-out claims; above 0 is towards agreeing."""
    return _swept(store, contest, arm, contest.sycophancy_rows, pair="agree")


def behind_thought(store: Store, contest: Contest, arm: Arm, *, policy: Policy = "on") -> Sweep:
    """Dilemmas and facts, answered after the arm's own thought, or off-policy after the unchanged model's."""
    return _swept(store, contest, arm, partial(contest.thought_rows, policy=policy))


def unsteered_thoughts(store: Store, contest: Contest) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The unchanged model's rows, answered after its own thought, by the on-policy and by the off-policy recipe."""
    on, off = (contest.thought_rows(Nothing(), coeffs=(0.0,), policy=policy) for policy in ("on", "off"))
    return read_scored(store, on), read_scored(store, off)


def at_zero(store: Store, contest: Contest, arm: Arm) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of dilemmas under an arm's first seed at coefficient 0, and those of the unchanged model."""
    zero, base = (contest.rows(one, coeffs=(0.0,)) for one in (arm.doses[0].intervention, Nothing()))
    return read_scored(store, zero), read_scored(store, base)


def movement_by_axis(store: Store, contest: Contest, arm: Arm, *, target: Target = "dilemmas") -> dict[str, Estimate]:
    """How far an arm moves a target and every off-target axis, towards their labels; nats per row."""
    means = _axis_means(store, contest, arm, target)
    said = ", ".join(f"{group} {mean.value:+.2f}" for group, mean in means.items())
    return {group: mean.noting(said) for group, mean in means.items()}


def prose(store: Store, contest: Contest, arm: Arm) -> Estimate:
    """Log of an arm's perplexity on neutral passages over the unchanged model's, in nats."""
    change = _change(store, contest, arm, _passages)
    return change.noting(_fluent(store, contest, arm)) if arm.name in RANKED else change


def repetition(store: Store, contest: Contest, arm: Arm) -> Estimate:
    """How far an arm raises the share of repeated 3-grams in greedy answers."""
    return _change(store, contest, arm, _answers)


@lru_cache(maxsize=64)
def _axis_means(store: Store, contest: Contest, arm: Arm, target: Target) -> dict[str, Estimate]:
    both = contest.rows if target == "dilemmas" else contest.conduct_rows, contest.axis_rows
    on_target, off_target = (arm.table(store, recipe_of) for recipe_of in both)
    keys = (key for recipe_of in both for key in arm.keys(store, recipe_of))
    return group_means(movements(on_target, off_target), sources=keys)


def _swept(store: Store, contest: Contest, arm: Arm, recipe_of: RecipeOf, *, pair: str | None = None) -> Sweep:
    notes = (strength(store, contest, arm),) if arm.ranked else ()
    return Sweep(arm.table(store, recipe_of), pair=pair, sources=arm.keys(store, recipe_of), notes=notes)


def _by_seed(store: Store, contest: Contest, arm: Arm, recipes_of: RecipesOf, measure: Measure) -> Sweep:
    rows, keys = arm.table_by_seed(store, recipes_of), arm.keys_by_seed(store, recipes_of)
    swept = Sweep(rows, measure, sources=keys)
    cost = f"all answers {swept.likelihood(float(arm.side)).value:+.3f}"
    return swept.noting(f"{strength(store, contest, arm)}, {cost}" if arm.ranked else f"{cost} {arm.name}")


def _change(store: Store, contest: Contest, arm: Arm, read: Callable[[Store, SideEffects], pd.DataFrame]) -> Estimate:
    """The change of some number of each passage or answer, from the unchanged model to the arm."""
    base = read(store, contest.side_effects(Nothing(), coeffs=(0.0,))).set_index("row")["value"]
    tables = []
    for seed, intervention, coeff in arm.doses:
        table = read(store, contest.side_effects(intervention, coeffs=(coeff,)))
        tables.append(table.assign(seed=seed, cluster=table["row"], value=table["value"] - table["row"].map(base)))
    sources, notes = arm.keys(store, contest.side_effects), (strength(store, contest, arm),)
    return Estimate.of(pd.concat(tables, ignore_index=True), sources=sources, notes=notes)


def _passages(store: Store, recipe: SideEffects) -> pd.DataFrame:
    return read_text(store, recipe).rename(columns={"passage": "row", "nll": "value"})


def _answers(store: Store, recipe: SideEffects) -> pd.DataFrame:
    return read_answers(store, recipe).rename(columns={"message": "row", "repetition": "value"})


def _fluent(store: Store, contest: Contest, arm: Arm) -> str:
    """The range in which the first seed's model is fluent, as text; only of the first, since each search takes long."""
    found = read_range(store, contest.fluent_range(arm.doses[0].intervention))
    ends = (found.low, found.open_low), (found.high, found.open_high)
    low, high = (f"{end:+g}{' or beyond' if is_open else ''}" for end, is_open in ends)
    return f"fluent from {low} to {high}"
