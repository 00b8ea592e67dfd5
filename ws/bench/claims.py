"""How long the claims take: with an empty store, and again once everything is in it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ws.bench.process import ROOT, BenchError
from ws.bench.settings import Settings
from ws.models.table import known_model
from ws.store import Store
from ws.store.progress import say

SELECTIONS = (("claims/",), ("claims/", "-k", "delora"))
TESTS_FAILED = 1
"""pytest's exit status if tests ran and some failed, which does not invalidate the time that they took."""


@dataclass(frozen=True)
class Timing:
    """One selection of claims, timed from an empty store and from the store that this run filled."""

    args: str
    cold: float
    """Seconds from an empty store; only the model's weights are there, since a download says nothing about speed."""
    warm: float
    failed: bool

    def record(self) -> dict[str, object]:
        """The JSON form."""
        return asdict(self) | {"failed": "some" if self.failed else "none"}


def timings(settings: Settings, store: Store) -> list[Timing]:
    """Every selection, each from an empty store of its own."""
    return [timing(args, settings, store) for args in SELECTIONS]


def timing(args: tuple[str, ...], settings: Settings, store: Store) -> Timing:
    """One selection, cold and then warm.

    Raises: BenchError if pytest does anything but run the tests.
    """
    with tempfile.TemporaryDirectory(dir=store.root) as scratch:
        with_weights(store, Path(scratch), settings)
        runs = []
        for state in ("cold", "warm"):
            say(f"pytest {' '.join(args)}, {state}")
            runs.append(_run([*args, *_options(settings), "--store", scratch]))
            say(f"pytest {' '.join(args)}, {state}: {runs[-1][0]:.1f} s")
    (cold, _), (warm, status) = runs
    return Timing(" ".join(args), cold, warm, status == TESTS_FAILED)


def with_weights(store: Store, root: Path, settings: Settings) -> None:
    """Give an empty store a copy of the model's weights, unless they stay in the hub's cache."""
    weights = settings.subject.on.weights
    if weights.kind not in ("hf", "files"):
        home = store.get(weights)
        shutil.copytree(home, root / home.relative_to(store.root))


def _options(settings: Settings) -> list[str]:
    gpu = ["--gpu"] if settings.device == "cuda" else []
    return [*gpu, "--model", known_model(settings.model).typed]


def _run(args: list[str]) -> tuple[float, int]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rejudge", *args]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"WS_QUIET": "1"}, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode not in (0, TESTS_FAILED):
        raise BenchError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout[-2000:]}")
    return seconds, done.returncode
