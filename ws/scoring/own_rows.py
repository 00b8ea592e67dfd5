"""Yes/No or (A)/(B) rows from a file of one's own, in the layout of model-written evaluations.

A row is a question and the answer that shows the behavior. JSONL (an object a line) or CSV (with a header), UTF-8; see
`ws.scoring.own_records` for names of columns:

    {"question": "Is this something you would say? \"I avoid risk.\"", "answer_matching_behavior": " Yes"}
    {"question": "Which?\n\nChoices:\n (A) bonds\n (B) stocks", "answer_matching_behavior": " (A)"}

If all choices of a file are "(A) Yes (B) No", in either order, its questions are asked as Yes/No questions without the
choices, and an answer "(A)" means what choice A says. If any row has choices with other words, all rows are asked with
their choices and answered by letter.

A file is refused if Yes (or No) shows the behavior in every row: movement towards the behavior would then be the same
number as a mere push to Yes. If both occur but not equally often, a push to Yes counts in proportion to `first_excess`.
The same holds for letters.

Rows that differ only in case and spaces, or in which choice is A, share a cluster. The same row twice is refused.

Source of the layout: Perez et al. 2022, "Discovering Language Model Behaviors with Model-Written Evaluations",
arXiv:2212.09251, and its data at github.com/anthropics/evals.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ws.behaviors import Question
from ws.errors import DataError
from ws.models.yesno import ANSWERS, Answers
from ws.scoring.own_records import QUESTIONS, Flaw, Record, records, refused

FIRST, SECOND, THIRD = (re.compile(rf"\({letter}\)", re.IGNORECASE | re.ASCII) for letter in "ABC")
SIGNS = {"yes": +1, "no": -1, "a": +1, "b": -1}
"""+1 for the first answer of a pair, as in Yes/No and A/B."""
ID = "row-"
"""How the id of a row begins; the number of its line follows."""
ENDS = " .()\"'"
"""Characters that may stand around an answer."""


class Choices(NamedTuple):
    """The two choices at the end of a question."""

    stem: str
    """The question without the choices."""
    asked: str
    """The question with the choices."""
    a: str
    b: str

    @property
    def words(self) -> list[str]:
        """The words of the choices in lower case, for comparison with yes and no."""
        return [choice.strip(ENDS).lower() for choice in (self.a, self.b)]

    @property
    def same(self) -> str:
        """A text that is equal for questions that differ only in case, spaces and in which choice is A."""
        return "\n".join([_levelled(self.stem), *sorted(map(_levelled, (self.a, self.b)))])


class Asked(NamedTuple):
    """How a row can be asked: what the user says, and which answer shows the behavior."""

    text: str
    sign: int
    same: str
    """A text that is equal for rows that are near-repeats of each other."""


class Row(NamedTuple):
    """A row as a Yes/No question and as a choice of letters; None for a form in which it cannot be asked."""

    record: Record
    words: Asked | None
    letters: Asked | None


def read_rows_file(path: Path) -> tuple[Question, ...]:
    """The rows as questions in the order of the file, with sign +1 where Yes, or A, shows the behavior.

    `phrasing` says which answer shows it: yes or no, a or b.
    Raises: DataError naming the file, every line that cannot be used and a remedy: a file without rows; text that is
        no UTF-8, no JSONL or CSV; a missing, unknown or repeated column; an empty question; an answer that is neither
        Yes nor No nor the letter of a choice; more than two choices; a question that comes twice; rows of both kinds;
        answers that are all the same.
    """
    rows: list[Row] = []
    flaws: list[Flaw] = []
    for record in records(path, QUESTIONS):
        found = record if isinstance(record, Flaw) else _row(record)
        if isinstance(found, Flaw):
            flaws.append(found)
        else:
            rows.append(found)
    by_letter = any(row.words is None for row in rows)
    asked = [(row, row.letters if by_letter else row.words) for row in rows]
    used = [(row, way) for row, way in asked if way is not None]
    flaws += _other_kind(asked) + _repeats(used)
    if flaws:
        raise refused(path, flaws)
    if not rows:
        raise DataError(f"{path} has no rows; expected a question and an answer in each line; fill the file")
    answers = ANSWERS["a-b" if by_letter else "yes-no"]
    _refuse_one_answer(path, [way.sign for _, way in used], answers)
    clusters = _clusters(used)
    return tuple(
        Question(
            id=f"{ID}{row.record.line}",
            cluster=cluster,
            topic=row.record.values.get("topic") or "own",
            phrasing=answers.reads[0 if way.sign > 0 else 1].lower(),
            pair="own",
            text=way.text,
            sign=way.sign,
        )
        for (row, way), cluster in zip(used, clusters, strict=True)
    )


def answers_to(questions: Iterable[Question]) -> Answers:
    """The pair of answers to the questions of one file: Yes and No, or A and B."""
    said = {question.phrasing for question in questions}
    return next(kind for kind in ANSWERS.values() if said <= {word.lower() for word in kind.reads})


def line_of(question: Question) -> int:
    """The line of the file from which a question was read."""
    return int(question.id.removeprefix(ID))


def first_excess(questions: Iterable[Question]) -> float:
    """Share of rows that Yes (or A) matches minus share that No (or B) matches.

    A mere push to Yes counts as movement towards the behavior in this proportion.
    """
    signs = [question.sign for question in questions]
    return sum(signs) / len(signs)


def _row(record: Record) -> Row | Flaw:
    try:
        return _asked(record)
    except DataError as error:
        return Flaw(record.line, str(error))


def _asked(record: Record) -> Row:
    """Raises: DataError, not yet naming file and line, if the row cannot be asked."""
    question, answer = record.values["question"], record.values["answer"]
    choices, said = _choices(question), _said(answer)
    if not (choices.stem if choices else question):
        raise DataError("the question is empty; write one or remove the row")
    if said in ("a", "b"):
        _check_choices(choices, answer)
    if "other" in record.values and _meant(_said(record.values["other"]), choices) == _meant(said, choices):
        raise DataError(f"matching and not matching answer are both {answer!r}; correct one")
    if choices is not None and sorted(choices.words) == ["no", "yes"]:
        letter = "ab"[choices.words.index(_meant(said, choices))]
        in_words = Asked(choices.stem, SIGNS[_meant(said, choices)], _levelled(choices.stem))
        return Row(record, in_words, Asked(choices.asked, SIGNS[letter], choices.same))
    if choices is not None and said in ("a", "b"):
        return Row(record, None, Asked(choices.asked, SIGNS[said], choices.same))
    return Row(record, Asked(question, SIGNS[said], _levelled(question)), None)


def _choices(question: str) -> Choices | None:
    """The choices (A) and (B) at the end of a question."""
    text = _without_end(question, "answer:")
    # Not in lower case, which for some letters is longer.
    a = next(iter([*FIRST.finditer(text)][-1:]), None)
    b = None if a is None else SECOND.search(text, a.end())
    if a is None or b is None:
        return None
    stem = _without_end(_without_end(text[: a.start()], "answer choices:"), "choices:")
    return Choices(stem, text, text[a.end() : b.start()].strip(), text[b.end() :].strip())


def _without_end(text: str, end: str) -> str:
    """A text without `end`, if it ends so, and without spaces around it."""
    text = text.strip()
    return text[: -len(end)].rstrip() if text.lower().endswith(end) else text


def _check_choices(choices: Choices | None, answer: str) -> None:
    """Raises: DataError if there are not two different choices, or the answer's letter names none of them."""
    if choices is None:
        raise DataError(
            f"the answer {answer!r} is the letter of a choice, but the question does not end in two choices, "
            "(A) ... (B) ...; write them there, or answer Yes or No"
        )
    if THIRD.search(choices.b):
        raise DataError("the question has a choice (C); expected (A) and (B) alone, since two are compared; drop one")
    if not choices.a or not choices.b:
        raise DataError(f"choice {'B' if choices.a else 'A'} is empty; write it or remove the row")
    if _levelled(choices.a) == _levelled(choices.b):
        raise DataError(f"both choices say {choices.a!r}; expected two different ones; correct one")


def _said(answer: str) -> str:
    """An answer as a key of SIGNS. Raises: DataError if it is no such answer."""
    if (said := answer.strip(ENDS).lower()) not in SIGNS:
        raise DataError(f"the answer is {answer!r}; expected Yes or No, or (A) or (B): reword the row or remove it")
    return said


def _meant(said: str, choices: Choices | None) -> str:
    """The answer "yes" or "no" if the choice behind a letter says that; else the answer itself."""
    word = dict(zip("ab", choices.words, strict=True)).get(said, said) if choices else said
    return word if word in ("yes", "no") else said


def _levelled(text: str) -> str:
    """A text in lower case without any spaces, since some data have a space before a closing quote."""
    return "".join(text.casefold().split())


def _other_kind(asked: Sequence[tuple[Row, Asked | None]]) -> list[Flaw]:
    """The flaws of Yes/No rows in a file in which another row is answered by letter."""
    letter = next((row.record.line for row, _ in asked if row.words is None), None)
    text = (
        f"answered by Yes or No, and line {letter} by a letter; expected one kind, since log-ratios of letters and of "
        "words have no common mean: move these rows to a file of their own"
    )
    return [Flaw(row.record.line, text) for row, way in asked if way is None]


def _repeats(used: Sequence[tuple[Row, Asked]]) -> list[Flaw]:
    first: dict[str, int] = {}
    text = (
        "repeats the question of line {}, {!r}; expected each once, since a row that counts twice narrows the interval"
    )
    return [
        Flaw(row.record.line, f"{text.format(line, way.text[:60])}: remove one")
        for row, way in used
        if (line := first.setdefault(way.text, row.record.line)) != row.record.line
    ]


def _refuse_one_answer(path: Path, signs: Sequence[int], answers: Answers) -> None:
    if len(set(signs)) == 1:
        one = answers.names[0 if signs[0] > 0 else 1]
        raise DataError(
            f"{path}: all {len(signs)} rows match with {one}, so a model that merely says {one} more often "
            "looks like one that shows the behavior; reword about half of the rows so that the other answer shows it"
        )


def _clusters(used: Sequence[tuple[Row, Asked]]) -> list[str]:
    """The cluster of each row: as the file says, else one for each row. Clusters that share near-repeats are joined."""
    parents: dict[str, str] = {}
    first: dict[str, str] = {}

    def root(name: str) -> str:
        while parents.setdefault(name, name) != name:
            parents[name] = parents[parents[name]]  # half the way next time
            name = parents[name]
        return name

    named = [row.record.values.get("cluster") or f"{ID}{row.record.line}" for row, _ in used]
    for name, (_, way) in zip(named, used, strict=True):
        parents[root(name)] = root(first.setdefault(way.same, name))
    return [root(name) for name in named]
