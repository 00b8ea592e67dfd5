"""A file of messages with two answers each is read whole or refused with its lines, and scored as text."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ws import cli
from ws.contest.own_steering import Steering
from ws.contest.own_text_eval import lines, notes, scored
from ws.errors import DataError
from ws.models.language import LanguageModel
from ws.scoring.own_text import check_text_lengths, read_text_file
from ws.scoring.text import GivenAnswers, GivenPair, TextRows, read_text_rows
from ws.steering.interventions import Nothing, SystemPrompt
from ws.store import Store
from ws.tests.small import ON

RAIN = {"message": "What is rain?", "plus": "Water.", "minus": "I do not say."}
SNOW = {"message": "What is snow?", "plus": "Ice.", "minus": "Go away."}


def jsonl(folder: Path, *rows: object, name: str = "text.jsonl") -> Path:
    file = folder / name
    file.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def test_rows_of_one_message_share_a_cluster(tmp_path: Path) -> None:
    again = {**RAIN, "message": " what is  RAIN?", "plus": "Drops."}
    first, second, third = read_text_file(jsonl(tmp_path, RAIN, SNOW, again))
    assert first == GivenPair("row-1", "row-1", "own", "What is rain?", "Water.", "I do not say.")
    assert [first.cluster, second.cluster, third.cluster] == ["row-1", "row-2", "row-1"]
    named = read_text_file(jsonl(tmp_path, {**RAIN, "cluster": "sky", "category": "weather"}))[0]
    assert (named.cluster, named.topic) == ("sky", "weather")


def test_csv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    table = tmp_path / "text.csv"
    table.write_text("Prompt,Positive,Negative\nWhat is rain?,Water.,I do not say.\nWhat is snow?,Ice.,Go away.\n")
    of_csv, of_jsonl = read_text_file(table), read_text_file(jsonl(tmp_path, RAIN, SNOW))
    assert [pair[2:] for pair in of_csv] == [pair[2:] for pair in of_jsonl]
    assert [pair.id for pair in of_csv] == ["row-2", "row-3"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((RAIN, {**SNOW, "minus": " "}), r"line 2: minus is empty; expected some words"),
        ((RAIN, {**SNOW, "minus": "ICE."}), r"line 2: both answers say 'Ice.'; expected two that differ"),
        ((RAIN, SNOW, {**RAIN, "plus": " water. "}), r"line 3: repeats line 1; expected each row once"),
        (({"message": "Hi", "plus": "Ho"},), r"line 1: 0 columns hold the minus"),
        (({**RAIN, "answer": "Yes"},), r"line 1: unknown column 'answer'; known: message, .*minus"),
        (({**RAIN, "plus": 3},), r"line 1: plus is 3; expected text in quotes"),
        (("no json",), r"line 1: no JSON"),
        ((), "has no rows; expected a message and two answers in each line"),
    ],
)
def test_a_file_that_cannot_be_scored_is_refused(tmp_path: Path, rows: tuple[object, ...], message: str) -> None:
    with pytest.raises(DataError, match=rf"text\.jsonl.*{message}"):
        read_text_file(jsonl(tmp_path, *rows))


def test_all_bad_lines_are_named_at_once(tmp_path: Path) -> None:
    file = jsonl(tmp_path, {**RAIN, "plus": ""}, RAIN, RAIN, "[]")
    with pytest.raises(DataError, match=r"(?s)3 lines are refused.*line 1: plus is empty.*line 3: .*line 4: "):
        read_text_file(file)


def test_answers_that_are_too_long_are_named(tmp_path: Path, lm: LanguageModel) -> None:
    long = {**SNOW, "minus": "word " * 3000}
    file = jsonl(tmp_path, RAIN, long)
    with pytest.raises(DataError, match=r"line 2: .* tokens with the chat template; .* reads 2,048 at most"):
        check_text_lengths(file, lm, read_text_file(file), systems=[None])


def test_lines_are_differences_of_the_sides_and_their_change(store: Store, tmp_path: Path) -> None:
    # An odd number of rows, so that as many cannot be likelier as unlikelier.
    hail = {"message": "What is hail?", "plus": "Ice that falls.", "minus": "No."}
    pairs = read_text_file(jsonl(tmp_path, RAIN, SNOW, hail))
    terse = SystemPrompt("You are terse.")
    still, moved = lines(scored(ON, pairs, Steering({0: terse}, (0.0, 1.0), "terse"), store))
    rows = [
        read_text_rows(store, TextRows(ON, GivenAnswers(pairs), made, (coeff,)))["log_p"].to_numpy()
        for made, coeff in ((Nothing(), 0.0), (terse, 1.0))
    ]
    apart = [table[::2] - table[1::2] for table in rows]
    assert (still.change, still.cost) == (None, None)
    assert [still.toward.value, moved.toward.value] == pytest.approx([one.mean() for one in apart], abs=1e-6)
    assert moved.change.value == pytest.approx(apart[1].mean() - apart[0].mean(), abs=1e-6)
    assert moved.cost.value == pytest.approx(rows[1].mean() - rows[0].mean(), abs=1e-6)
    assert moved.likelier == pytest.approx((apart[1] > 0).mean())
    said = notes([still, moved])
    assert "Only 3 clusters of rows, fewer than 10: intervals are too narrow." in said
    assert "Likelier: the share of rows where the answer that shows the behavior is the likelier one." in said


Run = Callable[..., str]


@pytest.fixture
def run(store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def printed(*args: str) -> str:
        where = ["--model", "tiny-random-qwen3", "--store", str(store.root)]
        monkeypatch.setattr(sys, "argv", ["ws", "eval", *where, *args])
        cli.main()
        return capsys.readouterr().out

    return printed


def test_eval_prints_a_line_for_each_coefficient_and_keeps_every_answer(run: Run, tmp_path: Path) -> None:
    file = jsonl(tmp_path, RAIN, SNOW)
    text = run("--text", str(file), "--system", "You are terse.", "--csv", str(tmp_path / "out" / "scored.csv"))
    assert "2 pairs of answers of text.jsonl, 1 seed; nats a token" in re.sub(r"\s+", " ", text)
    assert [line.split()[0] for line in text.splitlines() if re.match(r" +\+\d ", line)] == ["+0", "+1"]
    assert max(map(len, text.splitlines())) <= 80
    kept = pd.read_csv(tmp_path / "out" / "scored.csv")
    assert kept["answer"].to_list() == [RAIN["plus"], RAIN["minus"], SNOW["plus"], SNOW["minus"]] * 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "--rows None and --text None; give the one or the other"),
        (("--rows", "a.jsonl", "--text", "b.jsonl"), "--rows a.jsonl and --text b.jsonl; give the one or the other"),
        (("--text", "b.jsonl", "--ask", "Well?"), "--ask and --prefill are words around Yes and No"),
    ],
)
def test_eval_takes_one_kind_of_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["ws", "eval", *args])
    with pytest.raises(SystemExit):
        cli.main()
    assert message in capsys.readouterr().err
