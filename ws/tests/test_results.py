"""Verdicts as data: they follow the published schema, and read back as the records they were written from."""

import json
import os
import re
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ws import cli
from ws.errors import DataError
from ws.report.verdicts import Record, ordered
from ws.results import files
from ws.results.columns import Column, columns
from ws.results.results import Results, document
from ws.results.schema import faults, kinds, schema, text, verdict_schema
from ws.stats.verdict import Outcome
from ws.store.origin import KEYED, NAMED
from ws.tests.documents import DOCS, ROOT, recorded_verdicts
from ws.tests.test_report import AT_ISO_KL, AT_ONE, GATED, RECORD, RECORDS

RUN = {
    "commit": None,
    "machine": {"processor": "a processor", "cores": 2, "instructions": "AVX2"},
    "releases": {"python": "3.11.7", "torch": "2.14.1"},
    "package": {"version": "0.2.0", "commit": "c0ffee", "uncommitted": True},
    "date": "2026-11-29T15:24:09+00:00",
}
SEVERAL = [*RECORDS, AT_ONE, AT_ISO_KL, replace(RECORD, recorded=RUN, snapshot="0.12 -> 0.34", test="test_recorded")]


def back(results: Results, ending: str) -> Results:
    """Results, written and read again."""
    form = files.FORMS[ending]
    return files.from_document(form.read(form.write(results)), "a file")


@pytest.mark.parametrize("ending", files.FORMS)
@pytest.mark.parametrize("run", [None, RUN], ids=["recorded", "run"])
def test_what_was_recorded_reads_back_as_it_was(ending: str, run: dict[str, Any] | None) -> None:
    results = Results([*SEVERAL, *recorded_verdicts()[:20]], run)
    found = back(results, ending)
    assert found.records == ordered(results.records)
    assert found.run == run


WORDS = st.text(max_size=8)
SOME = st.text(min_size=1, max_size=8)
NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
LISTS = st.lists(WORDS, max_size=3)
SPREAD = st.fixed_dictionaries({"seeds": st.lists(FINITE, max_size=3), "rest": FINITE, "clusters": st.integers(0, 9)})
ORIGIN = st.fixed_dictionaries(
    {
        "commit": st.none() | SOME,
        "machine": st.fixed_dictionaries({"processor": WORDS, "cores": st.integers(1, 9)}, optional={"gpu": SOME}),
        "releases": st.fixed_dictionaries({}, optional={"numpy": SOME}),
        "date": SOME,
    },
    optional={"uncommitted": st.booleans(), "package": st.fixed_dictionaries({"version": SOME, "commit": st.none()})},
)
FIELDS = st.fixed_dictionaries(
    dict.fromkeys(("claim", "test", "case", "model", "relation", "part", "needs", "published", "snapshot"), WORDS)
    | dict.fromkeys(("measure", "footing"), st.none() | SOME)
    | dict.fromkeys(("value", "low", "high", "threshold", "matters", "noise", "smallest"), NUMBER)
    | dict.fromkeys(("gates", "keys", "beside"), LISTS)
    | {
        "random_weights": st.booleans(),
        "n_rows": st.integers(0, 10**12),
        "p_holds": FINITE,
        "leaves": st.lists(st.lists(NUMBER, min_size=2, max_size=2), max_size=2),
        "spreads": st.lists(st.lists(SPREAD, max_size=2), max_size=2),
        "recorded": st.just({}) | ORIGIN,
    }
)


@pytest.mark.parametrize("ending", files.FORMS)
@given(drawn=st.lists(FIELDS, min_size=1, max_size=2), run=st.none() | ORIGIN)
@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_any_record_reads_back_as_it_was(ending: str, drawn: list[dict[str, Any]], run: dict[str, Any] | None) -> None:
    records = [replace(RECORD, **one) for one in drawn]
    found = back(Results(records, run), ending)
    assert found.records == ordered(records)
    assert found.run == run


@pytest.mark.parametrize("ending", files.FORMS)
def test_the_same_verdicts_make_the_same_bytes_in_any_order(ending: str) -> None:
    write = files.FORMS[ending].write
    assert write(Results(SEVERAL, RUN)) == write(Results(SEVERAL[::-1], dict(RUN)))


@pytest.mark.parametrize("ending", files.FORMS)
def test_a_run_without_a_verdict_is_a_file_without_one(ending: str) -> None:
    assert back(Results([]), ending) == Results([])


def test_the_schema_has_every_field_of_a_record_in_its_order() -> None:
    named = ["version", *(field.name for field in fields(Record))]
    assert sorted(verdict_schema()["properties"]) == sorted(named)
    assert verdict_schema()["required"] == list(verdict_schema()["properties"])
    assert verdict_schema()["properties"]["outcome"]["enum"] == list(Outcome)


def test_the_schema_names_the_libraries_that_are_recorded() -> None:
    assert set(verdict_schema()["properties"]["versions"]["properties"]) == set(KEYED)
    assert set(schema()["$defs"]["origin"]["properties"]["releases"]["properties"]) == {"python", *NAMED}


def test_every_value_is_described_and_every_number_has_a_unit() -> None:
    assert [column.name for column in columns() if not column.asked["description"].endswith(".")] == []
    assert [column.name for column in columns() if _is_number(column) and not column.asked.get("unit")] == []


def _is_number(column: Column) -> bool:
    return column.kind in ("number", "integer") and column.name != "version"


def test_the_schema_of_the_documents_is_the_one_that_is_installed() -> None:
    assert (DOCS / "results-1.schema.json").read_text(encoding="utf-8") == text()


def changed(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """A sound document with another value in one place; `...` takes it away."""
    said = json.loads(files.to_json(Results(SEVERAL, RUN)))
    *above, last = path
    place: Any = said
    for name in above:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return said


WRONG: dict[str, tuple[tuple[str | int, ...], object]] = {
    "no-number": (("verdicts", 0, "value"), "1"),
    "no-integer": (("verdicts", 0, "n_rows"), 1.5),
    "truth-for-a-number": (("verdicts", 0, "n_rows"), True),
    "no-truth": (("verdicts", 0, "rows_alone"), 1),
    "no-text": (("verdicts", 0, "claim"), None),
    "no-verdict": (("verdicts", 0, "outcome"), "MAYBE"),
    "no-list": (("verdicts", 0, "gates"), "gate"),
    "no-words": (("verdicts", 0, "gates"), [1]),
    "leaf": (("verdicts", 0, "leaves"), [[1.0]]),
    "spread": (("verdicts", 0, "spreads"), [[{"seeds": [], "rest": 0.0}]]),
    "missing": (("verdicts", 1, "p_holds"), ...),
    "unknown": (("verdicts", 1, "mood"), "good"),
    "machine": (("run", "machine", "cores"), "two"),
    "run": (("run",), []),
    "verdicts": (("verdicts",), {}),
    "version": (("verdicts", 0, "version"), 2),
}


@pytest.mark.parametrize(("path", "value"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_the_schema_is_found_and_named(path: tuple[str | int, ...], value: object) -> None:
    [fault] = faults(changed(path, value), schema(), "it")
    assert str(path[-1]) in fault


def test_a_sound_document_has_no_fault() -> None:
    assert list(faults(document(Results(SEVERAL, RUN)), schema(), "it")) == []


def test_the_reader_of_json_schema_agrees() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed; it is in the group dev")
    published = json.loads(text())
    jsonschema.Draft202012Validator.check_schema(published)
    valid = jsonschema.Draft202012Validator(published).is_valid
    assert valid(json.loads(files.to_json(Results([*SEVERAL, *recorded_verdicts()[:20]], RUN))))
    assert [name for name, (path, value) in WRONG.items() if valid(changed(path, value))] == []


def test_pandas_reads_tables_with_their_numbers_and_lists(tmp_path: Path) -> None:
    records = ordered([RECORD, GATED])
    for name in ("a.csv", "a.parquet"):
        files.write(Results(records, RUN), tmp_path / name)
    csv, parquet = pd.read_csv(tmp_path / "a.csv"), pd.read_parquet(tmp_path / "a.parquet")
    for table in (csv, parquet):
        assert table["value"].isna().tolist() == [record.value is None for record in records]
        assert table["outcome"].tolist() == [record.outcome for record in records]
        assert table["p_holds"].tolist() == [record.p_holds for record in records]
        assert set(table["run.machine.processor"]) == {"a processor"}
    assert [list(gates) for gates in parquet["gates"]] == [record.gates for record in records]
    assert [json.loads(gates) for gates in csv["gates"]] == [record.gates for record in records]


def test_a_table_that_pandas_wrote_again_is_read(tmp_path: Path) -> None:
    first, again = tmp_path / "a.csv", tmp_path / "b.csv"
    files.write(Results(SEVERAL), first)
    pd.read_csv(first, keep_default_na=False).to_csv(again, index=False)
    assert files.read(again).records == ordered(SEVERAL)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "new" / "results.json"
    assert files.write(Results([RECORD]), out) == f"{out}, 1 verdict"
    with out.open() as reading:
        files.write(Results([RECORD]), out)
        assert os.fstat(reading.fileno()).st_ino != out.stat().st_ino
    (tmp_path / "plain").touch()
    assert out.stat().st_mode == (tmp_path / "plain").stat().st_mode

    def full(self: Path, content: bytes) -> None:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        files.write(Results(SEVERAL), out)
    assert files.read(out).records == [RECORD]
    assert list(out.parent.iterdir()) == [out]


SOUND = files.to_json(Results([RECORD])).decode()
SOUND_TABLE = files.to_csv(Results([RECORD])).decode()
UNREADABLE = {
    "text.json": ("no JSON", "cannot be read (Expecting value"),
    "other.json": ("[]", "holds no results; expected what `ws results`"),
    "later.json": (SOUND.replace('"version": 1', '"version": 2', 1), "is of version 2, where this release reads"),
    "nan.json": (SOUND.replace("12.25", "NaN"), "NaN is no number of JSON"),
    "odd.json": (SOUND.replace("12.25", '"much"'), 'verdicts[0].value is "much"; expected number or null'),
    "odd.csv": (SOUND_TABLE.replace("12.25", "much"), "line 2, cannot be read (value is 'much'; expected number"),
    "less.csv": (SOUND_TABLE.replace("value,", "worth,", 1), "has no column 'value', which version 1 has"),
    "more.csv": (
        re.sub("^(?=.)", "mood,", SOUND_TABLE, flags=re.MULTILINE),
        "has a column 'mood', which version 1 has not",
    ),
    "empty.csv": ("", "cannot be read (it has no column 'version'"),
    "text.parquet": ("no Parquet", "Parquet magic bytes not found"),
    "notes.txt": ("", "ends in '.txt'; expected .json, .csv, .parquet"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_of_something_else_is_refused_in_words(name: str, tmp_path: Path) -> None:
    content, said = UNREADABLE[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=re.escape(said)):
        files.read(tmp_path / name)


def test_a_record_that_the_schema_does_not_know_is_not_written() -> None:
    with pytest.raises(DataError, match=r"C05.versions has 'jax', which version 1 does not know; record it anew"):
        files.to_json(Results([replace(RECORD, versions={"jax": "1.0"})]))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """`ws results` in a folder where two cases are recorded; returns what it prints."""
    monkeypatch.chdir(tmp_path)
    for record in (RECORD, replace(RECORD, claim="C03", test="test_other")):
        file = tmp_path / "snapshots" / record.model / f"{record.claim}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(record.to_snapshot()))

    def run(*options: str) -> str:
        where = [] if {"--schema", "--run"} & set(options) else ["--snapshots", "snapshots"]
        tests = [] if "--schema" in options else ["--tests", str(ROOT / "claims")]
        monkeypatch.setattr(sys, "argv", ["ws", "results", *options, *where, *tests])
        cli.main()
        return capsys.readouterr().out

    return run


def test_ws_results_prints_and_writes_what_is_recorded(command: Any, tmp_path: Path) -> None:
    recorded = replace(RECORD, snapshot="recorded")
    assert files.from_document(json.loads(command("--claims", "c05")), "it").records == [recorded]
    assert command("--out", "new/all.csv") == f"{Path('new/all.csv')}, 2 verdicts\n"
    assert command("--run", "new/all.csv", "--claims", "C05", "--out", "one.parquet") == "one.parquet, 1 verdict\n"
    assert files.read(tmp_path / "one.parquet").records == [recorded]
    assert command("--schema") == text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "results.txt"], "results.txt ends in '.txt'; expected .json, .csv, .parquet"),
        (
            ["--out", "snapshots/a.json/b.json"],
            "cannot be written, as .*/snapshots/a.json is no folder; name another place",
        ),
        (["--run", "none.json"], "no file none.json; expected a file of"),
        (["--run", "run.json", "--models", "smollm"], "unknown model of run.json 'smollm'; .*did you mean"),
        (["--run", "run.json", "--behavior", "mine.toml"], "--run run.json has its verdicts; drop --behavior"),
        (["--claims", "C99"], "unknown claim 'C99'"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    command: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], said: str
) -> None:
    files.write(Results([RECORD]), tmp_path / "run.json")
    (tmp_path / "snapshots" / "a.json").touch()
    with pytest.raises(SystemExit, match=r"^2$"):
        command(*options)
    assert re.search(said, capsys.readouterr().err)
    assert sorted(os.listdir(tmp_path)) == ["run.json", "snapshots"]


def test_kinds_of_constants_and_choices_are_those_of_their_values() -> None:
    assert kinds({"const": 1}) == ["integer"]
    assert kinds({"enum": ["a", "b"]}) == ["string"]
