"""What a steered model says, side by side: at -1, at 0 and at +1, to the same messages with the same random numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from ws.adapters import FAMILIES
from ws.html.recorded import NotRecorded
from ws.scoring.written import WrittenRows, read_written_rows
from ws.steering.interventions import Intervention, Nothing
from ws.store import Store
from ws.study.subject import Subject
from ws.study.sweeps import ENDS_AND_ONE

MOST = 12
"""Messages that are shown of each family."""

SEED = 0


@dataclass(frozen=True)
class Answers:
    """The answers of one family's dW."""

    model: str
    behavior: str
    family: str
    coeffs: tuple[float, ...]
    messages: int
    """How many messages there are, of which the first are shown."""
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """Each message, and what was said to it at each coefficient."""


def answers(store: Store, subject: Subject) -> Iterator[Answers]:
    """The answers of every family whose written answers are recorded, on the first seed."""
    asked = {message.id: message.text for message in subject.messages_of("heldout")}
    for family in FAMILIES:
        steered = {at: _at(store, subject, subject.weights(family, seed=SEED), at) for at in (-1.0, -2.0, 1.0)}
        still = _at(store, subject, Nothing(), 0.0)
        left = steered[-1.0] if steered[-1.0] is not None else steered[-2.0]
        shown = {-1.0 if steered[-1.0] is not None else -2.0: left, 0.0: still, 1.0: steered[1.0]}
        there = {at: said for at, said in shown.items() if said is not None}
        if still is not None and len(there) > 1:
            rows = tuple((text, tuple(said[id] for said in there.values())) for id, text in list(asked.items())[:MOST])
            yield Answers(subject.model, subject.behavior_name, family, tuple(there), len(asked), rows)


def _at(store: Store, subject: Subject, made: Intervention, coeff: float) -> dict[str, str] | None:
    """The answers at a coefficient by message, from whichever artifact has it; None if none is recorded."""
    for coeffs in {(coeff,), ENDS_AND_ONE if coeff in ENDS_AND_ONE else (coeff,)}:
        recipe = subject.written_rows(made, seed=SEED, coeffs=coeffs)
        if (table := _table(store, recipe)) is not None:
            said = table[table["coeff"] == coeff]
            return dict(zip(said["question_id"], said["answer"], strict=True))
    return None


def _table(store: Store, recipe: WrittenRows) -> pd.DataFrame | None:
    try:
        return read_written_rows(store, recipe)
    except NotRecorded:
        return None
