"""Rows of one's own scored under any intervention: how far each coefficient moves a model towards the behavior.

Every seed and coefficient is an artifact, so a run that was stopped goes on where it was. Intervals come from
`ws.stats.estimate`, over seeds and clusters of rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from ws.behaviors import Question
from ws.contest.own_steering import Steering, check_words
from ws.engine.loading import loaded
from ws.models.language import Placed
from ws.models.yesno import YES_NO, Answers, answer_start
from ws.scoring.finite import check_finite
from ws.scoring.identical import check_identical
from ws.scoring.own_lengths import check_lengths
from ws.scoring.own_rows import answers_to, first_excess, line_of, read_rows_file
from ws.scoring.rows import Rows, prompts_of, read_rows
from ws.stats.estimate import Estimate
from ws.stats.sweep import MIN_CLUSTERS, PMASS_GATE
from ws.steering.interventions import Nothing
from ws.store import Store
from ws.store.progress import track
from ws.study.subject import Subject


def asked(questions: Sequence[Question], ask: str) -> tuple[Question, ...]:
    """The questions with `ask` as their last line, except where they end so already."""
    return tuple(
        question if not ask or question.text.endswith(ask) else question._replace(text=f"{question.text}\n{ask}")
        for question in questions
    )


def scored(
    on: Placed,
    questions: tuple[Question, ...],
    steering: Steering,
    *,
    prefill: str,
    store: Store,
    answers: Answers = YES_NO,
) -> pd.DataFrame:
    """A row per seed, coefficient and question: the columns of `ws.scoring.rows.read_rows`, and `seed`."""
    at = {
        # The unchanged model does not depend on seed and intervention, so one artifact serves them all.
        (seed, coeff): Rows(
            on,
            questions,
            prefill,
            intervention if coeff else Nothing(),
            (coeff * steering.units.get(seed, 1.0),),
            answers.kind,
        )
        for seed, intervention in steering.interventions.items()
        for coeff in sorted(set(steering.coeffs))
    }
    rows = {where: read_rows(store, recipe) for where, recipe in track(list(at.items()), f"score {steering.name}")}
    check_finite(rows, "log_ratio", steering=steering.name)
    check_identical({f"seed {seed} at {coeff:+g}": table for (seed, coeff), table in rows.items()})
    tables = (table.assign(seed=seed, coeff=coeff) for (seed, coeff), table in rows.items())
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class Line:
    """The result of one coefficient; log-ratios are in nats."""

    coeff: float
    toward: Estimate
    """Mean log-ratio of the answer that shows the behavior to the other one."""
    change: Estimate | None
    """`toward` minus its value at coefficient 0; None at 0, and if 0 was not scored."""
    to_first: float
    """Mean log-ratio of Yes to No, or of A to B, whichever of them shows the behavior."""
    match: float
    """Share of rows where the answer that shows the behavior is the more probable one."""
    pmass: float
    """Mean probability of the next token being one of the two answers."""


def lines(rows: pd.DataFrame) -> list[Line]:
    """A line for each coefficient, lowest first."""
    toward = {float(coeff): _toward(part) for coeff, part in rows.groupby("coeff")}
    found = []
    for coeff, estimate in toward.items():
        part = rows[rows["coeff"] == coeff]
        change = estimate - toward[0.0] if coeff and 0.0 in toward else None
        match = part["sign"] * part["log_ratio"] > 0
        means = (float(column.mean()) for column in (part["log_ratio"], match, part["pmass"]))
        found.append(Line(coeff, estimate, change, *means))
    return found


def _toward(rows: pd.DataFrame) -> Estimate:
    return Estimate.of(
        pd.DataFrame(
            {
                "seed": rows["seed"],
                "cluster": rows["cluster"],
                "row": rows["question_id"],
                "value": rows["sign"] * rows["log_ratio"].astype(float),
            }
        )
    )


def notes(found: Sequence[Line], questions: Sequence[Question]) -> list[str]:
    """What a reader must know before believing the numbers, a sentence each."""
    first, second = answers_to(questions).names
    said = [
        f"At {line.coeff:+g} pmass is {line.pmass:.2f}, under {PMASS_GATE}: most of the next-token probability is "
        f"neither {first} nor {second}, so the numbers of this line say little. Ask for {first} or {second} in the "
        "question (--ask), "
        "begin the answer (--prefill), or go nearer to 0."
        for line in found
        if not line.pmass >= PMASS_GATE
    ]
    if not said:
        lowest = min(line.pmass for line in found)
        said.append(f"pmass is {lowest:.2f} or more at every coefficient, above the gate of {PMASS_GATE}.")
    if (clusters := found[0].toward.n_clusters) < MIN_CLUSTERS:
        said.append(f"Only {clusters} clusters of rows, fewer than {MIN_CLUSTERS}: intervals are too narrow.")
    said.append(
        f"To {first}: the log-ratio of {first} to {second}, whichever shows the behavior. Match: the share of rows "
        "where the answer that shows it is the more probable one."
    )
    excess = first_excess(questions)
    if excess:
        said.append(
            f"{(1 + excess) / 2:.0%} of the rows match with {first}: a push of 1 nat towards {first} that is no "
            f"behavior moves the first column by {excess:+.2f}."
        )
    return [*said, *(f"At {line.coeff:+g}: {gate}." for line in found for gate in line.toward.gates)]


COLUMNS = (("coeff", 6), ("to the behavior [95%]", 23), ("change from 0 [95%]", 23), ("to {}", 7), ("match", 5))


def shown(
    found: Sequence[Line], *, title: str, notes: Sequence[str] = (), width: int = 80, answers: Answers = YES_NO
) -> str:
    """The lines as a table, with notes below, none wider than `width`."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), title_style="bold")
    for name, columns in (*COLUMNS, ("pmass", 5)):
        table.add_column(name.format(answers.names[0]), min_width=columns, justify="right")
    for line in found:
        change = "" if line.change is None else interval(line.change)
        shares = f"{line.match:.0%}", f"{line.pmass:.2f}"
        table.add_row(f"{line.coeff:+g}", interval(line.toward), change, f"{line.to_first:+.2f}", *shares)
    return printed(table, notes, width=width)


def printed(table: Table, notes: Sequence[str], *, width: int = 80) -> str:
    """A table with notes below, none wider than `width`."""
    out = StringIO()
    console = Console(file=out, width=width, color_system=None, markup=False)
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def interval(estimate: Estimate, *, digits: int = 2) -> str:
    """An estimate with its interval."""
    return "{:+.{d}f} [{:+.{d}f}, {:+.{d}f}]".format(estimate.value, *estimate.interval(), d=digits)


def evaluate(
    file: Path,
    subject: Subject,
    steering: Steering,
    *,
    ask: str | None,
    prefill: str | None,
    csv: Path | None,
    store: Store,
) -> str:
    """The table of a file of rows, for a terminal; `csv` takes every scored row.

    `ask` and `prefill` are None for the usual words: of Yes/No rows those of the behavior's claims, and behind letters
    nothing but the bracket.
    Raises: DataError for a file that cannot be scored; see `ws.scoring.own_rows.read_rows_file` and
    `ws.scoring.own_lengths`.
    """
    rows_of_file = read_rows_file(file)
    answers = answers_to(rows_of_file)
    questions = asked(rows_of_file, answers.ask if ask is None else ask)
    if prefill is None:
        prefill = subject.behavior.prefill if answers.kind == YES_NO.kind else ""
    check_words({"--ask": ask, "--prefill": prefill})
    _check_lengths(file, subject.on, questions, steering, prefill=prefill, answers=answers, store=store)
    rows = scored(subject.on, questions, steering, prefill=prefill, store=store, answers=answers)
    if csv is not None:
        _write(csv, rows, questions, answers)
    found = lines(rows)
    n = len(steering.interventions)
    size = f"{len(questions)} rows of {file.name}, {n} seed{'s' * (n > 1)}; nats"
    title = f"{subject.model}, {steering.name}: {size}"
    return shown(found, title=title, notes=notes(found, questions), answers=answers)


def _check_lengths(
    file: Path,
    on: Placed,
    questions: tuple[Question, ...],
    steering: Steering,
    *,
    prefill: str,
    answers: Answers,
    store: Store,
) -> None:
    """Raises: DataError for rows whose prompts are too long at some coefficient, before any is trained or scored."""
    lm = loaded(on, store)
    start = answer_start(lm.tokenizer, prefill, answers)
    for system in {it.system(coeff) for it in steering.interventions.values() for coeff in steering.coeffs}:
        prompts = prompts_of(lm, questions, start, system=system)
        check_lengths(file, lm, zip(map(line_of, questions), prompts, strict=True))


def _write(csv: Path, rows: pd.DataFrame, questions: Sequence[Question], answers: Answers) -> None:
    """Every scored row, with its question; log-probabilities under the names of the answers."""
    text = pd.Series({question.id: question.text for question in questions})
    names = dict(zip(("log_yes", "log_no"), (f"log_{word.lower()}" for word in answers.reads), strict=True))
    csv.parent.mkdir(parents=True, exist_ok=True)
    rows.rename(columns=names).assign(question=rows["question_id"].map(text)).to_csv(csv, index=False)
