"""A run that records snapshots packs what its claims read, and a run elsewhere judges from that."""

import json
from pathlib import Path

import pandas as pd
import pytest

from ws.report import evidence_commands
from ws.tests.conftest import Project, conftest_with

assert evidence_commands  # Imported before any inner run of pytest, which would forget what it imports first.

LAB = """
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ws.store import Recipe, Store


@dataclass(frozen=True)
class Drawn(Recipe):
    seed: int

    def build(self, out: Path, store: Store) -> None:
        print("drawing", self.seed)
        machine = float(os.environ.get("MACHINE", "0"))
        # No two builds that take long are of one second and take as long.
        time.sleep(10 * machine)
        first = 1.0 + self.seed + machine
        pd.DataFrame({"value": [first, 2.0]}).to_parquet(out / "rows.parquet")
"""
STEERS = """
import pandas as pd
import pytest

from lab import Drawn


@pytest.mark.claim("C05")
@pytest.mark.parametrize("seed", [0, 1])
def test_it_steers(effect, holds, store, seed):
    held = pd.read_parquet(store.get(Drawn(seed)) / "rows.parquet")
    holds(effect(held["value"].mean()).noting(sources=[store.key(Drawn(seed))]) > 0)
"""
RECORD = ("--snapshot-update", "--record-evidence")


@pytest.fixture(scope="session")
def a_table(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Written before any inner run of pytest, which would forget the libraries that it imports first."""
    pd.DataFrame({"value": [1.0]}).to_parquet(tmp_path_factory.mktemp("tables") / "one.parquet")


@pytest.fixture
def lab(a_table: None, project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose claims read artifacts."""
    project.pytester.makeconftest(conftest_with("evidence"))
    (project.pytester.path / "lab.py").write_text(LAB)
    project.claims(STEERS)
    monkeypatch.syspath_prepend(project.pytester.path)
    monkeypatch.setenv("WS_QUIET", "1")
    return project


def evidence(project: Project, model: str = "smollm2-135m") -> Path:
    return project.pytester.path / "claims" / "__evidence__" / model


def parts(project: Project) -> set[str]:
    return set(json.loads((evidence(project) / "index.json").read_text())["parts"])


def elsewhere(project: Project, *args: str, **environment: str) -> pytest.RunResult:
    """A run with a store of its own, which has nothing at first."""
    return project.run("-s", *args, f"--store={project.pytester.path / 'empty'}", **environment)


def test_what_claims_read_is_packed_and_judged_from_elsewhere(lab: Project) -> None:
    recorded = lab.run(*RECORD)
    recorded.assert_outcomes(passed=2)
    recorded.stdout.fnmatch_lines([f"evidence: 2 artifacts in * MB packed into {evidence(lab)}; commit it with *"])
    result = elsewhere(lab)
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*drawing*")
    result.stdout.fnmatch_lines([f"2 artifacts were taken from {evidence(lab)}, 0 were built here"])


def test_a_fresh_run_builds_what_the_evidence_has(lab: Project) -> None:
    lab.run(*RECORD)
    result = elsewhere(lab, "--fresh")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*drawing 0", "*drawing 1"])
    result.stdout.no_fnmatch_line("*were taken from*")


MOVED = STEERS.replace(".mean())", ".mean() + 0.005)")
"""The claims with another formula, whose numbers are within their tolerance of the old ones."""


def test_of_recorded_rows_every_digit_is_compared(lab: Project) -> None:
    lab.run(*RECORD)
    lab.claims(MOVED)
    moved = elsewhere(lab)
    moved.assert_outcomes(failed=2)
    moved.stdout.fnmatch_lines(["*value 1.5 -> 1.505, though of the same rows*"])
    # Rows that were built again are others, whichever they are, and so they are in every later run.
    elsewhere(lab, "--fresh", MACHINE="0.002").assert_outcomes(passed=2)
    elsewhere(lab).assert_outcomes(passed=2)


TWO = STEERS + STEERS.partition('@pytest.mark.claim("C05")')[2].replace("test_it_steers", "test_it_still_steers").join(
    ['\n\n@pytest.mark.claim("C06")', ""]
)
"""Two claims on one table."""


def test_a_table_that_is_recorded_anew_leaves_other_claims_their_tolerance(lab: Project) -> None:
    lab.claims(TWO)
    lab.run(*RECORD).assert_outcomes(passed=4)
    lab.run(*RECORD, "--fresh", "-k", "still", MACHINE="0.002").assert_outcomes(passed=2)
    values = [
        lab.fields(f"smollm2-135m/{name}[0].json")["value"] for name in ("test_it_steers", "test_it_still_steers")
    ]
    assert values == [1.5, 1.501]
    elsewhere(lab).assert_outcomes(passed=4)


def test_what_a_run_did_not_read_stays_as_the_evidence_has_it(lab: Project) -> None:
    lab.claims(TWO.replace("[0, 1]", "[0]", 1))
    lab.run(*RECORD).assert_outcomes(passed=3)
    # A machine that built all of it for itself, and now records one claim.
    elsewhere(lab, "--fresh", MACHINE="0.002").assert_outcomes(passed=3)
    elsewhere(lab, *RECORD, "-k", "test_it_steers").assert_outcomes(passed=1)
    lab.claims(MOVED.replace("test_it_steers", "test_it_still_steers").replace("C05", "C06"))
    moved = lab.run("--store", "third")
    moved.stdout.fnmatch_lines(["*value 2 -> 2.005, though of the same rows*"])
    moved.stdout.no_fnmatch_line("*value 1.5* -> *, though of the same rows*")


def test_what_is_damaged_is_replaced_by_what_the_store_has(lab: Project) -> None:
    lab.claims(TWO.replace("[0, 1]", "[0]", 1))
    lab.run(*RECORD).assert_outcomes(passed=3)
    elsewhere(lab, "--fresh", MACHINE="0.002").assert_outcomes(passed=3)
    (evidence(lab) / "seed-1" / "Drawn.rows.parquet").unlink()
    recorded = elsewhere(lab, *RECORD, "-k", "test_it_steers", "-W", "default")
    recorded.assert_outcomes(passed=1, warnings=1)
    recorded.stdout.no_fnmatch_line("*drawing*")
    assert {name.partition("/")[0] for name in parts(lab)} == {"seed-0", "seed-1"}
    judged = lab.run("-s", "--store", "third")
    judged.assert_outcomes(passed=3)
    judged.stdout.no_fnmatch_line("*drawing*")


def test_with_evidence_every_number_that_moved_is_recorded(lab: Project) -> None:
    lab.run(*RECORD)
    lab.claims(MOVED)
    lab.run("--snapshot-update").assert_outcomes(passed=2)
    lab.run("--snapshot-update", "--store", "other", MACHINE="0.001").assert_outcomes(passed=2)
    assert lab.fields("smollm2-135m/test_it_steers[0].json")["value"] == 1.505
    lab.run(*RECORD, "--fresh", MACHINE="0.001").assert_outcomes(passed=2)
    assert lab.fields("smollm2-135m/test_it_steers[0].json")["value"] == 1.5055
    elsewhere(lab).assert_outcomes(passed=2)


def test_a_run_of_some_claims_adds_to_the_evidence_and_a_whole_run_decides_it(lab: Project) -> None:
    # Measures are judged apart; recording one case of several would read what its siblings need.
    claims, case = STEERS.replace("seed", "measure"), "claims/test_claims.py::test_it_steers[smollm2-135m-{}]"
    lab.claims(claims)
    lab.run(*RECORD, case.format(0))
    assert {name.partition("/")[0] for name in parts(lab)} == {"seed-0"}
    lab.run(*RECORD, case.format(1))
    assert {name.partition("/")[0] for name in parts(lab)} == {"seed-0", "seed-1"}
    lab.claims(claims.replace("[0, 1]", "[1]"))
    lab.run(*RECORD)
    assert {name.partition("/")[0] for name in parts(lab)} == {"seed-1"}


def test_what_is_damaged_is_named_and_built(lab: Project) -> None:
    lab.run(*RECORD)
    (evidence(lab) / "seed-1" / "Drawn.rows.parquet").unlink()
    result = elsewhere(lab, "-W", "default")
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*drawing 1", "*seed-1/Drawn.rows.parquet is missing*"])
    result.stdout.no_fnmatch_line("*drawing 0")


def test_the_smallest_model_has_evidence_only_where_it_is_named(lab: Project) -> None:
    refused = lab.run("--smoke", *RECORD)
    refused.stderr.fnmatch_lines(["*no usual place for evidence; name one with --evidence DIR*"])
    lab.run("--smoke", *RECORD, "--evidence", "shown")
    assert not evidence(lab, "tiny-random-qwen3").exists()
    assert (lab.pytester.path / "shown" / "tiny-random-qwen3" / "index.json").exists()
    taken = elsewhere(lab, "--smoke", "--evidence", "shown")
    taken.assert_outcomes(passed=2)
    taken.stdout.no_fnmatch_line("*drawing*")
    (lab.pytester.path / "shown").rename(lab.pytester.path / "claims" / "__evidence__")
    built = lab.run("-s", "--smoke", f"--store={lab.pytester.path / 'other'}")
    built.stdout.fnmatch_lines(["*drawing 0", "*drawing 1"])


def test_an_audit_follows_the_verdicts(lab: Project) -> None:
    lab.run(*RECORD)
    agreed = elsewhere(lab, "--audit", "1")
    assert agreed.ret == pytest.ExitCode.OK
    agreed.stdout.fnmatch_lines(["*2 artifacts were taken from *", "*2 of 2 artifacts built again*", "Drawn * agree"])
    differing = lab.run("--audit", "1", MACHINE="0.3")
    differing.assert_outcomes(passed=2)
    assert differing.ret == pytest.ExitCode.TESTS_FAILED
    differing.stdout.fnmatch_lines(["Drawn * 2 DIFFER", "audit: 2 of 2 artifacts of * differ from what this machine *"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--audit", "1"], "no audit: there is no evidence in */claims/__evidence__/smollm2-135m"),
        (["--audit", "1", "--smoke"], "no audit: there is no evidence in use"),
        (["--audit", "1", "--fresh"], "no audit: --fresh uses no evidence"),
        (["--audit", "1", "-n", "1"], "no audit: tests ran in several processes*; run `ws evidence audit`"),
        (["--audit", "0"], "*2 passed*"),
    ],
)
def test_where_there_is_nothing_to_audit_the_run_says_so(lab: Project, options: list[str], said: str) -> None:
    lab.record()
    result = lab.run(*options)
    result.stdout.fnmatch_lines([said])
    assert ("no audit" in result.stdout.str()) is said.startswith("no audit")


@pytest.mark.parametrize("given", ["-1", "soon", "inf", "nan"])
def test_a_time_is_a_number_of_minutes(lab: Project, given: str) -> None:
    lab.run(f"--audit={given}").stderr.fnmatch_lines([f"*'{given}' is no time; give minutes, or 0 for no audit*"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--record-evidence"], "*evidence goes with the verdicts that rest on it; add --snapshot-update*"),
        ([*RECORD, "--model", "smollm2-135m", "--model", "qwen2.5-coder-0.5b"], "*of one model at a time, not of *"),
    ],
)
def test_what_cannot_be_recorded_is_refused(lab: Project, options: list[str], said: str) -> None:
    lab.run(*options).stderr.fnmatch_lines([said])
    assert not evidence(lab).exists()


def test_evidence_of_several_folders_is_refused(lab: Project) -> None:
    other = lab.pytester.path / "more"
    other.mkdir()
    (other / "test_more.py").write_text(STEERS)
    refused = lab.run("claims", "more", *RECORD)
    refused.stderr.fnmatch_lines(["*of one folder of claims at a time, not of *"])
    assert not evidence(lab).exists()
