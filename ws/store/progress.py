"""Progress of long runs: on a terminal one line with a bar and the time left, elsewhere a line now and then.

Everything goes to one stream, standard error unless `use` names another, and nothing at all while WS_QUIET=1.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TYPE_CHECKING, TypeVar

from ws.live.builds import SECONDS_BETWEEN_LINES, Builds
from ws.live.builds import clock as clock
from ws.live.stream import Stream

if TYPE_CHECKING:
    from ws.live.line import LiveLine

T = TypeVar("T")


_chosen: Stream | None = None
_column: Callable[[], int] = int
_every_build = False
_lines: dict[Stream, "LiveLine"] = {}
builds = Builds()
"""What was built since `use` was last called."""


def use(stream: Stream | None, *, column: Callable[[], int] = int, every_build: bool = False) -> None:
    """Send progress to `stream` from now on; None goes back to whatever standard error is at the time.

    `column` says how far others have written into the line where the cursor is; with `every_build`, each artifact has
    a line of its own.
    """
    global _chosen, _column, _every_build
    _chosen, _column, _every_build = stream, column, every_build
    _lines.clear()
    builds.begin()


def say(line: str) -> None:
    """Write one line, above the live one if there is one."""
    if _quiet():
        return
    if _draws_bars():
        _live().say(line)
    else:
        begun = "\n" if _column() else ""
        print(f"{begun}{line}", file=_stream(), flush=True)


def built(name: str, seconds: float, key: str) -> None:
    """Count an artifact that was built, and say so: each, or now and then, or on a terminal by the live line alone."""
    builds.count(key)
    if _every_build or (builds.is_time_to_say and not _draws_bars()):
        say(f"built {builds.news(name)}  {seconds:.1f} s  {key[:6]}")


@contextlib.contextmanager
def under_way(name: str) -> Iterator[None]:
    """A context that the live line of a terminal shows."""
    if _quiet() or not _draws_bars():
        yield
    else:
        with _live().showing(name):
            yield


def is_live() -> bool:
    """Whether a line of a terminal shows what is under way."""
    return _draws_bars() and not _quiet()


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
        yield from _live().tracked(iterable, label, total)
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


def _live() -> "LiveLine":
    from ws.live.line import LiveLine

    stream = _stream()
    if stream not in _lines:
        _lines[stream] = LiveLine(stream, builds, lambda: _column())
    return _lines[stream]
