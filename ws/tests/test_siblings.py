"""A verdict depends on the sibling cases of its claim, and never on which of them are selected or who runs them."""

import json

import pytest

from ws.report.verdicts import recorded_in, sibling
from ws.tests.conftest import Project

CASES = """
import os
import pytest

@pytest.mark.claim("C05")
@pytest.mark.parametrize("shift", ["-0.75", "-0.8", "0.0"])
def test_it_steers(effect, holds, shift):
    with open(os.environ.get("RAN", os.devnull), "a") as file:
        file.write(shift + " ")
    if shift == os.environ.get("BROKEN"):
        raise ValueError("no such rows")
    holds(effect() + float(shift) > 0)
"""
"""The last case is sure. The first would hold alone, or beside sure ones, but not beside the second, which is open."""
NAME = "smollm2-135m/test_it_steers[{}].json"
ONE = "claims/test_claims.py::test_it_steers[smollm2-135m--0.75]"


@pytest.fixture
def cases(project: Project) -> Project:
    """A claim of three cases."""
    project.claims(CASES)
    return project


def verdicts(project: Project) -> dict[str, tuple[str, int, float]]:
    """Outcome, number of cases and p-value of each case of the latest run."""
    return {record.case: (record.outcome, record.cases, record.p_holds) for record in project.records}


def test_a_case_is_judged_by_what_is_recorded_of_its_siblings_and_runs_none_of_them(cases: Project) -> None:
    cases.record()
    whole = verdicts(cases)
    assert {n for _, n, _ in whole.values()} == {3}
    ran = cases.pytester.path / "ran"
    for selection in ([ONE], ["-k", "0.75"]):
        ran.write_text("")
        result = cases.run(*selection, RAN=str(ran))
        assert result.ret == pytest.ExitCode.OK
        assert verdicts(cases).items() <= whole.items()
        assert sorted(ran.read_text().split()) == sorted(record.case for record in cases.records)


def test_what_siblings_say_counts(cases: Project) -> None:
    cases.record()
    before = verdicts(cases)
    assert before["-0.75"][0] == "INCONCLUSIVE"
    for case in ("-0.8", "0.0"):
        path = cases.snapshot(NAME.format(case))
        path.write_text(json.dumps(json.loads(path.read_text()) | {"p_holds": 1e-12}))
    cases.run(ONE).assert_outcomes(failed=1)
    assert verdicts(cases)["-0.75"] == ("HOLDS", 3, before["-0.75"][2])


def test_how_far_the_seeds_of_siblings_vary_counts(cases: Project) -> None:
    cases.record()
    before = verdicts(cases)["-0.75"][2]
    for case in ("-0.8", "0.0"):
        path = cases.snapshot(NAME.format(case))
        fields = json.loads(path.read_text())
        for spread in fields["spreads"][0]:
            spread["seeds"] = [-5.0, 10.0, -5.0]
        path.write_text(json.dumps(fields))
    cases.run(ONE)
    assert verdicts(cases)["-0.75"][2] > before


def test_a_recorded_case_tells_what_the_case_itself_tells(cases: Project) -> None:
    cases.record()
    told = sibling(recorded_in(cases.snapshot(NAME.format("0.0"))))
    [[shown, side]] = told.spreads
    assert shown == side
    assert shown.seeds == pytest.approx((-0.1, 0.0, 0.1))
    assert (shown.clusters, told.p_refuted) == (4, pytest.approx(1 - told.p_holds))


def test_recording_one_case_runs_its_siblings_first(cases: Project) -> None:
    ran = cases.pytester.path / "ran"
    cases.run(ONE, "--snapshot-update", RAN=str(ran)).assert_outcomes(xfailed=1)
    assert ran.read_text().split() == ["-0.75", "-0.8", "0.0", "-0.75"]
    alone = verdicts(cases)["-0.75"]
    assert cases.snapshots() == [NAME.format("-0.75")]
    cases.record()
    assert verdicts(cases)["-0.75"] == alone


def test_the_last_case_alone_is_recorded_too(cases: Project) -> None:
    cases.run(ONE.replace("-0.75", "0.0"), "--snapshot-update").assert_outcomes(passed=1)
    assert cases.snapshots() == [NAME.format("0.0")]


def test_a_case_without_a_snapshot_is_one_of_the_cases_and_says_nothing(cases: Project) -> None:
    cases.record()
    for case in ("-0.8", "0.0"):
        cases.snapshot(NAME.format(case)).unlink()
    cases.run(ONE)
    assert verdicts(cases)["-0.75"][:2] == ("INCONCLUSIVE", 3)


def test_a_claim_is_not_recorded_without_all_of_its_cases(cases: Project) -> None:
    result = cases.run(ONE, "--snapshot-update", BROKEN="0.0")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["not recorded, since a verdict depends on all cases of its claim:", "*0.0]: *ValueError"]
    )
    assert cases.snapshots() == []


def test_if_one_case_moved_all_of_its_claim_are_recorded_anew(cases: Project) -> None:
    cases.record()
    names = [NAME.format(case) for case in ("-0.75", "-0.8", "0.0")]
    before = [cases.fields(name) for name in names]
    cases.run("--snapshot-update", EFFECT="1.001")
    assert [cases.fields(name) for name in names] == before
    path = cases.snapshot(names[2])
    path.write_text(json.dumps(cases.fields(names[2]) | {"value": 3.0}))
    cases.run("--snapshot-update", EFFECT="1.001")
    moved = [cases.fields(name)["value"] - old["value"] for name, old in zip(names, before, strict=True)]
    assert moved == pytest.approx([0.001] * 3)
    cases.run(EFFECT="1.001").assert_outcomes(passed=1, xfailed=2)


def test_on_a_model_without_records_the_selected_cases_share_the_error_rate(cases: Project) -> None:
    cases.run("--model", "qwen3-0.6b")
    whole = verdicts(cases)
    assert {(outcome, n) for outcome, n, _ in whole.values()} == {("INCONCLUSIVE", 3), ("HOLDS", 3)}
    cases.run("--model", "qwen3-0.6b", "-n", "2")
    assert verdicts(cases) == whole
    cases.run("--model", "qwen3-0.6b", "-k", "0.75")
    assert verdicts(cases)["-0.75"][:2] == ("HOLDS", 1)


def test_a_snapshot_that_this_version_did_not_write_is_named(cases: Project) -> None:
    cases.record()
    path = cases.snapshot(NAME.format("0.0"))
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "p_holds"}))
    result = cases.run(ONE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a sibling case: test_it_steers*0.0*.json in *what this version writes*record it*"])
