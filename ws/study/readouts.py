"""Where dW and its hidden-state change dh point, and what the output head reads of them, over seeds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from ws.behaviors import Question
from ws.errors import DataError, UnknownNameError
from ws.lenses.bases import Bases
from ws.lenses.energy import BasisEnergy, read_energy
from ws.lenses.readout import AxisShares, Moved, Readout, moved, read_axis, read_layers, read_preserved
from ws.stats.estimate import Estimate
from ws.steering.states import Prompt, States
from ws.store import Recipe, Store
from ws.study.replicates import Control, Replicates
from ws.study.subject import Subject
from ws.training.hyperparameters import hyperparameters_of

STRIDE = 3
"""Of every three held-out claims, bases are fitted on the first, in every phrasing, so that there are more prompts than
directions; the second is measured, in the journal's phrasing; the third is left out to save time."""

TABLES = {"dW": ("writes", "tensor"), "dh": ("states", "basis")}
"""For the energy of dW and of dh: the name of its table, and the column that tells rows of one layer apart."""


R = TypeVar("R", bound=Recipe)
Read = Callable[[Store, R], pd.DataFrame]
"""Reads one of an artifact's tables."""


@dataclass(frozen=True)
class Peaks:
    """The movement of the answers' log-ratio at the layer where it is largest, turned so that it is positive there."""

    inside: Estimate
    """The largest among the layers that have dW."""
    above: Estimate
    """The largest among the layers above."""


@dataclass(frozen=True)
class Share:
    """A share of energy in some directions, compared with the share that random directions would hold."""

    value: Estimate
    null: Estimate
    z: Estimate
    """How many standard deviations of random directions the share is above their mean, averaged over rows."""

    @property
    def ratio(self) -> Estimate:
        """The share over chance."""
        return self.value / self.null


class Table(NamedTuple):
    """Rows of all seeds, and the keys of the artifacts that they were read from."""

    rows: pd.DataFrame
    sources: tuple[str, ...]

    def where(self, chosen: pd.Series) -> "Table":
        """Some of the rows."""
        return self._replace(rows=self.rows[chosen])

    def mean(self, column: str, *, rows: pd.Series, clusters: pd.Series) -> Estimate:
        """The mean of a column; `rows` and `clusters` name the row and cluster of each value."""
        named = {"seed": self.rows["seed"], "cluster": clusters, "row": rows, "value": self.rows[column]}
        return Estimate.of(pd.DataFrame(named), sources=self.sources)


def token_energy(replicates: Replicates, family: str, form: str, *, control: Control | None = None) -> Estimate:
    """Squared token energy of dh over that of the clean state, inside the adapted layers; clusters are claims.

    form "published" is the journal's, which grows with the norm of a state; "normed" depends on its direction only.
    """
    read = readout(replicates, family, control)
    table = read.where(read.rows["adapted"])
    ends = {"published": "sized", "normed": "energy"}
    if form not in ends:
        raise UnknownNameError("form of token energy", form, ends)
    rows, columns = _by_layer(table.rows, "question_id"), (f"{name}_{ends[form]}" for name in ("dh", "clean"))
    dh, clean = (table.mean(column, rows=rows, clusters=table.rows["cluster"]) for column in columns)
    return dh / clean


def logit_lens(replicates: Replicates, family: str, form: str, *, control: Control | None = None) -> Peaks:
    """How far the head would read dh as Yes over No, inside the adapted layers and above.

    form "lens" is the movement from -1 to +1 of the log-ratio through the final norm, in nats; "linear" the journal's
    (e_yes - e_no) . dh.
    """
    table = readout(replicates, family, control)
    return Peaks(*(_peak(table.where(table.rows["adapted"] == adapted), form) for adapted in (True, False)))


def preserved(replicates: Replicates, family: str, basis: str, rank: int) -> Estimate:
    """The share of dh on unseen claims that a basis keeps, over the adapted layers.

    basis "task", "uncentred" or "own", as `ws.lenses.readout.kept_of_dh` has them.
    """
    table = _read_out(replicates, family, None, read_preserved)
    chosen = table.where((table.rows["basis"] == basis) & (table.rows["k"] == rank))
    if chosen.rows.empty:
        known = sorted({(name, k) for name, k in zip(table.rows["basis"], table.rows["k"], strict=True)})
        raise DataError(f"no basis {basis!r} of rank {rank}; there are {known}")
    return chosen.mean("share", rows=_by_layer(chosen.rows, "question_id"), clusters=chosen.rows["cluster"])


def axis_share(replicates: Replicates, basis: str) -> Share:
    """How much of e_yes - e_no a basis of the unchanged model contains; clusters are layers.

    Draws of the random basis count as seeds; every other basis has one seed.
    """
    recipe = AxisShares(_bases(replicates.subject, "lora"))
    table = read_axis(replicates.store, recipe).rename(columns={"draw": "seed"})
    return _share(Table(table, replicates.keys(recipe)), basis, row="basis")


def basis_energy(replicates: Replicates, family: str, basis: str, of: str = "dW") -> Share:
    """What dW writes into a basis of the unchanged model, or dh has there; clusters are layers."""
    table, row = TABLES[of]
    return _share(_energies(replicates, family, table), basis, row=row)


def block_energy(replicates: Replicates, family: str) -> Share:
    """The share of dW between the top tenth of its weights' singular directions."""
    table = _energies(replicates, family, "blocks")
    return _share(table._replace(rows=table.rows.assign(basis="top")), "top", row="tensor")


def readout(replicates: Replicates, family: str, control: Control | None = None) -> Table:
    """What the head reads at the journal's question, "Do you agree?", over all seeds."""
    table = _read_out(replicates, family, control, read_layers)
    return table.where((table.rows["pair"] == replicates.subject.first_pair) & (table.rows["sign"] == 1))


def _read_out(replicates: Replicates, family: str, control: Control | None, read: Read[Readout]) -> Table:
    fit, seeds = _clusters(replicates.subject)[::STRIDE], replicates.seeds
    recipes = tuple((seed, Readout(_moved(replicates, family, seed, control), fit)) for seed in seeds)
    return _over_seeds(replicates, recipes, read)


@lru_cache(maxsize=256)
def _moved(replicates: Replicates, family: str, seed: int, control: Control | None = None) -> Moved:
    direction = replicates.direction(family, seed=seed, control=control)
    return moved(direction, _questions(replicates.subject), replicates.subject.behavior.prefill)


@lru_cache(maxsize=256)
def _bases(subject: Subject, family: str) -> Bases:
    behavior = subject.behavior
    # With the prefill, so that these states are read at the same place of a prompt as those of measured questions.
    prompts = tuple(Prompt(text, prefill=behavior.prefill) for _, text in behavior.training_questions())
    return Bases(States(subject.on, prompts), hyperparameters_of(subject.model, family).training.layers)


@lru_cache(maxsize=256)
def _questions(subject: Subject) -> tuple[Question, ...]:
    fit, test = (set(_clusters(subject)[start::STRIDE]) for start in (0, 1))
    pair = subject.first_pair
    return tuple(
        question
        for question in subject.behavior.questions("heldout")
        if question.cluster in fit or (question.cluster in test and question.pair == pair and question.sign == 1)
    )


def _clusters(subject: Subject) -> tuple[str, ...]:
    return tuple(dict.fromkeys(question.cluster for question in subject.behavior.questions("heldout")))


def _peak(table: Table, form: str) -> Estimate:
    means = table.rows.groupby("layer")[form].mean()
    layer = means.abs().idxmax()
    there = table.where(table.rows["layer"] == layer)
    # Rows are named by their question only, so that peaks at different layers can be paired.
    mean = there.mean(form, rows=there.rows["question_id"], clusters=there.rows["cluster"])
    return mean * float(np.sign(means[layer]))


def _share(table: Table, basis: str, *, row: str) -> Share:
    chosen = table.where(table.rows["basis"] == basis)
    if chosen.rows.empty:
        raise UnknownNameError("basis", basis, sorted(table.rows["basis"].unique()))
    rows, layers = _by_layer(chosen.rows, row), chosen.rows["layer"]
    return Share(*(chosen.mean(column, rows=rows, clusters=layers) for column in ("share", "null", "z")))


def _by_layer(table: pd.DataFrame, row: str) -> pd.Series:
    """A name for each row at each layer."""
    return table[row].astype(str) + " after layer " + table["layer"].astype(str)


def _energies(replicates: Replicates, family: str, what: str) -> Table:
    bases = _bases(replicates.subject, family)
    recipes = tuple((seed, BasisEnergy(_moved(replicates, family, seed), bases, seed)) for seed in replicates.seeds)
    return _over_seeds(replicates, recipes, _READERS[what])


_READERS = {what: partial(read_energy, what=what) for what in ("writes", "blocks", "states")}


@lru_cache(maxsize=64)
def _over_seeds(replicates: Replicates, recipes: tuple[tuple[int, R], ...], read: Read[R]) -> Table:
    replicates.store.needs(*(recipe for _, recipe in recipes))
    tables = [read(replicates.store, recipe).assign(seed=seed) for seed, recipe in recipes]
    return Table(pd.concat(tables, ignore_index=True), replicates.keys(*(recipe for _, recipe in recipes)))
