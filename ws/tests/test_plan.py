"""A run of claims begins with what it is about to do."""

import json

import pytest

from ws.store import progress
from ws.tests.conftest import Project, conftest_with

CLAIMS = """
import pytest

@pytest.mark.claim("C05")
@pytest.mark.parametrize("measure", ["raw", "written"])
def test_it_steers(effect, holds, measure):
    holds(effect() > 0)

@pytest.mark.claim("C07")
def test_it_pays(effect, holds):
    holds(effect() > 0)
"""


@pytest.fixture
def planned(project: Project) -> Project:
    """A project of three cases of two claims, two of which have a record that names what they were read from."""
    project.claims(CLAIMS)
    project.pytester.makeconftest(conftest_with("plan"))
    project.record()
    [pays] = project.pytester.path.rglob("test_it_pays.json")
    pays.unlink()
    for name, keys in (("raw", ["a", "b"]), ("written", ["b", "c"])):
        [file] = project.pytester.path.rglob(f"test_it_steers*{name}*.json")
        file.write_text(json.dumps(json.loads(file.read_text()) | {"keys": keys}))
    return project


def plan(project: Project, *args: str) -> list[str]:
    return [line for line in project.run(*args).stdout.lines if line.startswith("plan: ")]


def test_what_the_store_lacks_is_to_be_built(planned: Project) -> None:
    (planned.store / "Rows" / "b").mkdir(parents=True)
    assert plan(planned) == ["plan: 3 cases of 2 claims; 2 of 3 tables of their records to build; 1 without a record"]
    for key in ("a", "c"):
        (planned.store / "Rows" / key).mkdir()
    assert plan(planned, "-k", "steers") == ["plan: 2 cases of 1 claim; 3 tables of their records at hand"]


def test_other_seeds_read_other_tables(planned: Project) -> None:
    assert plan(planned, "--seeds", "2", "-k", "pays") == ["plan: 1 case of 1 claim"]


def test_nothing_is_planned_where_nothing_runs(planned: Project) -> None:
    assert plan(planned, "--collect-only") == []
    assert plan(planned, "-k", "nothing") == []


def test_the_live_line_counts_what_was_planned(planned: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[frozenset[str]] = []
    monkeypatch.setattr(progress.builds, "begin", lambda expected=(): begun.append(frozenset(expected)))
    planned.run("-k", "raw")
    assert frozenset({"a", "b"}) in begun
