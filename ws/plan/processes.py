"""Workers that are processes of this machine, one thread each, so that a result does not depend on how many there are.

Each is a pool of its own, so that one that dies takes no other with it. On Linux they are forked from a process that
has imported what all of them need and done nothing else, so that they share its memory.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

from ws.errors import DataError
from ws.plan.building import WorkerDied
from ws.plan.forgetting import let_go_of_updates
from ws.plan.needs import Needs, Node, Nodes
from ws.plan.orphans import end_with_parent
from ws.plan.place import ONE_THREAD, Done, Hands, Place, translated
from ws.store import Recipe
from ws.store.memory import available_bytes

T = TypeVar("T")
R = TypeVar("R")

HERE = "this machine"

SHARED = "ws.plan.shared"
"""The module that imports what all workers need, once for all of them."""


class Process:
    """A worker."""

    def __init__(self, place: Place, gpu: str | None, given_back: Callable[[str], None]) -> None:
        """`gpu` is the one that it alone has, `given_back` is told when it has it no more."""
        self._gpu, self._given_back = gpu, given_back
        # A forked process has the environment of the one that it is forked from, which may be of an earlier run.
        told = place, gpu, dict(os.environ)
        self._running = ProcessPoolExecutor(1, mp_context=beginnings(place.device), initializer=_begin, initargs=told)

    def build(self, recipe: Recipe, key: str) -> "Future[Done]":
        """Have an artifact built; what it raises, or WorkerDied."""
        try:
            return translated(self._running.submit(_build, recipe, key), _meaning)
        except BrokenProcessPool as error:  # it died while it had nothing to do
            died: Future[Done] = Future()
            died.set_exception(_meaning(error))
            return died

    def end(self) -> None:
        """End the process, in the middle of a build if there is one; the store takes no half an artifact."""
        processes = list((self._running._processes or {}).values())
        for process in processes:
            process.terminate()
        self._running.shutdown(wait=True, cancel_futures=True)
        if self._gpu is not None:
            self._given_back(self._gpu)
            self._gpu = None


class Processes:
    """The engine of one machine."""

    def __init__(self, place: Place, workers: int) -> None:
        self._place = place
        self._free = visible_gpus() if place.device != "cpu" else []
        self._nodes = this_machine(workers, gpus=len(self._free))

    def nodes(self) -> Nodes:
        return self._nodes

    def start(self, node: str, needs: Needs) -> Process:
        return Process(self._place, self._free.pop(0) if needs.gpus else None, self._free.append)


def beginnings(device: str) -> BaseContext:
    """How processes begin that compute on a device: forked where Linux shares memory between them, else each from
    nothing, as CUDA wants it."""
    if sys.platform != "linux" or device != "cpu":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([SHARED])
    # It must find the code that this process runs, wherever it begins.
    with _environment({"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}):
        forkserver.ensure_running()
    return context


def side_by_side(work: Callable[[T], R], items: Iterable[T], *, workers: int) -> Iterator[R]:
    """What `work` gives for each item, as it comes, from processes of one thread each, on the CPU.

    Raises: what `work` raises, once the others have ended what they are at; WorkerDied if a process does.
    """
    with _environment(ONE_THREAD):
        pool = ProcessPoolExecutor(
            workers, mp_context=beginnings("cpu"), initializer=_begin_with, initargs=(work, dict(os.environ))
        )
        try:
            for done in as_completed([pool.submit(_do, item) for item in items]):
                yield done.result()
        except BrokenProcessPool as error:
            raise _meaning(error) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _meaning(error: BaseException) -> BaseException:
    return WorkerDied(str(error)) if isinstance(error, BrokenProcessPool) else error


@contextmanager
def processes(place: Place, workers: int) -> Iterator[Processes]:
    """The engine of this machine, in whose context workers start with one thread each."""
    with _environment(ONE_THREAD):
        yield Processes(place, workers)


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    """Inside, these variables have these values, and so they have in processes that begin here."""
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def this_machine(workers: int, *, gpus: int = 0) -> Nodes:
    """This machine with a core for each of some workers, and the memory that is free now."""
    return {HERE: Node(workers, float(available_bytes() or "inf"), gpus)}


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """The names by which a process can be given one of the GPUs that this process sees."""
    import torch

    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = [name.strip() for name in chosen.split(",")] if chosen else []
    return named or [str(number) for number in range(torch.cuda.device_count())]


_hands: Hands | None = None


def _begin(place: Place, gpu: str | None, environment: Mapping[str, str]) -> None:
    global _hands
    os.environ.clear()
    os.environ.update(environment)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    end_with_parent()
    _hands = Hands(place)


_work: Callable[[Any], Any] | None = None


def _begin_with(work: Callable[[Any], Any], environment: Mapping[str, str]) -> None:
    global _work
    os.environ.clear()
    os.environ.update(environment, WS_QUIET="1")
    end_with_parent()
    _work = work


def _do(item: Any) -> Any:
    if _work is None:
        raise DataError("a process without work; begin it with what to do")
    try:
        return _work(item)
    finally:
        let_go_of_updates()


def _build(recipe: Recipe, key: str) -> Done:
    if _hands is None:
        raise DataError("a worker without a store; start it with a Place")
    return _hands.build(recipe, key)
