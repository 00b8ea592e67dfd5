"""Shapes are checked where the project's own code is tested, and not where claims are tested on real models."""

import argparse
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError

from fixtures import early, snapshots
from ws import delta
from ws.tests.conftest import Project

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
    with pytest.raises(TypeCheckError):
        delta.geometry(*[delta.WeightDelta({})] * 3, weak=torch.ones(4))


def test_this_run_refuses_a_wrong_type_in_a_fixture_module() -> None:
    with pytest.raises(TypeCheckError):
        snapshots.differences([], {})


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
    unit = project.pytester.mkpydir("ws") / "tests"
    unit.mkdir()
    project.run("--collect-only", *args.split())
    assert [run.rootpath for run in checked] == [project.pytester.path] * checks


def test_a_run_in_the_folder_of_claims_is_of_claims(tmp_path: Path) -> None:
    options = argparse.Namespace(smoke=False, gpu=False, file_or_dir=[])
    assert not early.tests_own_code(options, here=tmp_path / "claims", root=tmp_path)
    assert early.tests_own_code(options, here=tmp_path / "ws", root=tmp_path)


OURS = """
import numpy as np
from jaxtyping import Float

def first(x: Float[np.ndarray, "n"]):
    return x[0]
"""
CALLS_IT_WRONGLY = """
import numpy as np
import ws.ours

def test_it():
    ws.ours.first(np.ones((2, 2)))
"""


def test_workers_check_our_own_code_and_no_claims(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    package = pytester.mkpydir("ws")
    (package / "ours.py").write_text(OURS)
    for folder in (package / "tests", pytester.mkdir("claims")):
        folder.mkdir(exist_ok=True)
        (folder / "test_ours.py").write_text(CALLS_IT_WRONGLY)
    pytester.makeini("[pytest]\naddopts = -p fixtures.early -p xdist\npythonpath = .\n")
    ours = pytester.runpytest_subprocess("ws/tests", "-n", "1")
    ours.assert_outcomes(failed=1)
    ours.stdout.fnmatch_lines(["*TypeCheckError*"])
    pytester.runpytest_subprocess("claims", "-n", "1").assert_outcomes(passed=1)
