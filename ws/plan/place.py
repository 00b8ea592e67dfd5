"""Where workers build: which store, and what they must know of models and behaviors of one's own.

It is all that a worker is told when it begins, in a process or on another machine.
"""

import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ws.errors import StoreError
from ws.models.table import MODELS
from ws.plan import signs
from ws.plan.forgetting import let_go_of_updates
from ws.plan.graph import directions_of
from ws.remote import open_store
from ws.remote.urls import name_of
from ws.store import Recipe, Store
from ws.store.memory import give_back
from ws.training.direction import Direction

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""The environment in which a worker starts, since libraries read it once, when they are loaded."""

SEEN_WITHIN = 10.0
"""Seconds in which a file written on one machine shows on others; network file systems look again every few."""


class Unfit(StoreError):
    """A machine cannot take part in a build, whatever it is asked for."""


@dataclass(frozen=True)
class Place:
    """Where workers build."""

    root: str | Path
    """The folder of the store, or its URL."""
    evidence: tuple[Path, ...] = ()
    models: tuple[str, ...] = ()
    """As a command line names them."""
    behavior: str | None = None
    device: str = "cpu"
    fresh: bool = False
    """Whether each artifact is built anew once a run, which WS_RUN_ID names for all processes."""
    sign: str = ""
    """The name of the sign that is in the store while this build goes on; empty if nobody builds elsewhere."""

    def store(self) -> Store:
        """The store, with models and behaviors of one's own made known to this process.

        Raises: Unfit if the store that is seen from here is another one.
        """
        from ws.behaviors.own import chosen_behavior
        from ws.evidence.folder import Evidence
        from ws.evidence.supply import EvidenceSupply
        from ws.models.own import chosen_model

        self._check_seen()
        supplies = tuple(EvidenceSupply(Evidence(folder)) for folder in self.evidence if folder.is_dir())
        store = open_store(self.root, fresh=self.fresh, supplies=supplies)
        for text in self.models:
            if text not in MODELS:
                chosen_model(text, store, device=self.device)
        if self.behavior is not None:
            chosen_behavior(self.behavior, store)
        return store

    @contextmanager
    def signed(self) -> Iterator["Place"]:
        """The same place with a sign in its store, until the end of the context."""
        name = signs.new_name()
        signs.put_up(self.root, name)
        try:
            yield replace(self, sign=name)
        finally:
            signs.take_down(self.root, name)

    def _check_seen(self) -> None:
        if not self.sign:
            return
        until = time.monotonic() + SEEN_WITHIN
        while not signs.is_seen(self.root, self.sign):
            if time.monotonic() > until:
                where = self.root if isinstance(self.root, Path) else name_of(self.root)
                raise Unfit(
                    f"{os.uname().nodename} sees another store at {where} than the one that is built into; put the "
                    "store where all machines see it under one path or URL, and name it with --store"
                )
            time.sleep(0.2)


class Done(NamedTuple):
    """What a worker says of an artifact that it was asked for."""

    built: tuple[tuple[str, float], ...]
    """The keys that it built, the one that was asked for last, and the seconds that each took."""
    peak: int
    """The most memory that the process has had so far, in bytes."""


class Hands:
    """The one store of a worker, and what it builds there."""

    def __init__(self, place: Place) -> None:
        # The process that started this one says what is built.
        os.environ["WS_QUIET"] = "1"
        self._place = place
        self._store: Store | None = None
        self._about: frozenset[Direction] = frozenset()
        """The directions that the last artifact was about."""
        self._kind: type[Recipe] | None = None
        """The kind of the last artifact."""

    def build(self, recipe: Recipe, key: str) -> Done:
        """Build an artifact. Raises: Unfit if this code gives it another key than the one that is asked for."""
        if self._store is None:
            self._store = self._place.store()
        if (mine := self._store.key(recipe)) != key:
            raise Unfit(
                f"{os.uname().nodename} has other code or libraries: {recipe.describe()} has the key {mine[:8]} there "
                f"and {key[:8]} here; install the same commit and constraints.txt on all machines"
            )
        if (about := directions_of(recipe)) != self._about:
            self._about = about
            let_go_of_updates()
        if type(recipe) is not self._kind:
            # Blocks that trainings leave between them are of no size that scoring asks for, so both would be held.
            self._kind = type(recipe)
            give_back(above=0)
        before = len(self._store.built)
        self._store.get(recipe)
        return Done(tuple((one.key, one.seconds) for one in self._store.built[before:]), peak_bytes())


def translated(future: "Future[Done]", meaning: Callable[[BaseException], BaseException]) -> "Future[Done]":
    """A future that ends as another does, with what an error of it means in place of the error."""
    told: Future[Done] = Future()
    told.set_running_or_notify_cancel()

    def pass_on(ended: "Future[Done]") -> None:
        error = CancelledError() if ended.cancelled() else ended.exception()
        if error is None:
            told.set_result(ended.result())
        else:
            told.set_exception(meaning(error))

    future.add_done_callback(pass_on)
    return told


def peak_bytes() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
