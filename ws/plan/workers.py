"""Processes that build artifacts, one thread each, so that a result does not depend on how many there are."""

import multiprocessing
import os
import resource
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ws.errors import DataError
from ws.models.table import MODELS
from ws.models.weights import ModelWeights
from ws.remote import open_store
from ws.store import Recipe, Store
from ws.store.recipes import held_in, values_of

OWN_BYTES, PER_WEIGHT_BYTE = 1.2e9, 2.2
"""What a process takes: for itself, and for each byte of the model's weights in fp32. Measured on the embedded model
(0.54 GB of weights, 2.1 GB) and on one of 0.5 billion parameters (2 GB, 5.4 GB)."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""The environment in which a worker starts, since libraries read it once, when they are loaded."""


@dataclass(frozen=True)
class Place:
    """Where workers build: which store, and what must be known of models and behaviors of one's own."""

    root: str | Path
    """The folder of the store, or its URL."""
    evidence: tuple[Path, ...] = ()
    models: tuple[str, ...] = ()
    """As a command line names them."""
    behavior: str | None = None
    device: str = "cpu"
    fresh: bool = False
    """Whether each artifact is built anew once a run, which WS_RUN_ID names for all processes."""

    def store(self) -> Store:
        """The store, with models and behaviors of one's own made known to this process."""
        from ws.behaviors.own import chosen_behavior
        from ws.evidence.folder import Evidence
        from ws.evidence.supply import EvidenceSupply
        from ws.models.own import chosen_model

        supplies = tuple(EvidenceSupply(Evidence(folder)) for folder in self.evidence)
        store = open_store(self.root, fresh=self.fresh, supplies=supplies)
        for text in self.models:
            if text not in MODELS:
                chosen_model(text, store, device=self.device)
        if self.behavior is not None:
            chosen_behavior(self.behavior, store)
        return store


class Done(NamedTuple):
    """What a worker says of an artifact that it was asked for."""

    built: tuple[tuple[str, float], ...]
    """The keys that it built, the one that was asked for last, and the seconds that each took."""
    peak: int
    """The most memory that the process has had so far, in bytes."""


class Pool:
    """A number of workers (`size`), which are started anew when one of them dies."""

    def __init__(self, place: Place, workers: int) -> None:
        self._place, self.size = place, workers
        self._running = self._start()

    def submit(self, recipe: Recipe) -> "Future[Done]":
        """Have one of the workers build an artifact."""
        return self._running.submit(_build, recipe)

    def start_again(self) -> None:
        """Put new workers in the place of those that are left."""
        self._running.shutdown(wait=False, cancel_futures=True)
        self._running = self._start()

    def stop(self) -> None:
        """End all workers, in the middle of a build if there is one; the store takes no half an artifact."""
        for process in list((self._running._processes or {}).values()):
            process.terminate()
        self._running.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> ProcessPoolExecutor:
        fresh = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.size, mp_context=fresh, initializer=_begin, initargs=(self._place,))


@contextmanager
def pool(place: Place, workers: int) -> Iterator[Pool]:
    """Workers, until the end of the context."""
    with _environment():
        made = Pool(place, workers)
        try:
            yield made
        finally:
            made.stop()


def workers_for(recipes: Sequence[Recipe], store: Store) -> int:
    """One worker a core, but no more than there is memory for at once, of the largest model among the recipes."""
    weights = max((_weight_bytes(recipe, store) for recipe in recipes), default=0)
    return max(1, min(cores(), int(free_memory() / (OWN_BYTES + PER_WEIGHT_BYTE * weights))))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> float:
    """Bytes that new processes can have without swapping; infinite where the system does not say."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024.0 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    return float("inf")


def _weight_bytes(recipe: Recipe, store: Store) -> int:
    """The fp32 bytes of the model that a recipe is about, as far as its files are there; 0 if they are not."""
    weights = next((one for one in _inside(recipe) if isinstance(one, ModelWeights)), None)
    home = store.home(weights, store.key(weights)) if weights else None
    if home is None or not home.is_dir():
        return 0
    return sum(path.stat().st_size for path in home.rglob("*.safetensors"))


def _inside(recipe: Recipe) -> Iterator[object]:
    """A recipe and all that it holds, its inputs' too."""
    front: list[object] = [recipe]
    while front:
        one = front.pop()
        yield one
        if isinstance(one, Recipe):
            front += [value for field in values_of(one).values() for value in held_in(field)]


_store: Store | None = None


def _begin(place: Place) -> None:
    global _store
    # The process that started this one says what is built.
    os.environ["WS_QUIET"] = "1"
    _store = place.store()


def _build(recipe: Recipe) -> Done:
    if _store is None:
        raise DataError("a worker without a store; start it with a Place")
    before = len(_store.built)
    _store.get(recipe)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Done(tuple((one.key, one.seconds) for one in _store.built[before:]), peak)


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
