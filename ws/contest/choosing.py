"""What a rival chooses before it competes: its prompt, its blocks, its coefficient.

It takes the choice that moves validation rows furthest towards the behavior: dilemmas, or text where text is what arms
are compared on. No claim reads these rows.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from ws.behaviors.prompts import prompts_for
from ws.contest.arm import RecipeOf
from ws.contest.contest import Contest
from ws.contest.vectors import METHODS, block_choices
from ws.errors import DataError
from ws.scoring.identical import check_identical
from ws.scoring.scored import read_scored
from ws.stats.sweep import PMASS_GATE
from ws.steering.interventions import Intervention, Nothing, read_vectors
from ws.store import Store

By = Literal["dilemmas", "text"]
"""The rows on which settings are compared."""

FLUENT = PMASS_GATE
"""Settings below this `fluency` are left out, however far they move rows: a broken model is not a steered one."""

GRID = (1.0, 4.0, 16.0, 64.0)
"""Coefficients for activation directions; the largest step is about a third of the length of the stream."""


class Setting(NamedTuple):
    """One choice at one coefficient, and its results on the rows for choosing."""

    choice: str
    """The name of a prompt, of a method, or of the blocks that a direction is added to."""
    coeff: float
    effect_nats: float
    """Mean log-ratio in the wanted direction, minus that at coefficient 0."""
    fluency: float
    """Mean pmass; of text, how likely a token of any answer is, as a multiple of that at coefficient 0."""


def prompts_toward(behavior_name: str) -> tuple[str, ...]:
    """The names of the prompts that ask for a behavior."""
    return tuple(prompt.name for prompt in prompts_for(behavior_name) if prompt.toward > 0)


@lru_cache(maxsize=16)
def best_prompt(store: Store, contest: Contest, *, seed: int, by: By = "dilemmas") -> Setting:
    """The prompt for the behavior that moves validation rows furthest; `seed` is that of the text."""
    prompts = {name: contest.prompt(name) for name in prompts_toward(contest.subject.behavior_name)}
    rows_of = _rows_of(contest, by, seed)
    _announce(store, rows_of, prompts.values(), (1.0,))
    return _best(contest, {name: _validation(store, rows_of, prompt, (1.0,)) for name, prompt in prompts.items()})


@lru_cache(maxsize=16)
def best_activation(store: Store, contest: Contest, method: str, *, seed: int, by: By = "dilemmas") -> Setting:
    """The blocks and the coefficient at which a method's vectors of one seed move validation rows furthest."""
    rows_of, choices = _rows_of(contest, by, seed), _block_choices(store, contest, method, seed)
    made = {name: contest.activations(method, blocks=blocks, seed=seed) for name, blocks in choices.items()}
    _announce(store, rows_of, made.values(), GRID)
    return _best(contest, {name: _validation(store, rows_of, one, GRID) for name, one in made.items()})


def best_blocks(store: Store, contest: Contest, method: str, *, seed: int, by: By = "dilemmas") -> tuple[int, ...]:
    """The blocks of a method's best setting."""
    choices = _block_choices(store, contest, method, seed)
    return choices[best_activation(store, contest, method, seed=seed, by=by).choice]


def best_method(store: Store, contest: Contest, *, seed: int, by: By = "dilemmas") -> str:
    """The way to find an activation direction whose best setting moves validation rows furthest."""
    store.needs(*(contest.vectors(method, seed=seed) for method in METHODS))
    return max(METHODS, key=lambda method: best_activation(store, contest, method, seed=seed, by=by).effect_nats)


def best_setting(scored: Mapping[str, pd.DataFrame], *, toward: int = +1) -> Setting:
    """The choice (a block, a prompt, a method) and coefficient that move validation rows furthest.

    toward: +1 for the behavior, -1 for its opposite. Rows of sign 0 do not count, and settings whose fluency is below
    FLUENT are left out. Among equals the smallest coefficient wins, then the first choice. Even the best may move rows
    the wrong way; that is then the result.
    Raises: DataError if choices differ in their rows, one lacks coefficient 0, or no setting is a candidate.
    """
    check_identical(scored)
    settings = [setting for choice, table in scored.items() for setting in _settings(choice, table, toward)]
    usable = [setting for setting in settings if setting.fluency >= FLUENT]
    if not usable:
        best = max((setting.fluency for setting in settings), default=0)
        raise DataError(
            f"none of {len(settings)} settings keeps a fluency (pmass; of text, relative likelihood) of {FLUENT} on "
            f"validation rows (best: {best:.2f}); try coefficients nearer to 0"
        )
    return max(usable, key=lambda setting: (setting.effect_nats, -abs(setting.coeff)))


def _settings(choice: str, table: pd.DataFrame, toward: int) -> list[Setting]:
    """A choice at each of its coefficients except 0."""
    signed = table[table["sign"] != 0]
    is_text = "log_p" in signed
    ratios = 2.0 * signed["log_p"] if is_text else signed["log_ratio"]
    means = signed.assign(towards=toward * signed["sign"] * ratios).groupby("coeff")
    towards, fluency = means["towards"].mean(), means["log_p" if is_text else "pmass"].mean()
    if 0 not in towards:
        raise DataError(f"{choice!r} has no row of sign +1 or -1 at coefficient 0; score the unchanged model too")
    if is_text:
        fluency = np.exp(fluency - fluency[0.0])
    return [Setting(choice, float(c), float(towards[c] - towards[0.0]), float(fluency[c])) for c in towards.index if c]


def _best(contest: Contest, scored: dict[str, pd.DataFrame]) -> Setting:
    if not contest.subject.scale.chooses:
        # On an untrained model no setting keeps enough pmass. The first one is taken, so that the rest can be tested.
        check_identical(scored)
        return _settings(*next(iter(scored.items())), 1)[-1]
    return best_setting(scored)


def _rows_of(contest: Contest, by: By, seed: int) -> RecipeOf:
    return contest.validation_text_of(seed) if by == "text" else contest.validation_rows


def _block_choices(store: Store, contest: Contest, method: str, seed: int) -> dict[str, tuple[int, ...]]:
    vectors = contest.vectors(method, seed=seed)
    store.needs(vectors)
    return block_choices(len(read_vectors(store, vectors)))


def _announce(store: Store, rows_of: RecipeOf, made: Iterable[Intervention], coeffs: tuple[float, ...]) -> None:
    """Tell the store of all rows that a choice is made by, before the first is read."""
    store.needs(rows_of(Nothing(), coeffs=(0.0,)), *(rows_of(one, coeffs=coeffs) for one in made))


def _validation(store: Store, rows_of: RecipeOf, made: Intervention, coeffs: tuple[float, ...]) -> pd.DataFrame:
    recipes = rows_of(Nothing(), coeffs=(0.0,)), rows_of(made, coeffs=coeffs)
    return pd.concat([read_scored(store, recipe) for recipe in recipes], ignore_index=True)
