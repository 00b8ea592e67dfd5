"""Which cases share one error rate, and what -k and node ids select of them."""

import pytest

from ws.tests.conftest import Project

CLAIMS = """
import pytest

@pytest.mark.claim("C05")
@pytest.mark.parametrize("measure", ["raw", "corrected"])
@pytest.mark.parametrize("other", ["lora", "dora", "delora"])
def test_it_spreads_further_than(effect, holds, other, measure):
    holds(effect() > 0)

@pytest.mark.claim("C06")
def test_it_steers(effect, holds):
    holds(effect() > 0)

def test_it_is_no_claim(model_name):
    pass
"""

FOOTINGS = """
import pytest

@pytest.mark.claim("C05")
@pytest.mark.parametrize("footing", ["one", "iso-kl"])
@pytest.mark.parametrize("measure", ["raw", "corrected"])
@pytest.mark.parametrize("other", ["lora", "dora", "delora"])
def test_it_spreads_further_than(effect, holds, other, measure, footing):
    holds(effect() > 0)

@pytest.mark.claim("C06")
@pytest.mark.parametrize("footing", ["one", "iso-kl"])
def test_it_steers(effect, holds, footing):
    holds(effect() > 0)
"""


@pytest.fixture
def claims(project: Project) -> Project:
    """A claim with two measures of three cases, a claim of one case, and a test of something else."""
    project.claims(CLAIMS)
    return project


def shared(project: Project) -> dict[str, int]:
    """Among how many cases each case of the last run shared its error rate."""
    return {f"{record.claim} {record.case}": record.cases for record in project.records}


def test_cases_of_one_measure_share_the_error_rate(claims: Project) -> None:
    claims.record()
    found = shared(claims)
    assert len(found) == 7
    assert found.pop("C06 ") == 1
    assert found == dict.fromkeys(found, 3)


def test_cases_at_one_footing_share_the_error_rate(project: Project) -> None:
    project.claims(FOOTINGS)
    project.record()
    found = shared(project)
    assert len(found) == 14
    assert (found.pop("C06 one"), found.pop("C06 iso-kl")) == (1, 1)
    assert found == dict.fromkeys(found, 3)


def test_a_selected_footing_is_judged_among_all_its_cases(project: Project) -> None:
    project.claims(FOOTINGS)
    project.run("-k", "c05 and dora-raw-iso-kl")
    assert shared(project) == {"C05 dora-raw-iso-kl": 3}


@pytest.mark.parametrize(
    "selection",
    [
        ("-k", "c05 and dora and raw and not delora"),
        ("claims/test_claims.py::test_it_spreads_further_than[smollm2-135m-dora-raw]",),
        ("--deselect", "claims/test_claims.py::test_it_spreads_further_than[smollm2-135m-lora-raw]"),
    ],
    ids=["keyword", "node id", "deselected"],
)
def test_a_selection_is_judged_among_all_cases(claims: Project, selection: tuple[str, ...]) -> None:
    claims.run(*selection)
    assert shared(claims)["C05 dora-raw"] == 3


def test_a_run_of_the_last_failures_is_judged_among_all_cases(claims: Project) -> None:
    claims.record()
    claims.snapshot("smollm2-135m/test_it_spreads_further_than[dora-raw].json").unlink()
    claims.run().assert_outcomes(passed=7, failed=1)
    claims.run("--lf").assert_outcomes(failed=1)
    assert shared(claims) == {"C05 dora-raw": 3}


def test_a_second_model_has_its_own_cases(claims: Project) -> None:
    claims.run("--model", "smollm2-135m", "--model", "tiny-random-qwen3")
    assert len(claims.records) == 14
    assert shared(claims)["C05 dora-raw"] == 3


@pytest.mark.parametrize(
    ("keyword", "cases"),
    [("c05", 6), ("C05", 6), ("c06", 1), ("delora", 2), ("corrected", 3), ("c05 and lora and raw", 2)],
)
def test_a_keyword_selects_by_claim_and_by_case(claims: Project, keyword: str, cases: int) -> None:
    claims.run("-k", keyword)
    assert len(claims.records) == cases


def test_every_case_has_a_snapshot_named_after_it(claims: Project) -> None:
    claims.record()
    assert "smollm2-135m/test_it_steers.json" in claims.snapshots()
    assert "smollm2-135m/test_it_spreads_further_than[delora-corrected].json" in claims.snapshots()
    assert len(claims.snapshots()) == 7


def test_two_cases_that_would_share_a_snapshot_are_refused(claims: Project) -> None:
    claims.claims(CLAIMS, name="test_others")
    result = claims.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*would share the snapshot test_it_*.json; rename one of them*"])


@pytest.mark.parametrize("mark", ["claim", "claim('C05', 'x')", "claim('C05', publisched='x')"])
def test_a_mark_that_names_no_claim_is_refused(project: Project, mark: str) -> None:
    project.claims(f"import pytest\n@pytest.mark.{mark}\ndef test_it(holds): pass\n")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(['*expected @pytest.mark.claim("C05")*'])
