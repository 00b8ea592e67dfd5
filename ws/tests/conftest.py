"""A small project with the claim plugins, for tests that run pytest within pytest."""

import gc
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import fixtures
from fixtures.properties import record_in
from ws.evidence.homes import home_of
from ws.report.verdicts import Record
from ws.store import progress
from ws.tests.told import Told

if TYPE_CHECKING:
    from ws.models.language import LanguageModel
    from ws.store import Store

# Stores of tests need not outlast a loss of power, and waiting for the disk takes longer than most builds here.
os.environ["WS_SYNC"] = "0"

BASIC = ("options", "cases", "snapshots", "siblings", "looks", "holds", "terminal", "results")
"""The plugins of ours that every project has, after `early`."""

CONFTEST = """
import os

import pandas as pd
import pytest

from ws.stats.estimate import Estimate

pytest_plugins = PLUGINS


@pytest.fixture
def effect(settings):
    def around(mean=None, *, gates=()):
        mean = float(os.environ.get("EFFECT", "1")) if mean is None else mean
        lines = [
            (seed, cluster, cluster, mean + 0.1 * (seed - 1) + 0.1 * (cluster - 1.5))
            for seed in range(settings.seeds or 3)
            for cluster in range(int(os.environ.get("CLUSTERS", "4")))
        ]
        return Estimate.of(pd.DataFrame(lines, columns=["seed", "cluster", "row", "value"]), gates=gates)

    return around
"""


def conftest_with(*others: str) -> str:
    """The conftest of a project that has other plugins of ours besides, in the order of all."""
    names = [name for name in fixtures.PLUGINS if name.rpartition(".")[2] in {*BASIC, *others}]
    assert len(names) == len({*BASIC, *others})
    return CONFTEST.replace("PLUGINS", repr(["fixtures.early", *names]))


# Without rewritten asserts a run takes a fifth less time; no test needs the values they show, nor the plugins blocked.
INI = """
[pytest]
testpaths = ws/tests claims
filterwarnings = error
addopts = --strict-markers --assert=plain -p fixtures.early -p xdist -p syrupy
    -p no:unraisableexception -p no:threadexception -p no:doctest -p no:junitxml -p no:pastebin -p no:faulthandler
    -p no:stepwise -p no:setuponly -p no:setupplan -p no:legacypath -p no:logging -p no:unittest
"""

STEERS = """
import pytest

@pytest.mark.claim("C05", published="DeLoRA 23.85 vs LoRA 9.76")
def test_it_steers(effect, holds):
    holds(effect() > 0)
"""


def pytest_collection_finish() -> None:
    """Exempt all imported objects from garbage collection: they stay anyway, and are most of what it would look at."""
    gc.collect()
    gc.freeze()


RUNS: dict[tuple[object, ...], tuple[dict[str, bytes], tuple[Record, ...], str]] = {}
"""What a recording run left behind, its files, cases and place in a home, by the files, arguments and environment that
it began with."""


class Listener:
    """A plugin that keeps the records of a run's cases."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.records += filter(None, [record_in(report.user_properties)])


@dataclass
class Project:
    """A folder with claims in it, on which pytest can be run."""

    pytester: pytest.Pytester
    monkeypatch: pytest.MonkeyPatch
    records: list[Record] = field(default_factory=list)
    """Of the cases of the latest run."""

    def claims(self, source: str = STEERS, *, name: str = "test_claims") -> None:
        """Write a module of claims."""
        folder = self.pytester.path / "claims"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(source)

    def run(self, *args: str, **environment: str) -> pytest.RunResult:
        """What pytest says, run in this process; the effect that claims see is in the environment."""
        with self.monkeypatch.context() as patch:
            # The run within is a controller, also where this test runs in a worker.
            for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
                patch.delenv(name, raising=False)
            for name, value in environment.items():
                patch.setenv(name, value)
            # Ours, of the run without, would rewrite the asserts of the modules within.
            patch.setattr(sys, "meta_path", [one for one in sys.meta_path if "assertion" not in type(one).__module__])
            listener = Listener()
            self.records = listener.records
            return self.pytester.runpytest_inprocess("--store", str(self.store), *args, plugins=[listener])

    @property
    def store(self) -> Path:
        """The root of the project's store."""
        return self.pytester.path / "store"

    def record(self, *args: str, **environment: str) -> None:
        """Run with --snapshot-update, which must record something; from a second equal project on, as the first did."""
        asked = (frozenset(self._files().items()), args, frozenset(environment.items()))
        if asked not in RUNS:
            assert "generated" in self.run("--snapshot-update", *args, **environment).stdout.str()
            RUNS[asked] = (self._files(), tuple(self.records), self.part.name)
            return
        found, records, part = RUNS[asked]
        files = {path.replace(part, self.part.name): content for path, content in found.items()}
        self.records = list(records)
        for path in self._files().keys() - files.keys():
            (self.pytester.path / path).unlink()
        for path, content in files.items():
            (self.pytester.path / path).parent.mkdir(parents=True, exist_ok=True)
            (self.pytester.path / path).write_bytes(content)

    @property
    def part(self) -> Path:
        """The part of a home that belongs to these claims, below it."""
        return home_of(self.pytester.path / "claims", Path())

    def _files(self) -> dict[str, bytes]:
        """What the project's files hold, by their path."""
        root = self.pytester.path
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def snapshots(self) -> list[str]:
        """Paths of all snapshots, below their common folder."""
        folder = self.pytester.path / "claims" / "__snapshots__"
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def snapshot(self, name: str = "smollm2-135m/test_it_steers.json") -> Path:
        """One snapshot."""
        return self.pytester.path / "claims" / "__snapshots__" / name

    def fields(self, name: str = "smollm2-135m/test_it_steers.json") -> dict[str, Any]:
        """What one snapshot says."""
        return json.loads(self.snapshot(name).read_text())


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No progress lines, and no run that somebody else named."""
    monkeypatch.setenv("WS_QUIET", "1")
    monkeypatch.delenv("WS_RUN_ID", raising=False)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_known_beforehand() -> Iterator[None]:
    """Compute keys from the code as tests have patched it, instead of reading them under the digest of its files."""
    from ws.store import known

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known, "code_digest", lambda: None)
        yield


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> "Store":
    """The store that all tests of a process share; what one has built, others find."""
    from ws.tests.small import shared_store

    return shared_store(tmp_path_factory)


@pytest.fixture(scope="session")
def lm(tmp_path_factory: pytest.TempPathFactory) -> "LanguageModel":
    """The tiny model, which all tests share and must leave as it was."""
    from ws.tests.small import tiny_model

    return tiny_model(tmp_path_factory)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """The lines that would be printed during the test."""
    heard = Told()
    monkeypatch.delenv("WS_QUIET", raising=False)
    monkeypatch.setattr(progress, "_chosen", heard)
    return heard


@cache
def distributions_with_plugins() -> list[Distribution]:
    """The installed packages that extend pytest."""
    return [one for one in distributions() if one.entry_points.select(group="pytest11")]


@pytest.fixture
def no_own_models() -> Iterator[None]:
    """A process without any model of one's own, which also forgets those of this test."""
    from ws.models.table import OWN_MODELS

    before = dict(OWN_MODELS)
    OWN_MODELS.clear()
    yield
    OWN_MODELS.clear()
    OWN_MODELS.update(before)


@pytest.fixture
def no_own_behaviors() -> Iterator[None]:
    """A process without any behavior of one's own, which also forgets those of this test."""
    from ws.behaviors.table import OWN_BEHAVIORS

    before = dict(OWN_BEHAVIORS)
    OWN_BEHAVIORS.clear()
    yield
    OWN_BEHAVIORS.clear()
    OWN_BEHAVIORS.update(before)


@pytest.fixture
def project(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, no_own_models: None, no_own_behaviors: None
) -> Project:
    """A project with one claim, which holds unless the environment says otherwise."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    # Of the installed plugins the inner run has those of its INI: others would be imported anew each time. For each
    # of them pytest reads the entry points of all packages, where those with a plugin will do.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr("importlib.metadata.distributions", distributions_with_plugins)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.makeconftest(conftest_with())
    pytester.makeini(INI)
    project = Project(pytester, monkeypatch)
    project.claims()
    return project
