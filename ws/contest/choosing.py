"""What a rival chooses before it competes: its prompt, its blocks, its coefficient.

It takes the choice that moves validation dilemmas, which no claim reads, furthest towards the honest answer.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import pandas as pd

from ws.behaviors.prompts import prompts_for
from ws.contest.arm import rows_read
from ws.contest.contest import Contest
from ws.contest.vectors import METHODS, block_choices
from ws.errors import DataError
from ws.scoring.identical import check_identical
from ws.stats.sweep import PMASS_GATE
from ws.steering.interventions import Intervention, Nothing, read_vectors
from ws.store import Store

HONEST_PROMPTS = tuple(prompt.name for prompt in prompts_for("honesty") if prompt.toward > 0)

GRID = (1.0, 4.0, 16.0, 64.0)
"""Coefficients for activation directions; the largest step is about a third of the length of the stream."""


class Setting(NamedTuple):
    """One choice at one coefficient, and its results on the rows for choosing."""

    choice: str
    """The name of a prompt, of a method, or of the blocks that a direction is added to."""
    coeff: float
    effect_nats: float
    """Mean log-ratio in the wanted direction, minus that at coefficient 0."""
    pmass: float


@lru_cache(maxsize=8)
def best_prompt(store: Store, contest: Contest) -> Setting:
    """The honest prompt that moves validation dilemmas furthest."""
    prompts = {name: contest.prompt(name) for name in HONEST_PROMPTS}
    return _best(contest, {name: _validation(store, contest, prompt, (1.0,)) for name, prompt in prompts.items()})


@lru_cache(maxsize=8)
def best_activation(store: Store, contest: Contest, method: str, *, seed: int) -> Setting:
    """The blocks and the coefficient at which a method's vectors of one seed move validation dilemmas furthest."""
    scored = {
        name: _validation(store, contest, contest.activations(method, blocks=blocks, seed=seed), GRID)
        for name, blocks in _block_choices(store, contest, method, seed).items()
    }
    return _best(contest, scored)


def best_blocks(store: Store, contest: Contest, method: str, *, seed: int) -> tuple[int, ...]:
    """The blocks of a method's best setting."""
    return _block_choices(store, contest, method, seed)[best_activation(store, contest, method, seed=seed).choice]


def best_method(store: Store, contest: Contest, *, seed: int) -> str:
    """The way to find an activation direction whose best setting moves validation dilemmas furthest."""
    return max(METHODS, key=lambda method: best_activation(store, contest, method, seed=seed).effect_nats)


def best_setting(scored: Mapping[str, pd.DataFrame], *, toward: int = +1) -> Setting:
    """The choice (a block, a prompt, a method) and coefficient that move validation rows furthest.

    toward: +1 for the behavior, -1 for its opposite. Rows of sign 0 do not count, and coefficients at which Yes and No
    have less than half of the probability are left out. Among equals the smallest coefficient wins, then the first
    choice. Even the best may move rows the wrong way; that is then the result.
    Raises: DataError if choices differ in their rows, one lacks coefficient 0, or no setting is a candidate.
    """
    check_identical(scored)
    settings = [setting for choice, table in scored.items() for setting in _settings(choice, table, toward)]
    usable = [setting for setting in settings if setting.pmass >= PMASS_GATE]
    if not usable:
        raise DataError(
            f"none of {len(settings)} settings keeps a pmass of {PMASS_GATE} on validation rows (best: "
            f"{max((setting.pmass for setting in settings), default=0):.2f}); try coefficients nearer to 0"
        )
    return max(usable, key=lambda setting: (setting.effect_nats, -abs(setting.coeff)))


def _settings(choice: str, table: pd.DataFrame, toward: int) -> list[Setting]:
    """A choice at each of its coefficients except 0."""
    signed = table[table["sign"] != 0]
    means = signed.assign(towards=toward * signed["sign"] * signed["log_ratio"]).groupby("coeff")
    towards, pmass = means["towards"].mean(), means["pmass"].mean()
    if 0 not in towards:
        raise DataError(f"{choice!r} has no row of sign +1 or -1 at coefficient 0; score the unchanged model too")
    return [Setting(choice, float(c), float(towards[c] - towards[0.0]), float(pmass[c])) for c in towards.index if c]


def _best(contest: Contest, scored: dict[str, pd.DataFrame]) -> Setting:
    if not contest.subject.scale.chooses:
        # On an untrained model no setting keeps enough pmass. The first one is taken, so that the rest can be tested.
        check_identical(scored)
        name, table = next(iter(scored.items()))
        return Setting(name, float(table["coeff"].max()), 0.0, float(table["pmass"].mean()))
    return best_setting(scored)


def _block_choices(store: Store, contest: Contest, method: str, seed: int) -> dict[str, tuple[int, ...]]:
    return block_choices(len(read_vectors(store, contest.vectors(method, seed=seed))))


def _validation(store: Store, contest: Contest, made: Intervention, coeffs: tuple[float, ...]) -> pd.DataFrame:
    recipes = contest.validation_rows(Nothing(), coeffs=(0.0,)), contest.validation_rows(made, coeffs=coeffs)
    return pd.concat([rows_read(store, recipe) for recipe in recipes], ignore_index=True)
