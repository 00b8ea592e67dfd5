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


def test_an_assert_shows_its_values() -> None:
    with pytest.raises(AssertionError, match=r"assert \[1\] == \[2\]"):
        assert [1] == [2]


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
    parts = {path.relative_to(root / "ws").parts[0].removesuffix(".py") for path in shaped} - {"tests"}
    assert {"adapters", "delta", "packing"} <= parts
    assert {f"ws.{part}" for part in parts} <= checked
    assert not {"ws.tests", "ws.sources"} & checked
