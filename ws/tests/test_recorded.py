"""A snapshot says which commit, machine and releases recorded it, and when, and its keys are those of that commit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ws.store.origin import checkout, now, releases
from ws.tests.conftest import STEERS, Project

LAB = """
from dataclasses import dataclass
from pathlib import Path

from ws.store import Recipe, Store

RATE = 0.5


@dataclass(frozen=True)
class Half(Recipe):
    name: str

    def build(self, out: Path, store: Store) -> None:
        (out / "half.txt").write_text(self.name * int(1 / RATE))
"""
KEYED = """
import pytest

from lab import Half
from ws.store import Store


@pytest.mark.claim("C05")
def test_it_steers(effect, holds, tmp_path):
    holds(effect().noting(sources=[Store(tmp_path).key(Half("a"))]) > 0)
"""
KEY = (
    "from pathlib import Path; from lab import Half; from ws.store import Store; print(Store(Path('x')).key(Half('a')))"
)


def git(project: Project, *args: str) -> str:
    """What git says in the project's folder, under a name of nobody."""
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    return subprocess.run(
        ["git", *author, *args], cwd=project.pytester.path, capture_output=True, text=True, check=True
    ).stdout.strip()


def commit_all(project: Project) -> None:
    """Make the project a clean checkout of its only commit."""
    (project.pytester.path / ".gitignore").write_text("store/\n__pycache__/\n.pytest_cache/\n")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "All")


@pytest.fixture
def committed(project: Project) -> Project:
    """The project as a clean checkout of its only commit."""
    commit_all(project)
    return project


def test_a_snapshot_says_where_it_comes_from(committed: Project) -> None:
    committed.record()
    said = committed.fields()["recorded"]
    assert said["commit"] == git(committed, "rev-parse", "HEAD")
    assert "uncommitted" not in said
    assert said["machine"]["cores"] > 0
    assert said["machine"]["processor"]
    assert said["releases"] == releases()
    assert said["package"]["version"]
    assert said["date"] <= now()


def test_outside_of_git_a_snapshot_says_that_there_is_no_commit(project: Project) -> None:
    project.record()
    assert project.fields()["recorded"]["commit"] is None


def test_a_folder_inside_of_a_checkout_is_none(committed: Project) -> None:
    found = checkout(committed.pytester.path)
    assert found is not None
    assert (found.commit, found.uncommitted) == (git(committed, "rev-parse", "HEAD"), ())
    assert checkout(committed.pytester.path / "claims") is None


@pytest.mark.parametrize("new", [False, True])
def test_what_is_not_committed_is_not_recorded_silently(committed: Project, new: bool) -> None:
    name = "test_others" if new else "test_claims"
    committed.claims(f"{STEERS}\n# changed\n" if not new else "", name=name)
    result = committed.run("--snapshot-update")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: snapshots name the commit *claims/{name}.py is not committed; commit first*"])
    assert not committed.snapshot().exists()
    committed.run().assert_outcomes(failed=1)
    committed.run("--snapshot-update", "--record-uncommitted").assert_outcomes(passed=1)
    assert committed.fields()["recorded"]["uncommitted"] is True


def test_other_files_may_change_while_recording(committed: Project) -> None:
    (committed.pytester.path / "notes.md").write_text("a thought")
    committed.run("--snapshot-update").assert_outcomes(passed=1)
    assert "uncommitted" not in committed.fields()["recorded"]


def test_a_run_that_agrees_changes_no_snapshot(committed: Project) -> None:
    committed.record()
    fields = committed.fields()
    fields["recorded"] = {"commit": "0" * 40, "date": "2001-01-01", "machine": "another"}
    committed.snapshot().write_text(json.dumps(fields))
    committed.run("--snapshot-update").assert_outcomes(passed=1)
    assert committed.fields() == fields
    committed.run("--snapshot-update", EFFECT="3").assert_outcomes(passed=1)
    assert committed.fields()["recorded"]["commit"] == git(committed, "rev-parse", "HEAD")


def test_the_keys_of_a_snapshot_are_those_of_a_clean_checkout_of_its_commit(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.pytester.path / "lab.py").write_text(LAB)
    project.claims(KEYED)
    monkeypatch.syspath_prepend(project.pytester.path)
    commit_all(project)
    project.record()
    fields = project.fields()
    elsewhere = project.pytester.path / "elsewhere"
    git(project, "clone", "-q", ".", str(elsewhere))
    git(project, "-C", str(elsewhere), "checkout", "-q", fields["recorded"]["commit"])
    assert [key_in(elsewhere)] == fields["keys"]
    (elsewhere / "lab.py").write_text(LAB.replace("0.5", "0.25"))
    assert key_in(elsewhere) not in fields["keys"]


def key_in(folder: Path) -> str:
    """The key that the code of a folder gives the recipe."""
    path = os.pathsep.join([str(folder), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", KEY], capture_output=True, text=True, cwd=folder, env=environment, check=True
    )
    return done.stdout.strip()
