"""The schema of published sets of dilemmas: two rows a dilemma, "to_do" (our action a) and "not_to_do" (our action b).

Some sets give the human values of each action, from which the honesty label is derived here; others give the label
itself. Only text and labels are read, never tokens, so nothing becomes outdated when a prompt changes.
Source: Chiu, Jiang and Choi 2024, arXiv:2410.02683 (values); wassname/daily_dilemmas-self-honesty (labels).
"""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ws.dilemmas.base import MOST_OF_ID, Dilemma
from ws.errors import DataError
from ws.files.showing import brief, brief_names

HONEST = frozenset({"honesty", "truthfulness"})
"""Values that make an action honest in its own right."""

DISHONEST = frozenset({"dishonesty", "untruthfulness", "deception", "deceit"})
"""Values that make an action dishonest in its own right."""

KINDS = ("to_do", "not_to_do")
"""The action types, in the order of the sides a and b."""

NO_TOPIC = "not given"
"""Topic of a dilemma from a set without the column topic_group."""

NAMES = re.compile(r"""\s*\[\s*(?:(?:'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")\s*(?:,\s*|(?=\])))*+\]\s*""")
"""A list of texts in Python's notation."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """The columns of one published table that are read."""

    id: str
    """The column that the two rows of a dilemma share."""
    label: str
    """The column with the action's values or with its honesty label."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that has to be there."""
        return (self.id, "dilemma_situation", "action_type", "action", self.label)


GITHUB = Layout(id="idx", label="values_names")
HUB = Layout(id="dilemma_idx", label="values_aggregated")
LABELLED = Layout(id="dilemma_idx", label="honesty_label")


@dataclass(frozen=True)
class Published:
    """What a published set holds."""

    dilemmas: tuple[Dilemma, ...]
    """The dilemmas between an honest action and one that is not."""
    unlabelled: tuple[str, ...]
    """Ids of all other dilemmas: not about honesty, or with both actions called honest."""


class Action(NamedTuple):
    """One row of a published set."""

    place: str
    """File and line, or data set and row."""
    id: str
    situation: str
    kind: str
    text: str
    topic: str
    label: int | None
    """+1 honest, -1 dishonest, 0 neither in its own right, None if the values say both."""


def layout_of(columns: Iterable[str], *, place: str) -> Layout:
    """The layout with these columns, recognised by its label column.

    Raises: DataError if the label column is that of no layout, or another column of the layout is missing.
    """
    present = set(columns)
    layouts = (LABELLED, GITHUB, HUB)
    for layout in layouts:
        if layout.label in present:
            check_columns(present, layout, place=place)
            return layout
    raise DataError(
        f"{place} has the columns {brief_names(sorted(present))}; expected {[layout.label for layout in layouts]}, one "
        "of them; export the table again with the published columns"
    )


def check_columns(columns: Iterable[str], layout: Layout, *, place: str) -> None:
    """Raises: DataError if a column of the layout is missing."""
    missing = sorted(set(layout.columns) - set(columns))
    if missing:
        raise DataError(
            f"{place} lacks the column(s) {missing}; expected {list(layout.columns)}; "
            "export the table again with the published columns"
        )


def published(rows: Iterable[tuple[str, Row]], layout: Layout, *, name: str) -> Published:
    """Dilemmas out of (place, row) pairs, in the order of their first rows.

    Raises: DataError naming the place if a row, a label or the number of a dilemma's actions is wrong.
    """
    groups: dict[str, list[Action]] = {}
    for place, row in rows:
        action = action_of(row, layout, place=place)
        groups.setdefault(action.id, []).append(action)
    if not groups:
        raise DataError(f"{name} has no row; expected two for each dilemma; export the table again")
    paired = {id: pair_of(actions) for id, actions in groups.items()}
    labelled = {id for id, (a, b) in paired.items() if None not in (a.label, b.label) and a.label != b.label}
    known = layout is not LABELLED
    if not known and labelled != paired.keys():
        refuse_equal_labels(*next(pair for id, pair in paired.items() if id not in labelled))
    return Published(
        dilemmas=tuple(dilemma_of(*paired[id], known=known) for id in paired if id in labelled),
        unlabelled=tuple(id for id in paired if id not in labelled),
    )


def action_of(row: Row, layout: Layout, *, place: str) -> Action:
    """A row's action with its honesty label.

    Raises: DataError if a cell is missing, or the action type or label is unknown.
    """
    cells: dict[str, Any] = {column: row.get(column) for column in layout.columns}
    empty = [column for column, cell in cells.items() if cell is None or cell == ""]
    if empty or None in row:
        raise DataError(
            f"{place} has {f'no {empty[0]}' if empty else 'more cells than columns'}; "
            "expected one cell for each column; correct the row"
        )
    if cells["action_type"] not in KINDS:
        raise DataError(
            f"{place} has action_type {brief(cells['action_type'])}; expected one of {list(KINDS)}; correct it"
        )
    if len(str(cells[layout.id])) > MOST_OF_ID:
        raise DataError(
            f"{place} has an id of {len(str(cells[layout.id])):,} characters; expected {MOST_OF_ID} at most"
        )
    judge = stated_label if layout is LABELLED else label_of_values
    return Action(
        place=place,
        id=str(cells[layout.id]),
        situation=cells["dilemma_situation"].strip(),
        kind=cells["action_type"],
        text=cells["action"].strip(),
        topic=row.get("topic_group") or NO_TOPIC,
        label=judge(cells[layout.label], place=place),
    )


def stated_label(cell: object, *, place: str) -> int:
    """An honesty label that the set itself gives.

    Raises: DataError unless it is +1 or -1.
    """
    try:
        label = float(str(cell))
    except ValueError:
        label = 0.0
    if label not in (+1, -1):
        raise DataError(
            f"{place} has honesty_label {brief(cell)}; expected 1 or -1; correct the row, or drop both rows "
            "of the dilemma"
        )
    return int(label)


def label_of_values(cell: object, *, place: str) -> int | None:
    """+1 if honesty is among an action's values, -1 if dishonesty is, 0 if neither, None if both.

    Raises: DataError unless the cell is a list of names, as such or written out in Python's notation.
    """
    try:
        # Only a flat list of texts is given to Python's reader, which would follow nested brackets without end.
        values = cell if not isinstance(cell, str) else ast.literal_eval(cell) if NAMES.fullmatch(cell) else None
    except (ValueError, SyntaxError):
        values = None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise DataError(
            f"{place} has the values {brief(cell)}; expected a list of names such as ['honesty', 'care']; correct the "
            "row"
        )
    names = {value.strip().casefold() for value in values}
    honest, dishonest = bool(names & HONEST), bool(names & DISHONEST)
    return None if honest and dishonest else honest - dishonest


def pair_of(actions: list[Action]) -> tuple[Action, Action]:
    """A dilemma's two actions, "to_do" first.

    Raises: DataError unless there is one of each kind and both rows tell the same situation.
    """
    last = actions[-1]
    kinds = [action.kind for action in actions]
    if sorted(kinds) != sorted(KINDS):
        raise DataError(
            f"{last.place}: dilemma {brief(last.id)} has {len(actions)} action(s) {kinds}; expected one of each of "
            f"{list(KINDS)}; add the missing row or remove the surplus one"
        )
    if actions[0].situation != last.situation:
        raise DataError(
            f"{last.place}: dilemma {brief(last.id)} tells another situation than {actions[0].place}; expected the "
            "same; correct the id or the situation"
        )
    first, second = sorted(actions, key=lambda action: KINDS.index(action.kind))
    return first, second


def refuse_equal_labels(a: Action, b: Action) -> None:
    """Raises: DataError always, about two actions of one dilemma that have the same stated label."""
    raise DataError(
        f"{b.place}: dilemma {brief(a.id)} has honesty_label {a.label} for both actions (see {a.place}); "
        "expected 1 for one and -1 for the other; correct one, or drop both rows"
    )


def dilemma_of(a: Action, b: Action, *, known: bool) -> Dilemma:
    """The dilemma of two actions with different labels; `known` says that a label of 0 means a negation.

    Raises: DataError naming the place if the text is not fit for a question.
    """
    assert a.label is not None
    assert b.label is not None
    try:
        return Dilemma(
            id=a.id,
            topic=a.topic,
            situation=a.situation,
            action_a=a.text,
            action_b=b.text,
            honest="a" if a.label > b.label else "b",
            negation_a=a.label == 0 if known else None,
            negation_b=b.label == 0 if known else None,
        )
    except DataError as error:
        raise DataError(f"{a.place}: {error}") from error
