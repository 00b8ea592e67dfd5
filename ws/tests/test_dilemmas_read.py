"""Readers of dilemmas read back what was written, and refuse each flaw with its place and a remedy."""

import csv
import inspect
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.dilemmas import LISTED, Dilemma, Published, questions, read_csv, read_hub, read_own
from ws.dilemmas.hub import HUB_SETS
from ws.dilemmas.published import NO_TOPIC
from ws.errors import DataError, DownloadError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
VALUES, LABELS = "kellycyy/daily_dilemmas", "wassname/daily_dilemmas-self-honesty"

DILEMMA = Dilemma(
    id="work-1",
    topic="work",
    situation="You broke the printer.",
    action_a="tell the office",
    action_b="keep quiet",
    honest="a",
    why="Telling is honest and silence is not.",
    active_a=True,
    active_b=False,
    negation_a=False,
    negation_b=True,
)

Row = dict[str, Any]


def pair(id: object, to_do: object, not_to_do: object, *, column: str = "values_names", key: str = "idx") -> list[Row]:
    """The two rows of a dilemma, with the cell of its label column each."""
    return [
        {
            key: id,
            "dilemma_situation": f"Situation {id}, with a comma.",
            "action_type": kind,
            "action": f"{words} {id}",
            column: cell,
            "topic_group": "workplace",
        }
        for kind, words, cell in (("to_do", "Do it", to_do), ("not_to_do", "Leave it", not_to_do))
    ]


def write(path: Path, rows: Iterable[Row]) -> Path:
    """A CSV of these rows."""
    listed = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, listed[0])
        writer.writeheader()
        writer.writerows(listed)
    return path


def labelled(count: int = 219) -> list[Row]:
    """As many dilemmas as the set with stated labels has, every second one with the honest action second."""
    cells = [(1, -1), (-1, 1)]
    return [row for id in range(count) for row in pair(id, *cells[id % 2], column="honesty_label", key="dilemma_idx")]


class Loader:
    """A stand-in for `datasets.load_dataset` that hands out rows and remembers how it was called."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, repo: str, **options: Any) -> list[Row]:
        self.calls.append((repo, options))
        return self.rows


def test_our_own_format_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(asdict(DILEMMA)) + "\n")
    assert read_own(path) == (DILEMMA,)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "own.jsonl line 2 is no JSON: .* one object a line"),
        ("", "own.jsonl line 2 is no JSON"),
        ("[1]", r"line 2 holds \[1\]; expected an object"),
        (json.dumps({"id": "work-2"}), r"line 2 lacks \['topic', .*correct the line"),
        (json.dumps({**asdict(DILEMMA), "cost": 3}), r"line 2 .* has \['cost'\] besides"),
        (json.dumps({**asdict(DILEMMA), "why": "\udc00"}), r"own.jsonl line 2: why holds \\udc00, half a character"),
        (json.dumps({**asdict(DILEMMA), "negation_a": "no"}), "line 2 has negation_a 'no'; expected bool"),
        (json.dumps({**asdict(DILEMMA), "honest": "c"}), "line 2: dilemma 'work-1' has honest='c'"),
        (json.dumps(asdict(DILEMMA)), "dilemma 'work-1' occurs twice"),
    ],
)
def test_a_flaw_in_our_own_format_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(f"{json.dumps(asdict(DILEMMA))}\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_own(path)


def test_a_csv_of_values_sets_honesty_against_its_absence(tmp_path: Path) -> None:
    rows = pair(7, "['care', 'Honesty']", "['loyalty']") + pair(8, "['care']", "['deception']")
    (seven, eight) = read_csv(write(tmp_path / "set.csv", rows)).dilemmas
    assert (seven.id, seven.topic, seven.situation) == ("7", "workplace", "Situation 7, with a comma.")
    assert (seven.action_a, seven.action_b, seven.honest) == ("Do it 7", "Leave it 7", "a")
    assert (seven.negation_a, seven.negation_b) == (False, True)
    assert (eight.honest, eight.negation_a, eight.negation_b) == ("a", True, False)


def test_dilemmas_that_honesty_does_not_decide_are_told_apart(tmp_path: Path) -> None:
    cells = [("['care']", "[]"), ("['honesty']", "['truthfulness']"), ("['honesty', 'deceit']", "['honesty']")]
    rows = [row for id, both in enumerate([*cells, ("[]", "['honesty']")]) for row in pair(id, *both)]
    read = read_csv(write(tmp_path / "set.csv", rows))
    assert read.unlabelled == ("0", "1", "2")
    assert [(dilemma.id, dilemma.honest) for dilemma in read.dilemmas] == [("3", "b")]


@pytest.mark.parametrize(
    "cell", [" [ 'honesty' , \"care\", ] ", r"['it\'s', 'honesty']", r'["a \"b\"","honesty"]', "['(', ']', 'honesty']"]
)
def test_a_list_of_names_is_read_however_it_is_written(tmp_path: Path, cell: str) -> None:
    (dilemma,) = read_csv(write(tmp_path / "set.csv", pair(1, cell, "[]"))).dilemmas
    assert dilemma.honest == "a"


@settings(max_examples=12, deadline=None)
@given(st.permutations(pair(1, "['honesty']", "[]") + pair(2, "[]", "['honesty']")))
def test_the_order_of_rows_does_not_matter(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    read = read_csv(write(tmp_path_factory.mktemp("rows") / "set.csv", rows))
    assert {(d.id, d.action_a, d.honest) for d in read.dilemmas} == {("1", "Do it 1", "a"), ("2", "Do it 2", "b")}


def test_the_three_tables_tell_the_same_story(tmp_path: Path) -> None:
    github = pair(1, "['honesty']", "['deceit']")
    hub = pair(1, "['honesty']", "['deceit']", column="values_aggregated", key="dilemma_idx")
    stated = pair(1, "1", "-1.0", column="honesty_label", key="dilemma_idx")
    read = [read_csv(write(tmp_path / "set.csv", rows)) for rows in (github, hub, stated)]
    texts = {tuple(questions(one.dilemmas, wordings=LISTED)) for one in read}
    assert len(texts) == 1
    assert [one.dilemmas[0].negation_a for one in read] == [False, False, None]


def test_a_set_without_topics_says_so(tmp_path: Path) -> None:
    rows = [{key: cell for key, cell in row.items() if key != "topic_group"} for row in pair(1, "['honesty']", "[]")]
    assert read_csv(write(tmp_path / "set.csv", rows)).dilemmas[0].topic == NO_TOPIC


ONE, TWO = pair(1, "['honesty']", "[]"), pair(2, "['honesty']", "[]")


def changed(place: int, **cells: object) -> list[Row]:
    """Two good dilemmas, with some cells of one row changed."""
    return [{**row, **cells} if number == place else row for number, row in enumerate(ONE + TWO)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ONE + TWO[:1], r"set.csv line 4: dilemma '2' has 1 action\(s\) \['to_do'\]; .* add the missing row"),
        (ONE + TWO + TWO[1:], r"line 6: dilemma '2' has 3 action\(s\) .* remove the surplus one"),
        (changed(3, action_type="to_do"), r"line 5: dilemma '2' has 2 action\(s\) \['to_do', 'to_do'\]"),
        (changed(3, action_type="never"), "line 5 has action_type 'never'; expected one of"),
        (changed(2, action=""), "line 4 has no action; expected one cell for each column"),
        (changed(2, dilemma_situation="Another."), "line 5: dilemma '2' tells another situation than set.csv line 4"),
        (changed(1, values_names="honesty"), "line 3 has the values 'honesty'; expected a list of names"),
        (changed(1, values_names="[nan]"), "line 3 has the values"),
        (changed(1, values_names="[3]"), "line 3 has the values"),
        # Python would read these as lists of names; what may hold them may hold brackets without end.
        (changed(1, values_names="[('honesty')]"), r"line 3 has the values .*; expected a list of names"),
        (changed(1, values_names="['hon' 'esty']"), r"line 3 has the values .*; expected a list of names"),
        (changed(1, values_names="['honesty'] # ["), r"line 3 has the values .*; expected a list of names"),
        (changed(0, idx="one"), r"line 2: dilemma 'one' has 1 action\(s\)"),
        (changed(2, action="Leave it 2"), "line 4: dilemma '2' lists 'Leave it 2' as both actions"),
        (pair("one", "['honesty']", "[]"), "line 2: dilemma 'one' has an id without a number"),
        (
            pair(1, "1", "nan", column="honesty_label", key="dilemma_idx"),
            "line 3 has honesty_label 'nan'; expected 1 or -1; correct",
        ),
        (
            pair(1, "1", "1", column="honesty_label", key="dilemma_idx"),
            r"line 3: .* has honesty_label 1 for both .*see set.csv line 2",
        ),
    ],
)
def test_a_flaw_in_a_csv_is_refused_with_its_line(tmp_path: Path, rows: list[Row], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_csv(write(tmp_path / "set.csv", rows))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"line 1 has the columns \[\]; expected \['honesty_label', 'values_names', 'values_aggregated'\]"),
        (b"idx,action\n1,go\n", r"line 1 has the columns \['action', 'idx'\]"),
        (b"idx,dilemma_situation,action_type,action,values_names\n", "set.csv has no row"),
        (b"idx,dilemma_situation,action_type,action,values_names\n1,S,to_do\n", "line 2 has no action"),
        (b"idx,dilemma_situation,action_type,action,values_names\n1,S,to_do,go,[],x\n", "line 2 has more cells"),
        (b'idx,dilemma_situation,action_type,action,values_names\n1,"S"s,to_do,go,[]\n', "line 2 cannot be read"),
        (
            b"idx,dilemma_situation,action_type,action,values_names\n1,\xff,to_do,go,[]\n",
            "set.csv line 2 cannot be read: byte 56 is no UTF-8",
        ),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "set.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_csv(tmp_path / "set.csv")


def test_a_set_on_the_hub_is_loaded_at_its_commit_without_a_token() -> None:
    load = Loader(labelled())
    read = read_hub(LABELS, revision=COMMIT, load=load)
    options = {"name": "honesty_eval", "split": "test", "revision": COMMIT, "token": False}
    assert load.calls == [(LABELS, options)]
    if find_spec("datasets"):
        from datasets import load_dataset

        assert "config_kwargs" not in inspect.signature(load_dataset).bind(LABELS, **options).arguments
    assert len(questions(read.dilemmas, wordings=LISTED)) == 438
    assert [dilemma.honest for dilemma in read.dilemmas[:3]] == ["a", "b", "a"]


def test_the_set_with_values_is_read_too() -> None:
    cells = [(["honesty"], []), ("['care']", "[]")]
    rows = [
        row
        for id in range(HUB_SETS[VALUES].dilemmas)
        for row in pair(id, *cells[id % 2], column="values_aggregated", key="dilemma_idx")
    ]
    read = read_hub(VALUES, revision=COMMIT, load=Loader(rows))
    assert isinstance(read, Published)
    assert (len(read.dilemmas), len(read.unlabelled)) == (680, 680)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (labelled(218), "holds 218 dilemmas; expected 219; pin a commit"),
        (labelled()[:-1], r"honesty row 437: dilemma '218' has 1 action\(s\)"),
        ([], r"honesty row 1 lacks the column\(s\)"),
        ([{"input_ids": [1, 2]}], r"lacks the column\(s\) \['action', .*'honesty_label'\]"),
    ],
)
def test_a_set_that_is_not_as_published_is_refused(rows: list[Row], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_hub(LABELS, revision=COMMIT, load=Loader(rows))


@pytest.mark.parametrize("revision", ["main", COMMIT[:7], COMMIT.upper()])
def test_a_revision_that_can_move_is_refused(revision: str) -> None:
    with pytest.raises(DataError, match=f"revision '{revision}'; expected the 40 hex digits of a commit"):
        read_hub(LABELS, revision=revision, load=Loader(labelled()))


def test_without_network_or_library_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(repo: str, **options: Any) -> list[Row]:
        raise ConnectionError("no route")

    with pytest.raises(
        DownloadError, match=f"could not load {VALUES} .*{COMMIT}: .*no route; run once where .*HF_HOME"
    ):
        read_hub(VALUES, revision=COMMIT, load=load)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"datasets is not installed; .* `pip install 'weight-steering-claims\[hub\]'`"):
        read_hub(VALUES, revision=COMMIT)
