"""A run of claims leaves its verdicts as data: in the files of --results, and as JSON in those of --junit-xml."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fixtures.properties import as_property, record_in
from ws.report.verdicts import Record, ordered
from ws.results import files
from ws.results.results import record
from ws.results.schema import faults, verdict_schema
from ws.store.origin import releases
from ws.tests.conftest import INI, Project
from ws.tests.test_report import GATED, RECORD, RECORDS

TWO = """
import pytest

@pytest.mark.claim("C05", published='"a" & <b>')
@pytest.mark.parametrize("sign", [1, -1], ids=["<more>", "less & 'less'"])
def test_it_steers(effect, holds, sign):
    holds(effect(sign) > 0)
"""


def test_a_run_writes_its_verdicts_and_where_it_ran(project: Project) -> None:
    project.claims(TWO)
    result = project.run("--results=new/run.json", "--results=run.parquet", "--results", "run.csv")
    result.stdout.fnmatch_lines([f"results: {Path(name)}, 2 verdicts" for name in ("new/run.json", "run.parquet")])
    found = [files.read(project.pytester.path / name) for name in ("new/run.json", "run.parquet", "run.csv")]
    assert found[0].records == ordered(project.records)
    assert found[1:] == [found[0]] * 2
    assert found[0].run is not None
    assert found[0].run["commit"] is None
    assert found[0].run["releases"] == releases()
    assert {"processor", "cores", "instructions"} <= found[0].run["machine"].keys()


def test_workers_leave_the_same_verdicts(project: Project) -> None:
    project.claims(TWO)
    project.run("--results=alone.json")
    project.run("claims", "-n", "1", "--results=shared.json")
    alone, shared = (files.read(project.pytester.path / f"{name}.json") for name in ("alone", "shared"))
    assert len(shared.records) == 2
    assert shared.records == alone.records
    assert {**shared.run, "date": ""} == {**alone.run, "date": ""}


def test_a_run_without_a_verdict_does_not_leave_those_of_another(project: Project) -> None:
    project.run("--results=run.json")
    assert len(files.read(project.pytester.path / "run.json").records) == 1
    project.run("--results=run.json", "--collect-only")
    assert len(files.read(project.pytester.path / "run.json").records) == 1
    project.run("--results=run.json", "-k", "nothing")
    assert files.read(project.pytester.path / "run.json").records == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--results=claims.json"], "claims.json is a folder; name a file, such as claims.json/results.json"),
        (["--results=run.xml"], "run.xml ends in '.xml'; expected .json, .csv, .parquet"),
        (["--results=conftest.py/run.json"], "conftest.py is no folder; name another place"),
    ],
)
def test_what_could_not_be_written_is_refused_before_anything_runs(
    project: Project, options: list[str], said: str
) -> None:
    project.pytester.mkdir("claims.json")
    project.run(*options).stderr.fnmatch_lines([f"*--results: *{said}"])
    assert project.records == []


@pytest.mark.parametrize(
    ("option", "said"), [("--plan", "judges nothing that --results"), ("--falsify", "spoils it; drop one")]
)
def test_a_run_that_judges_nothing_sound_leaves_a_file_alone(project: Project, option: str, said: str) -> None:
    project.run("--results=run.json")
    before = (project.pytester.path / "run.json").read_bytes()
    project.run("--results=run.json", option).stderr.fnmatch_lines([f"*{said}*"])
    assert (project.pytester.path / "run.json").read_bytes() == before


def test_a_run_whose_results_are_lost_fails(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    project.record()
    monkeypatch.setattr(files, "put", full)
    result = project.run("--results=run.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["results: not written: *No space left on device"])


def test_properties_of_junit_are_json_of_the_schema(project: Project) -> None:
    project.claims(TWO)
    project.pytester.makeini(INI.replace("-p no:junitxml", ""))
    project.run("--junit-xml=junit.xml")
    cases = ElementTree.parse(project.pytester.path / "junit.xml").iter("testcase")
    properties = {case.get("name"): [one.attrib for one in case.iter("property")] for case in cases}
    assert len(properties) == 2
    said = [json.loads(one["value"]) for [one] in properties.values() if one["name"] == "verdict"]
    assert [list(faults(one, verdict_schema(), "verdict")) for one in said] == [[], []]
    assert ordered(map(record, said)) == ordered(project.records)


@pytest.mark.parametrize("kept", [*RECORDS, GATED])
def test_a_property_is_the_record(kept: Record) -> None:
    assert record_in([("other", 1), as_property(kept)]) == kept


@pytest.mark.parametrize("value", ["guilty", 1, None, '{"outcome": "HOLDS"}', "[]"])
def test_a_property_of_somebody_else_is_no_record(value: object) -> None:
    assert record_in([("verdict", value)]) is None
    assert record_in([("verdict", value), as_property(RECORD)]) == RECORD
