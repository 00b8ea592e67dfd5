"""Files of `pytest --results FILE` are compared like everything else that has verdicts, and with it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.cases import Case
from fixtures.snapshots import file_stem
from ws.changes import files as sides
from ws.changes.cases import Cause
from ws.changes.commands import compared
from ws.changes.compare import Diff, diff
from ws.changes.sides import Place
from ws.errors import CommandError, DataError
from ws.report.verdicts import Record
from ws.results import files
from ws.results.results import Results
from ws.tests.conftest import Project
from ws.tests.test_changes import MACHINE, Repository, repository
from ws.tests.test_report import RECORD

__all__ = ["repository"]

RUN: dict[str, Any] = {"commit": "c" * 40, "machine": MACHINE, "releases": {"python": "3.11.7", "numpy": "2.4.6"}}
CASES = [replace(RECORD, case=name, keys=["1" * 32], recorded={}, snapshot="same") for name in ("a", "b", "c")]

Wrote = Callable[..., str]


@pytest.fixture
def wrote(repository: Repository, tmp_path: Path) -> Wrote:
    """Writes the results of a run to a file here, and returns its name."""

    def write(name: str, records: list[Record], **run: Any) -> str:
        date = {"date": "2026-11-30T00:00:00+00:00"}
        files.write(Results(records, {**RUN, **date, **run}), tmp_path / name)
        return name

    return write


def between(repository: Repository, old: str, new: str | None) -> Diff:
    place = Place(repository.tests)
    return diff(place.side(old), place.now() if new is None else place.side(new), place)


def moved(found: Diff) -> list[str]:
    return [one.new.name.removeprefix(f"{RECORD.test}") for one in found.moved]


@pytest.mark.parametrize("ending", files.FORMS)
def test_two_runs_are_compared_case_by_case(repository: Repository, wrote: Wrote, ending: str) -> None:
    first, *others = CASES
    machine = {**MACHINE, "processor": "two"}
    other = replace(first, outcome="REFUTED", value=12.0, leaves=[[0.7, 0.1]])
    old, new = wrote("old.json", CASES), wrote(f"new{ending}", [other, *others], machine=machine)
    found = between(repository, old, new)
    assert moved(found) == ["[a]"]
    assert Cause("machine", "processor one -> two") in found.moved[0].causes
    text = compared(old, new, repository.tests, store=Path("none"))
    assert f"- {old}: verdicts in the file {old}" in text
    assert "smollm2-135m: 3 cases on both sides; 1 turned, 2 as before" in text
    assert "nothing moved" in compared(old, f"./{old}", repository.tests, store=Path("none"))


def test_a_run_is_compared_with_what_is_recorded(repository: Repository, wrote: Wrote) -> None:
    for record in CASES:
        repository.record(**{**record.to_snapshot(), "recorded": RUN})
    run = wrote("run.json", [replace(CASES[0], p_holds=0.02), CASES[1]])
    for found in (between(repository, run, None), between(repository, "smollm2-135m", run)):
        assert moved(found) == ["[a]"]
        # What a run did not select has not moved, and tells no sibling anything.
        assert not [cause for one in found.moved for cause in one.causes if cause.what == "siblings"]
        assert [one[1:] for one in found.only] == [" smollm2-135m: 1 case"]
        assert (found.models[0].appeared, found.models[0].gone) == ((), ())


def test_a_run_on_another_behavior_is_told_of(repository: Repository, wrote: Wrote) -> None:
    other = [replace(record, behavior="patience@12345678", value=1.0) for record in CASES]
    found = between(repository, wrote("old.json", CASES), wrote("new.json", other))
    told = Cause("behavior", "those of the claims -> patience@12345678")
    assert [told in one.causes for one in found.moved] == [True] * 3


def test_a_case_has_the_name_of_its_snapshot() -> None:
    name = 'lora/raw:"a"\\b*?<x>|\n\x00\u202eé'
    case = Case("C05", "", "m", "test_it", name, None, None)
    assert sides._stem(f"test_it[{name}]") == file_stem(case)


def test_a_file_of_something_else_is_refused(repository: Repository, wrote: Wrote, tmp_path: Path) -> None:
    place = Place(repository.tests)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "other.json").write_text("{}")
    with pytest.raises(DataError, match=r"run/other.json holds no results"):
        place.side("run/other.json")
    with pytest.raises(DataError, match=r"notes.txt ends in '.txt'; expected .json, .csv, .parquet"):
        place.side("notes.txt")
    with pytest.raises(
        DataError, match=r"other.json holds no results; expected what `ws results` or `pytest --results"
    ):
        place.side("other.json")
    with pytest.raises(DataError, match=r"none.json has no verdicts: its run reached none; name a file"):
        place.side(wrote("none.json", []))
    with pytest.raises(
        DataError, match=rf"twice.json has two verdicts of {RECORD.test}\[a\] on smollm2-135m; expected"
    ):
        place.side(wrote("twice.json", [CASES[0], replace(CASES[0], behavior="patience@12345678")]))
    with pytest.raises(
        CommandError, match=r"nothing is called 'gone.json', .* name a commit, .* a file of `pytest --result"
    ):
        place.side("gone.json")


def test_a_file_with_the_name_of_a_model_has_to_be_told_apart(repository: Repository, wrote: Wrote) -> None:
    repository.record("a", model="run.json")
    wrote("run.json", CASES)
    with pytest.raises(CommandError, match=r"run.json is the file ./run.json and the model in .*; say which: ./run"):
        Place(repository.tests).side("run.json")
    assert len(Place(repository.tests).side("./run.json").cases) == 3


def test_a_real_run_agrees_with_what_it_was_compared_with(project: Project) -> None:
    project.record("claims")
    project.run("claims", "--results", "run.csv")
    tests, run = project.pytester.path / "claims", str(project.pytester.path / "run.csv")
    for old, new in ((run, None), ("smollm2-135m", run)):
        assert "1 cases on both sides; nothing moved" in compared(old, new, tests, store=project.store)
    project.run("claims", "--results", "other.json", EFFECT="-1")
    text = compared(run, str(project.pytester.path / "other.json"), tests, store=project.store)
    assert "1 HOLDS -> REFUTED: 1 C05" in text
