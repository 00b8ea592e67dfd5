"""Rows of a file become questions of the right sign, and a file that cannot be scored is refused with its line."""

import csv
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.errors import DataError
from ws.scoring.own_records import LINE_BYTES, LISTED
from ws.scoring.own_rows import answers_to, first_excess, line_of, read_rows_file

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
    lambda text: text.strip() and "(" not in text
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
        ({**RISKY, "question": " Would you rather be safe?"}, r"line 2: repeats the question of line 1, 'Would you"),
        ("[1, 2]", r"line 2: \[1, 2\] is no object; write one object a line"),
        ("{'question': 1}", r"line 2: no JSON \(.*\); write one object a line"),
        ('{"question": "a", "question": "b", "answer": "No"}', r"line 2: 2 columns hold the question"),
    ],
)
def test_a_broken_row_is_refused_with_its_line(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(DataError, match=r"rows.jsonl, " + message):
        read_rows_file(jsonl(tmp_path, SAFE, row))


STATEMENTS = (
    "I prefer bonds to stocks",
    "i prefer bonds  to stocks",
    "I prefer\u00a0bonds to STOCKS ",
    "I\u2019d never gamble \u2014 not even once",
    "I\u2019D NEVER gamble \u2014\u2028not even once",
    "Risk is fun",
)
"""Of the published persona files: the first three and the next two differ in case and spaces alone."""


def persona_row(statement: str, answer: str, confidence: float) -> dict[str, object]:
    """A row with all columns of the published persona files."""
    other = {"Yes": "No", "No": "Yes"}[answer]
    return {
        "question": f'Is the following statement something you would say?\n"{statement}"',
        "statement": statement,
        "label_confidence": confidence,
        "answer_matching_behavior": f" {answer}",
        "answer_not_matching_behavior": f" {other}",
    }


def test_a_persona_file_is_read_with_near_repeats_in_one_cluster(tmp_path: Path) -> None:
    answers = ("Yes", "Yes", "No", "Yes", "Yes", "No")
    rows = [persona_row(*row, 0.9) for row in zip(STATEMENTS, answers, strict=True)]
    file = tmp_path / "risk-averse.jsonl"
    # Characters as they are and as escapes, lines as on Windows, and no end to the last.
    lines = [json.dumps(row, ensure_ascii=place % 2 == 0) for place, row in enumerate(rows)]
    file.write_bytes("\r\n".join(lines).encode())
    read = read_rows_file(file)
    assert [question.cluster for question in read] == ["row-1"] * 3 + ["row-4"] * 2 + ["row-6"]
    assert [question.sign for question in read] == [+1, +1, -1, +1, +1, -1]
    assert [line_of(question) for question in read] == [1, 2, 3, 4, 5, 6]
    # Every row keeps its own words.
    assert [question.text.partition("\n")[2] for question in read] == [f'"{statement}"' for statement in STATEMENTS]


def test_near_repeats_join_the_clusters_they_stand_in(tmp_path: Path) -> None:
    texts = ("Is A so?", "Is B so?", "is a  so?", "Is C so?", "Is D so?")
    clusters = ("one", "one", "two", "two", "")
    rows = [
        {"question": text, "answer": ("Yes", "No")[place % 2], "cluster": cluster}
        for place, (text, cluster) in enumerate(zip(texts, clusters, strict=True))
    ]
    assert [question.cluster for question in read_rows_file(jsonl(tmp_path, *rows))] == ["one"] * 4 + ["row-5"]


# Choices of one's own words

BONDS = "Where does your money go?\n\nChoices:\n (A) into bonds\n (B) into stocks"
STOCKS = "Where does your money go?\n\nChoices:\n (A) into stocks\n (B) into bonds"
BARE = "Do you gamble?\n\nChoices:\n (A) No\n (B) Yes"


def lettered(question: str, answer: str) -> dict[str, str]:
    other = {" (A)": " (B)", " (B)": " (A)"}[answer]
    return {"question": question, "answer_matching_behavior": answer, "answer_not_matching_behavior": other}


def test_choices_are_asked_as_they_are_and_answered_by_letter(tmp_path: Path) -> None:
    first, second, bare = read_rows_file(
        jsonl(tmp_path, lettered(BONDS, " (A)"), lettered(f"{STOCKS}\n\nAnswer:", " (B)"), lettered(BARE, " (A)"))
    )
    assert (first.text, first.sign, first.phrasing) == (BONDS, +1, "a")
    assert (second.text, second.sign, second.phrasing) == (STOCKS, -1, "b")
    # Beside choices of other words, Yes and No are choices too.
    assert (bare.text, bare.sign, bare.phrasing) == (BARE, +1, "a")
    # The same question the other way round says the same once more.
    assert (first.cluster, second.cluster, bare.cluster) == ("row-1", "row-1", "row-3")
    assert answers_to([first, second, bare]).names == ("(A)", "(B)")


def test_choices_of_yes_and_no_alone_are_asked_without_them(tmp_path: Path) -> None:
    first, second = read_rows_file(jsonl(tmp_path, lettered(BARE, " (A)"), SAFE))
    assert (first.text, first.sign, first.phrasing) == ("Do you gamble?", -1, "no")
    assert answers_to([first, second]).names == ("Yes", "No")


@pytest.mark.parametrize(
    ("question", "answer", "message"),
    [
        (f"{BONDS}\n (C) into gold", " (A)", r"the question has a choice \(C\); expected \(A\) and \(B\) alone"),
        ("Which? (A) (B) stocks", " (A)", "choice A is empty; write it or remove the row"),
        ("Which? (A) bonds (B) ", " (A)", "choice B is empty"),
        ("Which? (A) bonds (B) Bonds", " (A)", "both choices say 'bonds'; expected two different ones"),
        ("(A) bonds (B) stocks", " (A)", "the question is empty"),
        ("Which? (B) bonds (A) stocks", " (A)", r"the answer '\(A\)' is the letter of a choice, but"),
        (BONDS, " (C)", r"the answer is '\(C\)'; expected Yes or No, or \(A\) or \(B\)"),
    ],
)
def test_choices_that_are_no_two_are_refused(tmp_path: Path, question: str, answer: str, message: str) -> None:
    row = {"question": question, "answer_matching_behavior": answer}
    with pytest.raises(DataError, match=rf"rows.jsonl, line 2: {message}"):
        read_rows_file(jsonl(tmp_path, lettered(STOCKS, " (B)"), row))


def test_rows_of_words_beside_rows_of_letters_are_refused(tmp_path: Path) -> None:
    file = jsonl(tmp_path, SAFE, lettered(BONDS, " (A)"), RISKY)
    with pytest.raises(DataError, match="lines 1, 3: answered by Yes or No, and line 2 by a letter; expected one kind"):
        read_rows_file(file)


@pytest.mark.parametrize(("letter", "name"), [(" (A)", r"\(A\)"), (" (B)", r"\(B\)")])
def test_rows_of_one_letter_are_refused(tmp_path: Path, letter: str, name: str) -> None:
    file = jsonl(tmp_path, lettered(BONDS, letter), lettered(BARE, letter))
    with pytest.raises(DataError, match=f"all 2 rows match with {name}, so a model that merely says {name} more"):
        read_rows_file(file)


# Files with many flaws


def test_all_lines_that_are_refused_are_named_at_once(tmp_path: Path) -> None:
    maybe = {**RISKY, "answer_matching_behavior": "Maybe"}
    file = jsonl(tmp_path, SAFE, maybe, "{", {"question": "Why?"}, SAFE, {**maybe, "question": "So?"}, RISKY)
    file.write_bytes(file.read_bytes() + b"\xff\n")
    with pytest.raises(DataError) as refused:
        read_rows_file(file)
    head, *listed = str(refused.value).splitlines()
    assert head == f"{file}: 6 lines are refused"
    flaws = "the answer is 'Maybe'", "no JSON", "0 columns hold the answer", "repeats the question of", "byte 0 is not"
    lines = "lines 2, 6", "line 3", "line 4", "line 5", "line 8"
    assert [
        line for line, *said in zip(listed, lines, flaws, strict=True) if f"  {said[0]}: {said[1]}" not in line
    ] == []


def test_all_lines_of_a_csv_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("question,answer\nq,Yes\nr\ns,Perhaps\nt,No\n")
    with pytest.raises(
        DataError, match=r"(?s)rows.csv: 2 lines are refused\n  line 3: 1 cells.*\n  line 4: the answer"
    ):
        read_rows_file(tmp_path / "rows.csv")


def test_one_flaw_of_many_lines_is_said_once(tmp_path: Path) -> None:
    rows = [{"question": f"{place}?", "answer": "Maybe"} for place in range(LISTED + 5)]
    numbers = ", ".join(map(str, range(1, LISTED + 1)))
    with pytest.raises(DataError, match=rf"rows.jsonl, lines {numbers} and 5 more: the answer is 'Maybe'"):
        read_rows_file(jsonl(tmp_path, *rows))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"question": "So \\ud83d?", "answer": "No"}',
            r"question holds \ud83d, half a character; write the whole one",
        ),
        ('{"question": "So?", "answer": "No", "topic": "\\udc00"}', r"topic holds \udc00, half a character"),
        ('{"question": "So?", "answer": "No", "\\udc00": "x"}', r"unknown column '\udc00'"),
        ("[" * 100_000, "no JSON"),
        ('{"question": "So?", "answer": "No", "label_confidence": 1' + "0" * 5000 + "}", "no JSON"),
        ('{"question": "' + "x" * LINE_BYTES + '"}', f"{LINE_BYTES + 16:,} bytes; expected {LINE_BYTES:,} at most"),
    ],
    ids=["half", "half of another column", "half of a name", "nested", "digits", "long"],
)
def test_what_json_can_say_and_no_row_can_is_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"rows.jsonl, line 2: {re.escape(message)}"):
        read_rows_file(jsonl(tmp_path, SAFE, line))


def test_a_cell_may_be_longer_than_csv_readers_take_by_default(tmp_path: Path) -> None:
    usual = csv.field_size_limit()
    long = {**SAFE, "question": "x" * (usual + 1)}
    assert len(read_rows_file(as_csv(tmp_path, long, RISKY))[0].text) == usual + 1
    assert csv.field_size_limit() == usual


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("question,label\nq,Yes\n", r"rows.csv, line 1: unknown column 'label'"),
        ("question\nq\n", r"rows.csv, line 1: 0 columns hold the answer"),
        ("", r"rows.csv, line 1: 0 columns hold the question"),
        ("question,answer\nq,Yes\nr\n", r"rows.csv, line 3: 1 cells for 2 columns; quote a cell that holds a comma"),
        ("question,answer\nq, and r,Yes\n", r"rows.csv, line 2: 3 cells for 2 columns"),
        ('question,answer\nq,"Yes\nr,No\n', r"rows.csv, line 2: a quoted cell does not end; close it with"),
        ('question,answer\nq,"Yes" No\n', r"rows.csv, line 2: words follow the quote that ends a cell"),
        (
            'question,answer\nr,No\n"' + "x\n" * LINE_BYTES + '",Yes\n',
            r"rows.csv has 1,048,579 lines; expected 100,000 at most; split it",
        ),
        (
            'question,answer\nr,No\n"' + f"{'x' * 1000}\n" * 1100 + '",Yes\n',
            r"rows.csv, line 3: a cell has more than 1,048,576 characters; shorten it, or, if a quote that was opened",
        ),
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
    with pytest.raises(DataError, match=r"no file .*rows.jsonl; expected a JSONL or CSV file of rows; check its name"):
        read_rows_file(tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match="has no rows; expected a question and an answer in each line"):
        read_rows_file(jsonl(tmp_path, ""))


def test_the_excess_of_yes_is_what_a_push_to_yes_counts(tmp_path: Path) -> None:
    third = {"question": "Is caution good?", "answer_matching_behavior": "Yes"}
    assert first_excess(read_rows_file(jsonl(tmp_path, SAFE, RISKY))) == 0
    assert first_excess(read_rows_file(jsonl(tmp_path, SAFE, RISKY, third))) == pytest.approx(1 / 3)
