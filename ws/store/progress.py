"""Progress of long runs: on a terminal a bar with the time left, elsewhere a line now and then.

Everything goes to one stream, standard error unless `use` names another, and nothing at all while WS_QUIET=1.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from functools import cache
from typing import IO, TYPE_CHECKING, Protocol, TypeVar, cast, runtime_checkable

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")


@runtime_checkable
class Stream(Protocol):
    """What progress needs of a text file."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...
    def isatty(self) -> bool: ...
    def __hash__(self) -> int: ...


SECONDS_BETWEEN_LINES = 10.0

_chosen: Stream | None = None


def use(stream: Stream | None) -> None:
    """Send progress to `stream` from now on; None goes back to whatever standard error is at the time."""
    global _chosen
    _chosen = stream


def say(line: str) -> None:
    """Write one line, above the bars where there are any."""
    if _quiet():
        return
    if _draws_bars():
        _console(_stream()).print(line, markup=False, highlight=False, soft_wrap=True)
    else:
        print(line, file=_stream(), flush=True)


def in_worker() -> bool:
    """Whether this process is a parallel test worker; its controller, which starts alike, has printed this already."""
    return "PYTEST_XDIST_WORKER" in os.environ


def track(iterable: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """The same items, with a report of how many are done and how long the rest will take.

    `total` is the number of items, for an `iterable` without a length.
    """
    total = len(iterable) if total is None and isinstance(iterable, Sized) else total
    if _quiet():
        yield from iterable
    elif _draws_bars():
        yield from _with_bar(iterable, label, total)
    else:
        yield from _with_lines(iterable, label, total)


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """A context without progress bars of transformers, which ignore our console and WS_QUIET."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def clock(seconds: float) -> str:
    """A duration as m:ss, or h:mm:ss from one hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _with_bar(iterable: Iterable[T], label: str, total: int | None) -> Iterator[T]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=_console(_stream()), transient=True) as bars:
        task = bars.add_task(label, total=total)
        for item in iterable:
            yield item
            bars.advance(task)


def _with_lines(iterable: Iterable[T], label: str, total: int | None) -> Iterator[T]:
    started = said = time.monotonic()
    for done, item in enumerate(iterable, start=1):
        yield item
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN_LINES:
            said = now
            say(_line(label, done, total, elapsed=now - started))


def _line(label: str, done: int, total: int | None, *, elapsed: float) -> str:
    if total is None:
        return f"{label} {done}, {clock(elapsed)} so far"
    return f"{label} {done}/{total}, {clock(elapsed / done * max(total - done, 0))} left"


def _stream() -> Stream:
    return sys.stderr if _chosen is None else _chosen


def _quiet() -> bool:
    return os.environ.get("WS_QUIET") == "1"


def _draws_bars() -> bool:
    """Whether bars can be drawn: not by parallel test workers, whose bars would overwrite each other."""
    return _stream().isatty() and not in_worker()


@cache
def _console(stream: Stream) -> "Console":
    """The console of a stream, only one for each, so that nested bars and lines do not overwrite each other."""
    from rich.console import Console

    return Console(file=cast("IO[str]", stream))
