"""A case is rebuilt by two commits, and with one input changed at a time; what was run is not run again."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ws.changes.bisect import search
from ws.changes.bisect.inputs import group_of, inputs
from ws.changes.bisect.runs import Runs
from ws.changes.cases import Case
from ws.changes.commits import commit_named
from ws.changes.sides import Place, Side
from ws.errors import CommandError
from ws.tests.test_changes import MODEL, Repository, repository

__all__ = ["repository"]

TEST = f"""
import json
import os
import pytest
from ws.formula import effect
from ws.stats.rule import LIMIT


@pytest.mark.parametrize("model_name", ["{MODEL}"])
def test_it(model_name, record_property, pytestconfig):
    with open(os.environ["WS_RUNS"], "a") as out:
        out.write("run\\n")
    value = effect(0.5)
    outcome = "HOLDS" if value > LIMIT else "REFUTED"
    said = {{"outcome": outcome, "value": value, "keys": [], "store": pytestconfig.option.store}}
    # Some commits attach it as a dictionary, others as text of JSON.
    record_property("verdict", json.dumps(said) if value > 1 else said)
"""
OPTIONS = """
def pytest_addoption(parser):
    parser.addoption("--model")
    parser.addoption("--store")
"""


@pytest.fixture
def two_commits(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A small project whose formula changes together with what does not matter."""
    monkeypatch.setenv("WS_QUIET", "1")
    monkeypatch.setenv("WS_RUNS", str(tmp_path / "runs"))
    # The small project has no use for plugins, which take longer to load than all its runs.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for path in ("ws/__init__.py", "ws/plugin.py", "ws/stats/__init__.py"):
        repository.write(path, "")
    repository.write("conftest.py", OPTIONS)
    repository.write("pytest.ini", "[pytest]\n")
    repository.write("claims/test_it.py", TEST)
    repository.write("ws/formula.py", "def effect(x):\n    return 2 * x\n")
    repository.record("", value=1.0)
    repository.commit("Double")
    repository.write("ws/formula.py", "def effect(x):\n    return 3 * x\n")
    repository.write("ws/stats/rule.py", "LIMIT = 0.04\n")
    repository.record("", value=1.5)
    repository.commit("Triple")
    return repository


def found(repository: Repository, store: Path, **options: object) -> str:
    place = Place(repository.tests)
    old, new = place.side("HEAD~1"), place.side("HEAD")
    return "\n".join(search.bisected(old, new, "test_it", place, store=store, **options))  # type: ignore[arg-type]


def runs() -> int:
    path = Path(os.environ["WS_RUNS"])
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_the_input_that_moves_a_number_is_found_and_nothing_runs_twice(two_commits: Repository, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert "4 runs, 0 of them done already" in found(two_commits, store, dry_run=True)
    assert runs() == 0
    text = found(two_commits, store)
    assert "moved by ws/formula.py (1 file), alone as far as by all together" in " ".join(text.split())
    assert "HOLDS; 1.50, 50 times its tolerance from the first" in text
    assert "HEAD comes to here agrees with what it recorded" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert runs() == 4
    again = found(two_commits, store)
    assert "4 runs, 4 of them done already" in again
    assert again.partition("kept in")[2] == text.partition("kept in")[2]
    assert runs() == 4


def test_an_input_that_cannot_be_changed_alone_is_said(two_commits: Repository, tmp_path: Path) -> None:
    two_commits.write("ws/formula.py", "def tripled(x):\n    return 3 * x\n")
    two_commits.write("claims/test_it.py", TEST.replace("import effect", "import tripled as effect"))
    two_commits.write("ws/stats/rule.py", "LIMIT = 0.05\n")
    two_commits.git("commit", "-q", "-a", "--amend", "-m", "Triple by another name")
    text = " ".join(found(two_commits, tmp_path / "store").split())
    assert "no verdict: ImportError: cannot import name 'effect'" in text
    assert "no input moves it alone, but all of them together do; 2 cannot be changed alone" in text


def test_what_cannot_be_bisected_is_refused(two_commits: Repository, tmp_path: Path) -> None:
    place = Place(two_commits.tests)
    head = place.side("HEAD")
    with pytest.raises(CommandError, match=r"--bisect rebuilds a case by the code of two commits; name two commits"):
        next(search.bisected(head, place.side(MODEL), "test_it", place, store=tmp_path))
    commit = commit_named(two_commits.root, "HEAD")
    assert commit is not None
    case = Case((MODEL, "test_it"), b'{"outcome": "HOLDS"}', "here")
    with pytest.raises(CommandError, match=r"no file that a case needs differs between"):
        inputs(commit, commit, case, "claims", python=sys.executable, other_python=None)
    other = inputs(commit, commit, case, "claims", python=sys.executable, other_python="/other/python")
    assert [(tree.name, tree.python) for tree in other.changed] == [("packages of /other/python", "/other/python")]


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("ws/stats/hommel.py", "judgement, with the records of siblings"),
        ("claims/__snapshots__/m/test_it.json", "judgement, with the records of siblings"),
        ("ws/engine/passes.py", "ws/engine"),
        ("ws/behaviors/data/x.json", "data of the package"),
        ("fixtures/holds.py", "judgement, with the records of siblings"),
        ("fixtures/shapes.py", "fixtures"),
        ("claims/test_it.py", "tests of claims"),
    ],
)
def test_files_belong_to_an_input(path: str, group: str) -> None:
    assert group_of(path, "claims") == group


def test_a_case_of_other_seeds_is_rebuilt_with_these(repository: Repository) -> None:
    def sides(*counts: int) -> Iterator[Side]:
        for n_seeds in counts:
            repository.record("a", model="smollm2-135m", n_seeds=n_seeds)
            yield Place(repository.tests).now()

    def options(*counts: int) -> list[str]:
        old, new = sides(*counts)
        [case] = new.cases.values()
        runs = Runs(repository.root, repository.root, case, "claims", search._seeds(case, old, new))
        return [word for word in runs._options() if word.startswith("--seeds")]

    assert options(5, 5) == ["--seeds=5"]
    assert options(8, 8) == options(5, 8) == options(3, 5) == []
