"""Runs with --plan and --workers: nothing is built or judged in the one, all that is missing in the other."""

import pytest

# Here, so that the runs within do not import them anew, each with classes of its own.
from ws.plan import asking, building, text  # noqa: F401
from ws.store import progress
from ws.tests.conftest import Project, conftest_with

CLAIMS = """
import os
import pytest
from ws.tests.planned_recipes import Said

@pytest.mark.claim("C05")
@pytest.mark.parametrize("measure", ["raw", "text"])
def test_it_steers(store, effect, holds, measure):
    said = Said("b", after=(Said("a"),))
    store.needs(said)
    assert (store.get(Said(measure, after=(said,))) / "said.txt").read_text() == f"a b {measure}"
    holds(effect() > 0)

@pytest.mark.claim("C07")
def test_it_pays(effect, holds):
    holds(effect() > 0)

def test_it_is_not_there(store, must_not_hold, effect):
    must_not_hold(effect(float(os.environ.get("CONTROL", "-1"))) > 0)
"""


REFUSED = """
import pytest
from ws.tests.planned_recipes import Refused

@pytest.mark.claim("C05")
def test_it_steers(store, model_name):
    store.get(Refused("x"))
"""


@pytest.fixture
def asked(project: Project) -> Project:
    """A project of three cases of two claims; the artifacts of two cases can be built."""
    project.claims(CLAIMS)
    project.pytester.makeconftest(conftest_with("planning", "controls"))
    return project


def test_a_plan_says_what_is_missing_and_builds_nothing(asked: Project) -> None:
    result = asked.run("--plan")
    result.stdout.fnmatch_lines(
        [
            "2 artifacts to build for 4 cases",
            "  Said * 2 *",
            "2 cases may ask for more when some of it is there: test_it_steers",
            "*no tests ran*",
        ]
    )
    assert not (asked.store / "Said").exists()
    assert asked.records == []


def test_workers_build_what_shows_in_turn_and_then_tests_are_judged(
    asked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(progress, "say", lines.append)
    result = asked.run("--workers", "1", "--snapshot-update")
    assert result.parseoutcomes()["passed"] == 4
    said = [" ".join(line.split()[:3]) for line in lines if line.startswith("2 artifacts")]
    assert said == ["2 artifacts to", "2 artifacts built"] * 2
    assert len(list((asked.store / "Said").iterdir())) == 4
    asked.run("--plan").stdout.fnmatch_lines(["nothing to build: all that 4 cases read is there"])


def test_a_build_alone_judges_nothing(asked: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(progress, "say", lines.append)
    result = asked.run("--workers", "1", "--build-only")
    assert result.ret == pytest.ExitCode.OK
    assert asked.records == []
    assert len(list((asked.store / "Said").iterdir())) == 4
    assert asked.run("--workers", "1", "--build-only", CONTROL="1").ret == pytest.ExitCode.OK
    assert lines[-1] == "nothing to build: all that 4 cases read is there"


def test_a_build_that_fails_says_so_with_its_status(asked: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "say", lambda line: None)
    asked.claims(REFUSED)
    assert asked.run("--workers", "1", "--build-only").ret == pytest.ExitCode.TESTS_FAILED


def test_a_plan_judges_nothing(asked: Project) -> None:
    result = asked.run("--plan", CONTROL="1")
    assert "went no further" not in result.stdout.str()
    asked.run("-k", "not_there", CONTROL="1").assert_outcomes(failed=1)


def test_a_fresh_run_plans_and_builds_anew_what_is_there(asked: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "say", lambda line: None)
    asked.run("--snapshot-update").assert_outcomes(passed=4)
    before = {path: path.stat().st_mtime_ns for path in asked.store.glob("Said/*/said.txt")}
    asked.run("--plan", "--fresh").stdout.fnmatch_lines(["2 artifacts to build for 4 cases"])
    asked.run("--workers", "1", "--fresh").assert_outcomes(passed=4)
    after = {path: path.stat().st_mtime_ns for path in asked.store.glob("Said/*/said.txt")}
    assert before.keys() == after.keys()
    assert all(after[path] > before[path] for path in before)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--plan", "--falsify"], "--plan looks at what is missing beforehand; drop --falsify or --until-decided"),
        (["--workers", "2", "--until-decided", "5"], "--workers looks at what is missing beforehand; drop"),
        (["--plan", "--snapshot-update"], "--plan judges nothing that could be recorded; drop --snapshot-update"),
        (["--build-only", "--snapshot-update"], "--build-only judges nothing that could be recorded; drop"),
        (["--cluster", "auto", "--workers", "2"], "--workers are those of this machine, and --cluster has its own"),
        (["--workers", "0"], "'0' is not a number of processes; give 1 or more, or auto"),
        (["--workers", "many"], "'many' is not a number of processes; give 1 or more, or auto"),
    ],
)
def test_what_a_plan_cannot_go_with_is_refused(asked: Project, options: list[str], said: str) -> None:
    result = asked.run(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()
