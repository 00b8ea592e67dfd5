"""Answers of one's own scored as text under any intervention: how much likelier those of one side become.

As in `ws.contest.own_eval`, every seed and coefficient is an artifact, so a run that was stopped goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.table import Table

from ws.contest.own_eval import interval, printed
from ws.contest.own_steering import Steering
from ws.engine.loading import loaded
from ws.models.language import Placed
from ws.scoring.finite import check_finite
from ws.scoring.own_text import check_text_lengths, read_text_file
from ws.scoring.text import GivenAnswers, GivenPair, TextRows, read_text_rows
from ws.stats.estimate import Estimate
from ws.stats.sweep import MIN_CLUSTERS, Sweep
from ws.steering.interventions import Nothing
from ws.store import Store
from ws.store.progress import track
from ws.study.subject import Subject


@dataclass(frozen=True)
class Line:
    """The result of one coefficient, in nats per token."""

    coeff: float
    toward: Estimate
    """Mean log-probability of the answers that show the behavior, minus that of their opposites."""
    change: Estimate | None
    """`toward` minus its value at coefficient 0; None at 0, and if 0 was not scored."""
    cost: Estimate | None
    """Mean log-probability of all answers minus that at 0; None likewise."""
    likelier: float
    """Share of rows where the answer that shows the behavior is the likelier one."""


def scored(on: Placed, pairs: tuple[GivenPair, ...], steering: Steering, store: Store) -> pd.DataFrame:
    """A row per seed, coefficient and answer: the columns of `ws.scoring.text.read_text_rows`, and `seed`."""
    answers = GivenAnswers(pairs)
    at = {
        # The unchanged model does not depend on seed and intervention, so one artifact serves them all.
        (seed, coeff): TextRows(
            on, answers, intervention if coeff else Nothing(), (coeff * steering.units.get(seed, 1.0),)
        )
        for seed, intervention in steering.interventions.items()
        for coeff in sorted(set(steering.coeffs))
    }
    rows = {where: read_text_rows(store, recipe) for where, recipe in track(list(at.items()), f"score {steering.name}")}
    check_finite(rows, "log_p", steering=steering.name)
    tables = (table.assign(seed=seed, coeff=coeff) for (seed, coeff), table in rows.items())
    return pd.concat(tables, ignore_index=True)


def lines(rows: pd.DataFrame) -> list[Line]:
    """A line for each coefficient, lowest first."""
    swept = Sweep(rows, "text")
    coeffs = [float(coeff) for coeff in sorted(rows["coeff"].unique())]
    return [_line(swept, coeff, steered=bool(coeff) and 0.0 in coeffs) for coeff in coeffs]


def _line(swept: Sweep, coeff: float, *, steered: bool) -> Line:
    at = swept.rows[swept.rows["coeff"] == coeff]
    pair = at["question_id"].str.rpartition("/")[0]
    apart = (at["sign"] * at["log_p"]).groupby([at["seed"], pair]).sum()
    change, cost = (swept.effect_at(coeff), swept.likelihood(coeff)) if steered else (None, None)
    return Line(coeff, swept.at(coeff), change, cost, float((apart > 0).mean()))


COLUMNS = (("coeff", 6), ("plus over minus [95%]", 25), ("change from 0 [95%]", 25), ("all", 6), ("likelier", 8))


def shown(found: Sequence[Line], *, title: str, notes: Sequence[str] = ()) -> str:
    """The lines as a table, with notes below."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), title_style="bold")
    for name, columns in COLUMNS:
        table.add_column(name, min_width=columns, justify="right")
    for line in found:
        change = "" if line.change is None else interval(line.change, digits=3)
        cost = "" if line.cost is None else f"{line.cost.value:+.3f}"
        table.add_row(f"{line.coeff:+g}", interval(line.toward, digits=3), change, cost, f"{line.likelier:.0%}")
    return printed(table, notes)


def notes(found: Sequence[Line]) -> list[str]:
    """What a reader must know before believing the numbers, a sentence each."""
    said = [
        "All: how much likelier (above 0) or unlikelier a token of any answer became; far below 0, a model breaks.",
        "Likelier: the share of rows where the answer that shows the behavior is the likelier one.",
    ]
    if (clusters := found[0].toward.n_clusters) < MIN_CLUSTERS:
        said.append(f"Only {clusters} clusters of rows, fewer than {MIN_CLUSTERS}: intervals are too narrow.")
    gates = {gate for line in found for gate in line.toward.gates if not gate.startswith("too few rows")}
    return [*said, *sorted(gates)]


def evaluate(file: Path, subject: Subject, steering: Steering, *, csv: Path | None, store: Store) -> str:
    """The table of a file of messages with two answers each, for a terminal; `csv` takes every scored answer.

    Raises: DataError for a file that cannot be scored; see `ws.scoring.own_text.read_text_file`.
    """
    pairs = read_text_file(file)
    systems = {it.system(coeff) for it in steering.interventions.values() for coeff in steering.coeffs}
    check_text_lengths(file, loaded(subject.on, store), pairs, systems=systems)
    rows = scored(subject.on, pairs, steering, store)
    if csv is not None:
        csv.parent.mkdir(parents=True, exist_ok=True)
        said = {f"{pair.id}/plus": pair.plus for pair in pairs} | {f"{pair.id}/minus": pair.minus for pair in pairs}
        rows.assign(answer=rows["question_id"].map(said)).to_csv(csv, index=False)
    found, n = lines(rows), len(steering.interventions)
    size = f"{len(pairs)} pairs of answers of {file.name}, {n} seed{'s' * (n > 1)}; nats a token"
    return shown(found, title=f"{subject.model}, {steering.name}: {size}", notes=notes(found))
