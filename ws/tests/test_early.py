"""Shapes are checked where the project's own code is tested, and not where claims are tested on real models."""

import argparse
import warnings
from pathlib import Path

import pytest
import torch
from _pytest.config import parse_warning_filter
from beartype.roar import BeartypeCallHintViolation
from syrupy.utils import warn_incomplete_worker_reports

from fixtures import early, snapshots
from ws.delta.weight_delta import WeightDelta
from ws.tests.conftest import INI, Project, conftest_with
from ws.training import direction as delta

RUNS = {
    "": True,
    "ws/tests": True,
    "ws/tests -n 2": False,  # the workers will
    "claims ws/tests": True,
    "--smoke": True,
    "--smoke claims": True,
    "--model smollm2-135m": True,
    "claims": False,
    "claims/": False,
    "claims/test_claims.py::test_it_steers": False,
    "--model smollm2-135m claims -k steers": False,
    "ws/../claims": False,
    "--seeds 2 claims -n 0": False,
    "--gpu": False,
    "--gpu claims": False,
    "--gpu ws/tests": True,
}
"""Whether a run checks, by its arguments."""


def test_this_run_refuses_a_wrong_shape() -> None:
    with pytest.raises(BeartypeCallHintViolation):
        delta.geometry([], WeightDelta({}), weak=torch.ones(4))


def test_this_run_refuses_a_wrong_type_in_a_fixture_module() -> None:
    with pytest.raises(BeartypeCallHintViolation):
        snapshots.differences([], {})


def test_an_assert_shows_its_values() -> None:
    with pytest.raises(AssertionError, match=r"assert \[1\] == \[2\]"):
        assert [1] == [2]


def clone(project: Project) -> Path:
    """The folder of unit tests, by which the project is known as our own."""
    unit = project.pytester.mkpydir("ws") / "tests"
    unit.mkdir()
    return unit


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[pytest.Config]:
    """The runs that would have checked shapes."""
    runs: list[pytest.Config] = []
    monkeypatch.setattr(early, "_check_shapes", runs.append)
    return runs


@pytest.mark.parametrize(("args", "checks"), RUNS.items(), ids=list(RUNS))
def test_a_run_checks_shapes_if_it_tests_our_own_code(
    project: Project, checked: list[pytest.Config], monkeypatch: pytest.MonkeyPatch, args: str, checks: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    clone(project)
    project.run("--collect-only", *args.split())
    assert [run.rootpath for run in checked] == [project.pytester.path] * checks


def test_a_run_in_the_folder_of_claims_is_of_claims(tmp_path: Path) -> None:
    (tmp_path / "ws" / "tests").mkdir(parents=True)
    options = argparse.Namespace(ws_smoke=False, ws_gpu=False, file_or_dir=[])
    assert not early.tests_own_code(options, here=tmp_path / "claims", root=tmp_path)
    assert early.tests_own_code(options, here=tmp_path / "ws", root=tmp_path)


def test_claims_of_who_installed_the_package_are_not_our_own_code(tmp_path: Path) -> None:
    options = argparse.Namespace(ws_smoke=True, ws_gpu=False, file_or_dir=["tests"])
    assert not early.tests_own_code(options, here=tmp_path, root=tmp_path)


DEPENDENCY = """
import warnings


def old(kind):
    warnings.warn("`old` will be gone", kind, stacklevel=2)
"""
USES_IT = """
import dependency


def test_it_works():
    dependency.old({kind})
"""
WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning", "UserWarning", "RuntimeWarning")
"""What libraries say of what they are going to change, and of numbers that overflow."""


@pytest.fixture
def dependent(project: Project) -> Project:
    """A project in which neither settings nor anything else filters warnings."""
    warnings.simplefilter("default")  # As a process starts: this test's own filter would reach the run within it.
    ini = [line for line in INI.splitlines() if not line.startswith("filterwarnings")]
    project.pytester.makeini("\n".join(ini))
    project.pytester.makepyfile(dependency=DEPENDENCY)
    return project


@pytest.mark.parametrize("kind", WARNINGS)
def test_what_a_library_is_going_to_change_fails_our_own_tests(dependent: Project, kind: str) -> None:
    (clone(dependent) / "test_unit.py").write_text(USES_IT.format(kind=kind))
    result = dependent.run("ws/tests")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{kind}: `old` will be gone"])


def test_it_fails_claims_on_random_weights_too(dependent: Project) -> None:
    clone(dependent)
    dependent.claims(USES_IT.format(kind="FutureWarning"))
    dependent.run("--smoke", "claims").assert_outcomes(failed=1)


@pytest.mark.parametrize("installed", [False, True], ids=["clone", "installed"])
@pytest.mark.parametrize("kind", WARNINGS)
def test_a_run_of_claims_goes_on_and_shows_it(dependent: Project, kind: str, installed: bool) -> None:
    if not installed:
        clone(dependent)
    dependent.claims(USES_IT.format(kind=kind))
    result = dependent.run("claims")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines([f"*{kind}: `old` will be gone"])


def test_our_own_damaged_artifact_is_only_told_of(dependent: Project) -> None:
    text = "the artifact abc is damaged"
    test = f"import warnings\n\ndef test_it_works():\n    warnings.warn({text!r}, UserWarning, stacklevel=1)\n"
    (clone(dependent) / "test_unit.py").write_text(test)
    dependent.run("ws/tests").assert_outcomes(passed=1, warnings=1)


@pytest.mark.parametrize(("args", "goes_on"), [("claims", True), ("ws/tests claims", False)])
def test_what_a_conftest_imports_is_judged_alike(dependent: Project, args: str, goes_on: bool) -> None:
    clone(dependent)
    old = "import dependency\ndependency.old(FutureWarning)\n"
    dependent.pytester.makeconftest(old + conftest_with())
    assert (dependent.run("--collect-only", *args.split()).ret == pytest.ExitCode.OK) == goes_on


@pytest.mark.parametrize(
    ("workers", "name", "leaves"), [(2, None, True), (2, "gw0", False), (0, None, False), (None, None, False)]
)
def test_only_the_process_that_has_workers_leaves_the_tests_to_them(
    monkeypatch: pytest.MonkeyPatch, workers: int | None, name: str | None, leaves: bool
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    if name:
        monkeypatch.setenv("PYTEST_XDIST_WORKER", name)
    assert early.leaves_it_to_workers(argparse.Namespace(numprocesses=workers)) == leaves


def test_a_run_without_xdist_has_no_workers() -> None:
    assert not early.leaves_it_to_workers(argparse.Namespace())


def test_every_module_that_names_shapes_is_checked() -> None:
    root = Path(early.__file__).parents[1]
    checked = set(early.checked_modules(root))
    shaped = [path for path in (root / "ws").rglob("*.py") if "from jaxtyping import" in path.read_text()]
    names = {".".join(path.relative_to(root).with_suffix("").parts) for path in shaped}
    assert {name for name in names if not name.startswith("ws.tests.")} <= checked
    assert not {"ws.tests", "ws.code", "ws.code.sources"} & checked


def test_what_a_run_only_collects_is_no_snapshot_to_delete(project: Project) -> None:
    project.record()
    assert "unused" not in project.run("--collect-only").stdout.str()


def test_workers_that_were_stopped_are_no_error_and_another_warning_of_syrupy_is() -> None:
    with warnings.catch_warnings():
        for line in early.OWN_WARNINGS:
            warnings.filterwarnings(*parse_warning_filter(line, escape=False))
        warn_incomplete_worker_reports(received=0, expected=2)
        with pytest.raises(UserWarning, match="syrupy"):
            warnings.warn("syrupy: something else", UserWarning, stacklevel=1)
