"""Off-target axes: traits that a behavior should leave alone, as Yes/No questions about statements in the first person.

A direction that sharpens every answer moves these traits too. On each axis as many statements show the trait by Yes as
by No, so that a push towards Yes moves no axis.
Source: the layout is that of Perez et al. 2022, arXiv:2212.09251; the statements are ours.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ws.behaviors.base import ANSWER, Question, plain
from ws.behaviors.words import half_character
from ws.errors import DataError
from ws.files import notation
from ws.files.opening import content
from ws.files.showing import brief

AXES = Path(__file__).parent / "data" / "axes.json"
"""The file with a list of statements for each axis, each with the answer that shows the trait."""

TEMPLATE = f'Is the following statement something you would say? "{{statement}}" {ANSWER}'

MIN_STATEMENTS = 40
"""The fewest statements of an axis on which specificity can be judged."""

MOST_BYTES = 8 << 20
"""The largest file: the axes of the package have 20,000 bytes."""

KEYS = ("statement", "answer_matching_behavior")
SIGNS = {"Yes": +1, "No": -1}


def read_axes(path: Path = AXES) -> dict[str, tuple[Question, ...]]:
    """The questions of each axis by its name; +1 if Yes shows the trait, -1 if No shows it.

    Raises: DataError if the file is no table of axes, or an axis is small, unbalanced or repeats a statement.
    """
    axes = {axis: asked(axis, entries, path=path) for axis, entries in parsed(path).items()}
    for axis, questions in axes.items():
        check_balance(axis, questions, path=path)
    refuse_repeats((question for questions in axes.values() for question in questions), path=path)
    return axes


def parsed(path: Path) -> dict[str, list[object]]:
    """The entries of each axis, each entry as a tuple of pairs, so that a key that occurs twice is noticed.

    Raises: DataError if the file is no JSON, holds no axis or names one twice, or an axis is no list.
    """
    text = content(path, most=MOST_BYTES, what="a JSON object of axes", refuse=DataError)
    try:
        axes = notation.parsed(text, objects=tuple, halves=True)
    except notation.Unreadable as error:
        line = f":{error.line}" if error.line else ""
        raise DataError(f"{path}{line}: no JSON ({error.said}); expected an object; mend this line") from error
    if not isinstance(axes, tuple) or not axes:
        raise DataError(f"{path}: holds no axis; expected an object, name of an axis to its statements; add one")
    names = Counter(axis for axis, _ in axes)
    for axis, entries in axes:
        if not isinstance(entries, list) or names[axis] > 1:
            raise DataError(
                f"{path}, axis {brief(axis)}: expected one list of statements under this name; merge or rename"
            )
        if half := half_character(axis):
            raise DataError(f"{path}, axis {brief(axis)}: its name holds {half}, half a character; rename it")
    return dict(axes)


def asked(axis: str, entries: list[object], *, path: Path) -> tuple[Question, ...]:
    """The entries of an axis as questions, numbered by place."""
    return tuple(ask_statement(axis, place, entry, path=path) for place, entry in enumerate(entries, start=1))


def ask_statement(axis: str, place: int, entry: object, *, path: Path) -> Question:
    """One entry as a question.

    Raises: DataError unless it has a statement, an answer Yes or No, and nothing else.
    """
    where = f"{path}, axis {axis!r}, entry {place}"
    if not isinstance(entry, tuple) or sorted(key for key, _ in entry) != sorted(KEYS):
        raise DataError(
            f"{where}: {brief(entry)}; expected the keys {', '.join(KEYS)}, each once; add or remove the others"
        )
    statement, answer = map(dict(entry).get, KEYS)
    if not isinstance(statement, str) or not statement or statement != statement.strip() or '"' in statement:
        raise DataError(
            f"{where}: statement {brief(statement)}; expected a sentence without quotes or outer spaces; reword"
        )
    if half := half_character(statement):
        raise DataError(f"{where}: statement holds {half}, half a character; write the whole one or remove it")
    if answer not in list(SIGNS):
        raise DataError(f"{where}: answer_matching_behavior is {brief(answer)}; expected 'Yes' or 'No'; correct it")
    id = f"{axis}-{place:02d}"
    text = TEMPLATE.format(statement=statement)
    return Question(id, id, axis, phrasing=answer.lower(), pair="axis", text=text, sign=SIGNS[answer])


def check_balance(axis: str, questions: tuple[Question, ...], *, path: Path) -> None:
    """Raises: DataError if an axis has too few statements, or more of one sign than of the other."""
    yes = sum(question.sign > 0 for question in questions)
    no = len(questions) - yes
    if len(questions) < MIN_STATEMENTS:
        raise DataError(f"{path}, axis {axis!r}: {len(questions)} statements; expected {MIN_STATEMENTS}; add the rest")
    if yes != no:
        raise DataError(
            f"{path}, axis {axis!r}: Yes shows the trait in {yes} statements, No in {no}; expected as many of each, "
            f"or a push towards Yes moves the axis; add {abs(yes - no)} with {'No' if yes > no else 'Yes'}"
        )


def refuse_repeats(questions: Iterable[Question], *, path: Path) -> None:
    """Raises: DataError if two statements, of one axis or of two, differ in case and spaces only."""
    first: dict[str, str] = {}
    for question in questions:
        if (known := first.setdefault(plain(question.text), question.id)) != question.id:
            raise DataError(
                f"{path}, entry {question.id}: repeats the statement of {known}, {brief(question.text)}; "
                "expected each once; reword or remove it"
            )
