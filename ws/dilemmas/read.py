"""Readers of dilemmas: our own file, a CSV in the published schema, and the published sets on the Hugging Face hub.

The published sets list a dilemma over two rows, "to_do" (our action a) and "not_to_do" (our action b). Some sets give
the human values of each action, from which the honesty label is derived here; others give the label itself. Only text
and labels are read, never tokens, so nothing becomes outdated when a prompt changes.
Source: Chiu, Jiang and Choi 2024, arXiv:2410.02683 (values); wassname/daily_dilemmas-self-honesty (labels).
"""

import ast
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from ws.behaviors.words import half_character
from ws.dilemmas.base import Dilemma, check_set
from ws.errors import DataError, DownloadError, UnknownNameError
from ws.files.cells import advised
from ws.files.notation import Unreadable, decoded, parsed
from ws.files.opening import content
from ws.files.showing import brief

HONEST = frozenset({"honesty", "truthfulness"})
"""Values that make an action honest in its own right."""

DISHONEST = frozenset({"dishonesty", "untruthfulness", "deception", "deceit"})
"""Values that make an action dishonest in its own right."""

KINDS = ("to_do", "not_to_do")
"""The action types, in the order of the sides a and b."""

NO_TOPIC = "not given"
"""Topic of a dilemma from a set without the column topic_group."""

HUB_REMEDY = (
    "run once where huggingface.co is reachable, set HF_HOME to a copy of a cache that holds this revision, "
    "or read a CSV of the set with read_csv"
)

OWN = Path(__file__).parent / "data" / "dilemmas.jsonl"
"""Our own dilemmas."""

MOST_BYTES, MOST_LINES = 32 << 20, 100_000
"""The largest file."""

MOST_OF_ID = 100
"""The longest name of a dilemma; the number at its end is read as one."""

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
class HubSet:
    """A published set on the hub."""

    config: str
    layout: Layout
    dilemmas: int
    """How many it holds."""


HUB_SETS = {
    "kellycyy/daily_dilemmas": HubSet("Dilemmas_with_values_aggregated", HUB, 1360),
    "wassname/daily_dilemmas-self-honesty": HubSet("honesty_eval", LABELLED, 219),
}


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


def read_own(path: Path | None = None) -> tuple[Dilemma, ...]:
    """Our own dilemmas, or those of another JSON-lines file of the same fields.

    Raises: DataError naming file and line if a line is no JSON object, or lacks a field, or a field is wrong.
    """
    file = path or OWN
    lines = list(_lines(content(file, most=MOST_BYTES, what="a JSONL file of dilemmas", refuse=DataError), file.name))
    read = tuple(_dilemma(line, place=place) for place, line in lines)
    check_set(read)
    return read


def read_csv(path: Path) -> Published:
    """The dilemmas of a CSV in the published schema, with columns of any of the three tables.

    Raises: DataError naming file and line if a column is missing, a label is unknown or a dilemma has not two actions.
    """
    text = content(path, most=MOST_BYTES, what="a CSV in the published schema", refuse=DataError)
    lines = [line for _, line in _lines(text, path.name, keep_ends=True)]
    reader = csv.DictReader(lines, strict=True)
    try:
        layout = layout_of(reader.fieldnames or (), place=f"{path.name} line 1")
        rows = [(f"{path.name} line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        line = reader.reader.line_num
        why = advised(error, most=csv.field_size_limit())
        raise DataError(f"{path.name} line {line} cannot be read: {why}") from error
    return published(rows, layout, name=path.name)


def _lines(text: bytes, name: str, *, keep_ends: bool = False) -> Iterator[tuple[str, str]]:
    """The place and the text of each line. Raises: DataError for too many, or one that is no UTF-8."""
    if (count := text.count(b"\n")) > MOST_LINES:
        raise DataError(f"{name} has {count:,} lines; expected {MOST_LINES:,} at most; split it")
    try:
        said = decoded(text)
    except Unreadable as error:
        raise DataError(f"{name} line {error.line} cannot be read: {error.said}") from error
    # splitlines() would also split at characters that JSON allows inside a string.
    lines = io.StringIO(said, newline="" if keep_ends else None)
    for number, line in enumerate(lines, start=1):
        yield f"{name} line {number}", line if keep_ends else line.rstrip("\n")


def read_hub(repo: str, *, revision: str, load: Callable[..., Iterable[Row]] | None = None) -> Published:
    """The dilemmas of a set on the hub at a pinned commit; `load` stands in for `datasets.load_dataset`.

    Raises: UnknownNameError if the set is not one of HUB_SETS; DataError if the library is missing, the revision is no
        commit, or the rows are not as published; DownloadError if the set cannot be fetched.
    """
    if repo not in HUB_SETS:
        raise UnknownNameError("set of dilemmas", repo, HUB_SETS)
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise DataError(
            f"{repo} is asked for at revision {revision!r}; expected the 40 hex digits of a commit, since a branch can "
            "move; copy it from the set's list of commits on the hub"
        )
    known = HUB_SETS[repo]
    rows = fetched(repo, known.config, revision, load or load_dataset())
    check_columns(rows[0][1] if rows else (), known.layout, place=f"{repo} row 1")
    read = published(rows, known.layout, name=repo)
    count = len(read.dilemmas) + len(read.unlabelled)
    if count != known.dilemmas:
        raise DataError(
            f"{repo} at {revision} holds {count} dilemmas; expected {known.dilemmas}; pin a commit that has them all"
        )
    return read


def fetched(repo: str, config: str, revision: str, load: Callable[..., Iterable[Row]]) -> list[tuple[str, Row]]:
    """(place, row) of every row of the test split, fetched without a token.

    Raises: DownloadError if the library cannot reach the set and has no copy of it.
    """
    try:
        rows = list(load(repo, name=config, split="test", revision=revision, token=False))
    except (OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DownloadError(f"could not load {repo} ({config}) at {revision}: {reason}; {HUB_REMEDY}") from error
    return [(f"{repo} row {number}", row) for number, row in enumerate(rows, start=1)]


def load_dataset() -> Callable[..., Iterable[Row]]:
    """`datasets.load_dataset`, from a library that is an optional dependency.

    Raises: DataError if the library is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "the library datasets is not installed; expected it for sets on the hub; "
            "run `pip install 'weight-steering-claims[hub]'`, or read a CSV of the set with read_csv"
        ) from error
    return datasets.load_dataset


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
        f"{place} has the columns {_few(sorted(present))}; expected {[layout.label for layout in layouts]}, one of "
        "them; export the table again with the published columns"
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


def _few(names: list[str]) -> list[str]:
    """Names to show in a message: not too many, none too long."""
    return [name[:40] for name in names[:20]]


def action_of(row: Row, layout: Layout, *, place: str) -> Action:
    """A row's action with its honesty label.

    Raises: DataError if a cell is missing, or the action type or label is unknown.
    """
    cells = {column: row.get(column) for column in layout.columns}
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


def _dilemma(line: str, *, place: str) -> Dilemma:
    try:
        entry = parsed(line.encode(), halves=True)
    except Unreadable as error:
        raise DataError(f"{place} is no JSON: {error.said}; expected one object a line; correct the line") from error
    if not isinstance(entry, dict):
        raise DataError(
            f"{place} holds {brief(entry)}; expected an object with the fields of a dilemma; correct the line"
        )
    _check_fields(entry, place=place)
    try:
        return Dilemma(**entry)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error


def _check_fields(entry: dict[str, Any], *, place: str) -> None:
    """Raises: DataError if a field is missing, unknown or of another type."""
    types = {field.name: field.type for field in fields(Dilemma)}
    missing = [field.name for field in fields(Dilemma) if field.default is MISSING and field.name not in entry]
    unknown = sorted(entry.keys() - types.keys())
    if missing or unknown:
        raise DataError(
            f"{place} lacks {missing} and has {_few(unknown)} besides; expected the fields {list(types)}; correct the "
            "line"
        )
    wrong = [name for name, value in entry.items() if not isinstance(value, types[name])]
    if wrong:
        raise DataError(
            f"{place} has {wrong[0]} {brief(entry[wrong[0]])}; expected {types[wrong[0]]}; correct the value"
        )
    if len(entry["id"]) > MOST_OF_ID:
        raise DataError(
            f"{place} has an id of {len(entry['id']):,} characters; expected {MOST_OF_ID} at most; shorten it"
        )
    for name, value in entry.items():
        if isinstance(value, str) and (half := half_character(value)):
            raise DataError(f"{place}: {name} holds {half}, half a character; write the whole one or remove it")
