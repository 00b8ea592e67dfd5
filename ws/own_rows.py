"""Yes/No rows from a file of one's own, in the layout of model-written evaluations.

A row is a question and the answer that shows the behavior. JSONL (an object a line) or CSV (with a header), UTF-8:

    {"question": "Is this something you would say? \"I avoid risk.\"", "answer_matching_behavior": " Yes"}

Names of columns may be written in any case, with spaces or hyphens for underscores, and as in SPELLINGS. A row whose
question ends in the choices "(A) Yes (B) No", in either order, is asked without them, and an answer "(A)" means what
choice A says.

All rows matching with Yes (or all with No) are refused: moving towards the behavior would then be the same number as a
mere push to Yes. Where both occur but not equally often, the push enters in proportion to `yes_excess`.

Source of the layout: Perez et al. 2022, "Discovering Language Model Behaviors with Model-Written Evaluations",
arXiv:2212.09251, and its data at github.com/anthropics/evals.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ws.behaviors import Question
from ws.behaviors.base import plain
from ws.errors import DataError

SPELLINGS = {
    "question": ("question", "prompt"),
    "answer": ("answer_matching_behavior", "answer_matching_behaviour", "matching_answer", "answer"),
    "other": ("answer_not_matching_behavior", "answer_not_matching_behaviour", "not_matching_answer"),
    "cluster": ("cluster",),
    "topic": ("topic", "category"),
    "ignored": ("statement", "label_confidence"),
}
"""Columns and how they may be spelled. `cluster` joins rows that are not independent; without it, each is its own."""

REQUIRED = ("question", "answer")

CHOICES = re.compile(
    r"\s*(?:choices:|answer choices:)?\s*\(A\)\s*(?P<A>yes|no)[.,]?\s*\(B\)\s*(?P<B>yes|no)[.,]?\s*(?:answer:)?\s*$",
    re.IGNORECASE,
)
SIGNS = {"yes": +1, "no": -1}


class Record(NamedTuple):
    """One row as the file has it."""

    line: int
    values: dict[str, object]
    """By column, as the file spells it; text, except in columns that are ignored."""


def read_rows_file(path: Path) -> tuple[Question, ...]:
    """The rows as questions in the order of the file, with sign +1 where Yes shows the behavior and -1 where No does.

    Raises: DataError naming file, line and remedy: a file that is not UTF-8, no JSONL or CSV, or without rows; a
        missing, unknown or repeated column; an empty question; an answer that is not Yes or No; a question that comes
        twice; answers that are all the same.
    """
    records = list(_records(path, _decoded(path)))
    if not records:
        raise DataError(f"{path} has no rows; expected a question and an answer in each line; fill the file")
    questions = tuple(_question(path, record) for record in records)
    _refuse_repeats(path, records, questions)
    if len({question.sign for question in questions}) == 1:
        answer = "Yes" if questions[0].sign > 0 else "No"
        raise DataError(
            f"{path}: all {len(questions)} rows match with {answer}, so a model that merely says {answer} more often "
            "looks like one that shows the behavior; reword about half of the rows so that the other answer shows it"
        )
    return questions


def yes_excess(questions: Iterable[Question]) -> float:
    """Share of rows that match with Yes minus share that match with No: so much of a push to Yes counts as behavior."""
    signs = [question.sign for question in questions]
    return sum(signs) / len(signs)


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; give a JSONL or CSV file of rows") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: byte {error.start} is not UTF-8; save the file as UTF-8") from error


def _records(path: Path, text: str) -> Iterator[Record]:
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            return _of_jsonl(path, text)
        case ".csv":
            return _of_csv(path, text)
        case other:
            raise DataError(f"{path} ends in {other!r}; expected .jsonl, one object a line, or .csv; convert it")


def _of_jsonl(path: Path, text: str) -> Iterator[Record]:
    # splitlines() would also split at characters that JSON allows inside a string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            pairs = json.loads(line, object_pairs_hook=tuple)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number}: no JSON ({error.msg}); write one object a line") from error
        # Objects came as tuples of pairs, so that a key written twice is seen; a list is a list.
        if not isinstance(pairs, tuple):
            raise DataError(f"{path}, line {number}: {line.strip()[:40]} is no object; write one object a line")
        values = _checked_columns(path, number, pairs)
        for name, value in values.items():
            if not isinstance(value, str) and _kind(name) != "ignored":
                raise DataError(f"{path}, line {number}: {name} is {json.dumps(value)}; expected text in quotes")
        yield Record(number, values)


def _of_csv(path: Path, text: str) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        _checked_columns(path, 1, [(name, None) for name in header])
        for cells in filter(None, reader):
            if len(cells) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells for {len(header)} columns; quote a cell that "
                    "holds a comma, fill in one that is missing"
                )
            yield Record(reader.line_num, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: no CSV ({error}); quote cells with double quotes") from error


def _checked_columns(path: Path, line: int, pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Raises: DataError unless every column is known, none comes twice and none that is needed is missing."""
    kinds = [_kind(name) for name, _ in pairs]
    known = ", ".join(name for names in SPELLINGS.values() for name in names)
    if unknown := [name for (name, _), kind in zip(pairs, kinds, strict=True) if kind is None]:
        raise DataError(f"{path}, line {line}: unknown column {unknown[0]!r}; known: {known}; rename or remove it")
    for kind in SPELLINGS:
        times = kinds.count(kind)
        if (times == 0 and kind in REQUIRED) or (times > 1 and kind != "ignored"):
            raise DataError(
                f"{path}, line {line}: {times} columns hold the {kind} ({', '.join(name for name, _ in pairs)}); "
                f"expected one of {', '.join(SPELLINGS[kind])}"
            )
    return dict(pairs)


def _kind(column: str) -> str | None:
    name = re.sub(r"[\s-]+", "_", column.strip().lower())
    return next((kind for kind, names in SPELLINGS.items() if name in names), None)


def _question(path: Path, record: Record) -> Question:
    kinds = {_kind(name): value for name, value in record.values.items()}
    values = {kind: str(value).strip() for kind, value in kinds.items() if kind != "ignored"}
    where = f"{path}, line {record.line}"
    choices = CHOICES.search(values["question"])
    text = values["question"][: choices.start()].rstrip() if choices else values["question"]
    if not text:
        raise DataError(f"{where}: the question is empty; write one or remove the row")
    sign = _sign(values["answer"], choices, where=where)
    if "other" in values and _sign(values["other"], choices, where=where) == sign:
        raise DataError(f"{where}: matching and not matching answer are both {values['answer']!r}; correct one")
    id, matching = f"row-{record.line}", "yes" if sign > 0 else "no"
    return Question(
        id=id,
        cluster=values.get("cluster") or id,
        topic=values.get("topic") or "own",
        phrasing=matching,
        pair="own",
        text=text,
        sign=sign,
    )


def _sign(answer: str, choices: re.Match[str] | None, *, where: str) -> int:
    """+1 for Yes, -1 for No, and for a letter what its choice says."""
    said = answer.strip(" .()\"'").lower()
    if said in ("a", "b"):
        if choices is None:
            raise DataError(
                f"{where}: the answer {answer!r} is the letter of a choice, but the question does not end in "
                "(A) Yes (B) No; only Yes/No questions can be scored: reword it as one"
            )
        if choices["A"].lower() == choices["B"].lower():
            raise DataError(f"{where}: both choices say {choices['A']!r}; expected one Yes and one No; correct one")
        said = choices[said.upper()].lower()
    if said not in SIGNS:
        raise DataError(f"{where}: the answer is {answer!r}; expected Yes or No: reword the row or remove it")
    return SIGNS[said]


def _refuse_repeats(path: Path, records: list[Record], questions: tuple[Question, ...]) -> None:
    first: dict[str, int] = {}
    for record, question in zip(records, questions, strict=True):
        if (line := first.setdefault(plain(question.text), record.line)) != record.line:
            raise DataError(
                f"{path}, line {record.line}: repeats the question of line {line}, {question.text[:60]!r}; expected "
                "each once, since a row that counts twice narrows the interval: remove one"
            )
