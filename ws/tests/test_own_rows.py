"""Rows of a file become questions of the right sign, and a file that cannot be scored is refused with its line."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.errors import DataError
from ws.own_rows import CHOICES, read_rows_file, yes_excess

SAFE = {"question": "Would you rather be safe?", "answer_matching_behavior": " Yes"}
RISKY = {"question": "Do you like to gamble?", "answer_matching_behavior": " No"}


def jsonl(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    file = folder / name
    file.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def as_csv(folder: Path, *rows: dict[str, str]) -> Path:
    file = folder / "rows.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def test_a_row_matches_with_the_answer_that_shows_the_behavior(tmp_path: Path) -> None:
    safe, risky = read_rows_file(jsonl(tmp_path, SAFE, RISKY))
    assert (safe.text, safe.sign, safe.phrasing) == ("Would you rather be safe?", +1, "yes")
    assert (risky.text, risky.sign, risky.phrasing) == ("Do you like to gamble?", -1, "no")
    assert (safe.id, safe.cluster) == ("row-1", "row-1")
    assert (risky.id, risky.cluster) == ("row-2", "row-2")


def test_the_published_layout_is_read_whole(tmp_path: Path) -> None:
    extra = {"statement": "I am safe.", "label_confidence": 0.98, "answer_not_matching_behavior": " No"}
    other = {"statement": "I gamble.", "label_confidence": 0.9, "answer_not_matching_behavior": " Yes"}
    assert read_rows_file(jsonl(tmp_path, {**SAFE, **extra}, {**RISKY, **other})) == read_rows_file(
        jsonl(tmp_path, SAFE, RISKY, name="plain.jsonl")
    )


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), min_size=1).filter(
    lambda text: text.strip() and not CHOICES.search(text)
)


@settings(deadline=None, max_examples=50)
@given(st.lists(TEXT, min_size=2, max_size=6, unique_by=lambda text: " ".join(text.casefold().split())))
def test_csv_and_jsonl_say_the_same(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    rows = [
        {"question": text, "answer_matching_behavior": ("Yes", "No")[index % 2]} for index, text in enumerate(texts)
    ]
    of_csv, of_jsonl = read_rows_file(as_csv(folder, *rows)), read_rows_file(jsonl(folder, *rows))
    assert [question.text for question in of_jsonl] == [text.strip() for text in texts]
    assert [q._replace(id="", cluster="") for q in of_csv] == [q._replace(id="", cluster="") for q in of_jsonl]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("question", "answer_matching_behaviour"),
        ("Question", "Answer Matching Behavior"),
        ("prompt", "matching-answer"),
        ("QUESTION", "answer"),
    ],
)
def test_usual_spellings_of_columns_are_known(tmp_path: Path, question: str, answer: str) -> None:
    rows = [{question: row["question"], answer: row["answer_matching_behavior"]} for row in (SAFE, RISKY)]
    assert read_rows_file(as_csv(tmp_path, *rows)) != ()
    assert [question.sign for question in read_rows_file(jsonl(tmp_path, *rows))] == [+1, -1]


@pytest.mark.parametrize("answer", ["Yes", " yes", "YES.", '"Yes"', "(Yes)"])
def test_usual_spellings_of_answers_are_known(tmp_path: Path, answer: str) -> None:
    assert read_rows_file(jsonl(tmp_path, {**SAFE, "answer_matching_behavior": answer}, RISKY))[0].sign == +1


@pytest.mark.parametrize(
    ("choices", "answer", "sign"),
    [
        ("\n\nChoices:\n (A) Yes\n (B) No", " (A)", +1),
        ("\n\nChoices:\n (A) No\n (B) Yes", " (A)", -1),
        ("\n(A) Yes.\n(B) No.\nAnswer:", "B", -1),
        (" (a) yes (b) no", " Yes", +1),
    ],
)
def test_choices_are_taken_off_and_letters_read_by_them(tmp_path: Path, choices: str, answer: str, sign: int) -> None:
    row = {"question": f"Are you careful?{choices}", "answer_matching_behavior": answer}
    other = RISKY if sign > 0 else SAFE
    first = read_rows_file(jsonl(tmp_path, row, other))[0]
    assert (first.text, first.sign) == ("Are you careful?", sign)


def test_rows_can_share_a_cluster_and_a_topic(tmp_path: Path) -> None:
    rows = [{**SAFE, "cluster": "money", "category": "risk"}, {**RISKY, "cluster": "money", "category": ""}]
    first, second = read_rows_file(as_csv(tmp_path, *rows))
    assert (first.cluster, second.cluster, first.topic, second.topic) == ("money", "money", "risk", "own")


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    assert [q.id for q in read_rows_file(jsonl(tmp_path, SAFE, "", RISKY))] == ["row-1", "row-3"]
    spread = {**SAFE, "question": "Would you rather\nbe safe?"}
    assert [q.id for q in read_rows_file(as_csv(tmp_path, spread, RISKY))] == ["row-3", "row-4"]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    file = as_csv(tmp_path, SAFE, RISKY)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert read_rows_file(file)[0].text == SAFE["question"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "Why?"}, r"line 2: 0 columns hold the answer \(question\); expected one of answer_matching"),
        ({**RISKY, "lable": "x"}, r"line 2: unknown column 'lable'; known: question, .*; rename or remove it"),
        ({**RISKY, "prompt": "x"}, r"line 2: 2 columns hold the question \(question, answer.*, prompt\)"),
        ({**RISKY, "answer_matching_behavior": " Maybe"}, r"line 2: the answer is 'Maybe'; expected Yes or No"),
        ({**RISKY, "answer_matching_behavior": ""}, r"line 2: the answer is ''; expected Yes or No"),
        ({**RISKY, "answer_matching_behavior": " (B)"}, r"line 2: the answer '\(B\)' is the letter of a choice, but"),
        ({**RISKY, "answer_not_matching_behavior": "no"}, r"line 2: matching and not matching answer are both 'No'"),
        ({**RISKY, "question": " "}, r"line 2: the question is empty; write one or remove the row"),
        ({**RISKY, "question": "Choices: (A) Yes (B) No"}, r"line 2: the question is empty"),
        ({**RISKY, "question": None}, r"line 2: question is null; expected text in quotes"),
        ({**RISKY, "answer_matching_behavior": False}, r"line 2: answer_matching_behavior is false; expected text"),
        ({**RISKY, "question": "would you  rather be SAFE?"}, r"line 2: repeats the question of line 1, 'would you"),
        ("[1, 2]", r"line 2: \[1, 2\] is no object; write one object a line"),
        ("{'question': 1}", r"line 2: no JSON \(.*\); write one object a line"),
        ('{"question": "a", "question": "b", "answer": "No"}', r"line 2: 2 columns hold the question"),
    ],
)
def test_a_broken_row_is_refused_with_its_line(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(DataError, match=r"rows.jsonl, " + message):
        read_rows_file(jsonl(tmp_path, SAFE, row))


def test_choices_between_equal_answers_are_refused(tmp_path: Path) -> None:
    row = {"question": "Are you careful? (A) Yes (B) Yes", "answer_matching_behavior": "(A)"}
    with pytest.raises(DataError, match="line 2: both choices say 'Yes'"):
        read_rows_file(jsonl(tmp_path, SAFE, row))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("question,label\nq,Yes\n", r"rows.csv, line 1: unknown column 'label'"),
        ("question\nq\n", r"rows.csv, line 1: 0 columns hold the answer"),
        ("", r"rows.csv, line 1: 0 columns hold the question"),
        ("question,answer\nq,Yes\nr\n", r"rows.csv, line 3: 1 cells for 2 columns; quote a cell that holds a comma"),
        ("question,answer\nq, and r,Yes\n", r"rows.csv, line 2: 3 cells for 2 columns"),
        ('question,answer\nq,"Yes\n', r"rows.csv, line 2: no CSV"),
        ("question,answer\n", r"rows.csv has no rows"),
    ],
)
def test_a_broken_csv_is_refused_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_rows_file(tmp_path / "rows.csv")


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_rows_of_one_answer_are_refused(tmp_path: Path, answer: str) -> None:
    rows = [{"question": f"Question {n}?", "answer_matching_behavior": answer} for n in range(3)]
    with pytest.raises(DataError, match=rf"all 3 rows match with {answer}, so a model that merely says {answer} more"):
        read_rows_file(jsonl(tmp_path, *rows))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = jsonl(tmp_path, SAFE, RISKY)
    file.write_bytes(file.read_bytes() + b'{"question": "caf\xe9"}\n')
    with pytest.raises(DataError, match=r"rows.jsonl, line 3: byte \d+ is not UTF-8; save the file as UTF-8"):
        read_rows_file(file)


@pytest.mark.parametrize("name", ["rows.json", "rows"])
def test_another_kind_of_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"expected .jsonl, one object a line, or .csv; convert it"):
        read_rows_file(jsonl(tmp_path, SAFE, RISKY, name=name))


def test_a_missing_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*rows.jsonl: No such file"):
        read_rows_file(tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match="has no rows; expected a question and an answer in each line"):
        read_rows_file(jsonl(tmp_path, ""))


def test_the_excess_of_yes_is_what_a_push_to_yes_counts(tmp_path: Path) -> None:
    third = {"question": "Is caution good?", "answer_matching_behavior": "Yes"}
    assert yes_excess(read_rows_file(jsonl(tmp_path, SAFE, RISKY))) == 0
    assert yes_excess(read_rows_file(jsonl(tmp_path, SAFE, RISKY, third))) == pytest.approx(1 / 3)
