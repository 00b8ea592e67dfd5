"""The installed package in somebody else's repository; `make plugin` runs this, no run of the unit tests does.

A fresh virtual environment holds the wheel and borrows all other packages from the environment of this run.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import ws

ROOT = Path(ws.__file__).parents[1]
TEMPLATE = ROOT / "docs" / "template"
"""Somebody else's repository, which the documents offer to begin with."""
TINY = "--model=tiny-random-qwen3"
OTHERS = """
import sys

def test_nothing_dear_was_imported(model_name, store, request):
    assert (model_name, store) == ("theirs", "their store")
    assert not {"torch", "transformers", "pandas", "scipy", "ws.store"} & set(sys.modules)

def test_their_own_snapshots(snapshot):
    assert snapshot == "theirs"
"""
THEIR_CONFTEST = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--gpu", action="store_true")
    parser.addoption("--seeds", default="any")

@pytest.fixture
def model_name(request):
    return "theirs"

@pytest.fixture(scope="session")
def store():
    return "their store"
"""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the installed package, and a store for what its tests make."""

    root: Path
    store: Path

    def run(self, *args: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """A Python command of the environment."""
        own = {name: value for name, value in os.environ.items() if name not in {"CI", "PYTHONPATH", "WS_STORE"}}
        own |= {"WS_STORE": str(self.store), "OMP_NUM_THREADS": "1", "COLUMNS": "100", **variables}
        python = self.root / "bin" / "python"
        return subprocess.run([python, *args], cwd=cwd, env=own, text=True, capture_output=True, check=False)

    def pytest(self, *args: str, cwd: Path, code: int = 0) -> str:
        """What pytest says, which must end with a code."""
        done = self.run("-m", "pytest", "-p", "no:cacheprovider", *args, cwd=cwd)
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    root = tmp_path_factory.mktemp("installed")
    _python("-m", "hatchling", "build", "-t", "wheel", "-d", str(root / "wheels"), cwd=ROOT)
    venv.create(root / "venv", symlinks=True)
    made = Environment(root / "venv", root / "store")
    (packages,) = (root / "venv" / "lib").glob("python*/site-packages")
    # Behind the environment's own packages; a .pth in that folder, such as that of an editable install, is not read.
    (packages / "borrowed.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    (wheel,) = (root / "wheels").glob("*.whl")
    python = ("--python", str(root / "venv" / "bin" / "python"))
    _python("-m", "pip", "--quiet", *python, "install", "--no-deps", "--no-index", str(wheel), cwd=root)
    found = made.run("-c", "import ws; print(ws.__file__)", cwd=root).stdout.strip()
    assert Path(found) == packages / "ws" / "__init__.py"
    return made


def _python(*args: str, cwd: Path) -> None:
    subprocess.run([sys.executable, *args], cwd=cwd, check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Somebody else's repository, begun with the template."""
    return shutil.copytree(TEMPLATE, tmp_path / "theirs")


def steps(repository: Path) -> list[list[str]]:
    """The arguments of each run of pytest in the repository's workflow."""
    text = (repository / ".github" / "workflows" / "claims.yml").read_text()
    return [shlex.split(line) for line in re.findall(r"run: python -m pytest (.*)", text)]


def test_the_template_runs_records_compares_and_turns_red(environment: Environment, repository: Path) -> None:
    said = environment.pytest(TINY, cwd=repository, code=1)
    assert "there is no snapshot yet" in said
    assert "--model=tiny-random-qwen3 --snapshot-update" in said
    environment.pytest(TINY, "--snapshot-update", "--record-evidence", cwd=repository)
    folder = repository / "claims" / "__snapshots__" / "tiny-random-qwen3"
    first, second = sorted(folder.iterdir())
    assert first.name == "test_delora_steers_further_than_lora.json"
    assert second.name == "test_the_top_carries_most[lora].json"
    fields = json.loads(first.read_text())
    assert (fields["claim"], fields["published"]) == ("X01", "DeLoRA 23.85 vs LoRA 9.76")
    assert "2 cases" in environment.pytest(TINY, cwd=repository)
    in_workers = environment.pytest(TINY, "-n", "1", cwd=repository)
    assert "X02" in in_workers
    assert in_workers.count("plan: 2 cases of 2 claims") == 1
    assert "unused" not in environment.pytest(TINY, "--collect-only", "--snapshot-update", cwd=repository)
    assert (first.is_file(), second.is_file()) == (True, True)
    first.write_text(json.dumps(fields | {"outcome": "HOLDS", "value": fields["value"] + 1}))
    assert "not what its snapshot says" in environment.pytest(TINY, cwd=repository, code=1)


def test_the_workflow_of_the_template_judges_what_is_recorded_and_trains_nothing(
    environment: Environment, repository: Path, tmp_path: Path
) -> None:
    environment.pytest(TINY, "--snapshot-update", "--record-evidence", cwd=repository)
    judged, audited = steps(repository)
    elsewhere = replace(environment, store=tmp_path / "store")
    said = elsewhere.pytest(TINY, *judged, cwd=repository)
    assert "0 were built here" in said
    assert (repository / "report.html").is_file()
    assert audited[:2] == ["--recorded", "--audit"]
    assert not (tmp_path / "store" / "Adapter").exists()


def test_a_report_from_the_installed_package_is_of_ones_own_claims(
    environment: Environment, repository: Path, tmp_path: Path
) -> None:
    environment.pytest(TINY, "--snapshot-update", cwd=repository)
    report = ("-m", "ws", "report", "--models", "tiny-random-qwen3")
    for folder in (repository, repository / "claims"):
        done = environment.run(*report, "--out", "mine.html", cwd=folder)
        assert done.returncode == 0, done.stderr
        page = (folder / "mine.html").read_text(encoding="utf-8")
        assert "DeLoRA steers further than LoRA." in page
        assert "A quarter of the singular directions" in page
    (repository / "claims").rename(repository / "tests")
    assert environment.run(*report, cwd=repository).returncode == 0
    done = environment.run(*report, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "go to the repository that your claims are in, or name the folder of their tests with --tests" in done.stderr


def test_a_repository_about_something_else_keeps_its_options_fixtures_and_snapshots(
    environment: Environment, repository: Path
) -> None:
    (repository / "claims" / "test_others.py").write_text(OTHERS)
    (repository / "conftest.py").write_text(THEIR_CONFTEST)
    environment.pytest("-W", "error", "claims/test_others.py", "--gpu", "--snapshot-update", cwd=repository)
    said = environment.pytest(TINY, "--seeds=theirs", "claims/test_mine.py", "--ws-seeds=1", cwd=repository, code=1)
    assert "--model=tiny-random-qwen3 --ws-seeds=1 --snapshot-update" in said
    environment.pytest(TINY, "--snapshot-update", "--deselect=claims/test_others.py::test_nothing_dear", cwd=repository)


def test_the_benchmark_is_left_to_clones(environment: Environment, tmp_path: Path) -> None:
    done = environment.run("-c", "from ws.cli import main; main()", "bench", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the benchmark is no part of an installed package" in done.stderr
