"""A run with --until-decided adds seeds to each case until it is decided, and leaves snapshots alone."""

import pytest

from ws.tests.conftest import Project

CASES = """
import os

import pandas as pd
import pytest

from ws.models.table import known_model
from ws.stats.estimate import Estimate


@pytest.fixture
def of_seeds(seeds):
    def around(mean):
        lines = [
            (seed, cluster, cluster, mean + 0.1 * (seed % 3 - 1) + 0.01 * (cluster % 3 - 1))
            for seed in seeds
            for cluster in range(12)
        ]
        return Estimate.of(pd.DataFrame(lines, columns=["seed", "cluster", "row", "value"]))

    return around


@pytest.mark.claim("C05")
@pytest.mark.parametrize("mean", ["0.0", "2.0", "0.1"])
def test_it_steers(of_seeds, holds, seeds, mean):
    with open(os.environ.get("RAN", os.devnull), "a") as file:
        file.write(f"{mean}:{len(seeds)} ")
    if f"{mean}:{len(seeds)}" == os.environ.get("BROKEN"):
        raise ValueError("no such rows")
    holds(of_seeds(float(mean)) > 0)


def test_seeds_without_a_claim(model_name, seeds):
    assert len(seeds) == int(os.environ.get("SEEDS", known_model(model_name).seeds))
"""
"""No number of seeds decides the first case, three the second, and more the third."""
DECIDED = {"0.0": ("INCONCLUSIVE", 13, 3), "2.0": ("HOLDS", 3, 3), "0.1": ("HOLDS", 13, 3)}


@pytest.fixture
def cases(project: Project) -> Project:
    """A claim of three cases, and a test that asks for seeds without being one."""
    project.claims(CASES)
    return project


def verdicts(project: Project) -> dict[str, tuple[str, int, int]]:
    """Outcome, number of seeds and number of cases of each case of the latest run."""
    return {record.case: (record.outcome, record.n_seeds, record.cases) for record in project.records}


def test_open_cases_get_more_seeds_and_decided_ones_do_not(cases: Project) -> None:
    ran = cases.pytester.path / "ran"
    result = cases.run("-v", "--until-decided", "13", RAN=str(ran))
    result.assert_outcomes(passed=3, xfailed=1)
    assert verdicts(cases) == DECIDED
    looks = ["0.0:3 2.0:3 0.1:3", "0.0:5 0.1:5", "0.0:8 0.1:8", "0.0:13 0.1:13"]
    assert ran.read_text().split() == [*" ".join(looks).split(), "0.0:13", "2.0:3", "0.1:13"]
    beside = {record.case: record.beside for record in cases.records}
    assert beside["2.0"] == ["with 3 of at most 13 seeds; 98.85% interval"]
    result.stdout.fnmatch_lines(["*2.0 *HOLDS *not compared*", "*with 3 of at most 13 seeds*"])


def test_snapshots_are_neither_compared_nor_touched(cases: Project) -> None:
    cases.record()
    before = {name: cases.snapshot(name).read_bytes() for name in cases.snapshots()}
    result = cases.run("--until-decided", "13")
    result.assert_outcomes(passed=3, xfailed=1)
    assert result.ret == pytest.ExitCode.OK
    assert {record.snapshot for record in cases.records} == {"not compared"}
    assert {name: cases.snapshot(name).read_bytes() for name in cases.snapshots()} == before
    assert "unused" not in result.stdout.str()


def test_cases_that_are_not_selected_share_the_error_rate_and_are_not_run(cases: Project) -> None:
    ran = cases.pytester.path / "ran"
    cases.run("--until-decided", "5", "-k", "2.0", RAN=str(ran))
    assert verdicts(cases) == {"2.0": ("HOLDS", 3, 3)}
    assert ran.read_text().split() == ["2.0:3", "2.0:3"]


def test_any_order_of_cases_comes_to_the_same_verdicts(cases: Project) -> None:
    """As in a worker, the case that comes first may be the last of its claim."""
    names = [f"claims/test_claims.py::test_it_steers[smollm2-135m-{mean}]" for mean in ("0.1", "2.0", "0.0")]
    cases.run("--until-decided", "13", *names).assert_outcomes(passed=2, xfailed=1)
    assert verdicts(cases) == DECIDED


def test_a_case_that_fails_at_a_look_fails_and_leaves_the_others_alone(cases: Project) -> None:
    result = cases.run("--until-decided", "13", BROKEN="0.0:5")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*ValueError: no such rows*"])
    assert verdicts(cases) == {case: DECIDED[case] for case in ("2.0", "0.1")}


def test_seeds_are_as_many_as_said_where_nothing_is_to_be_decided(cases: Project) -> None:
    cases.run("--seeds", "5", "-k", "without", SEEDS="5").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--until-decided", "3"], "--until-decided: at most 3 seeds were asked for; expected 4 to 89"),
        (["--until-decided", "13", "--seeds", "5"], "drop --seeds"),
        (["--until-decided", "13", "--snapshot-update"], "drop it or --snapshot-update"),
        (["--until-decided", "13", "--falsify"], "drop it or --until-decided"),
        (["--until-decided", "many"], "'many' is not a number of seeds"),
    ],
)
def test_what_looks_cannot_be_combined_with_is_refused(project: Project, options: list[str], said: str) -> None:
    result = project.run(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{said}*"])
