"""The sole right to build a key, among threads, processes and machines: `<root>/locks/<key>.lock`.

The operating system frees the lock of a process that dies. Where a server keeps the locks of several machines, one may
outlive its machine: so a holder touches its file now and then, and who waits takes over a file that nobody touches. It
measures that with its own clock, so the clocks of two machines need not agree. The file is gone once the lock is free.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ws.store import owners, progress
from ws.store.placing import make_folder

FOLDER = "locks"
SECONDS_OF_SILENT_WAITING = 5.0
SECONDS_BETWEEN_BEATS = 30.0
SECONDS_UNTIL_STALE = 600.0
"""For so long nobody may have touched the lock of another machine before it is taken over: twenty beats."""

Identity = tuple[int, int] | None
"""Which file lies under a path and when it was touched; None if none does."""


@contextmanager
def held(root: Path, key: str, *, what: str) -> Iterator[None]:
    """The lock of a key, once nobody else has it; `what` says in words what is waited for."""
    path = _path(root, key)
    lock = _waited_for(path, what)
    with _released(lock, path), _beating(path):
        yield


@contextmanager
def held_if_free(root: Path, key: str) -> Iterator[bool]:
    """The lock of a key for a moment; False if somebody else has it."""
    path = _path(root, key)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    with _released(lock, path):
        yield True


def _path(root: Path, key: str) -> Path:
    make_folder(root / FOLDER)
    return root / FOLDER / f"{key}.lock"


@contextmanager
def _released(lock: FileLock, path: Path) -> Iterator[None]:
    """Name the holder in the file; in the end remove it and release the lock.

    Whoever opened the file before it was removed finds it without a name once it has the lock, and opens another.
    """
    file = _file(path)
    try:
        with suppress(OSError):  # a full disk: nobody reads who it is, and the lock holds
            path.write_text(owners.written(owners.me()), encoding="utf-8")
        yield
    finally:
        # After a takeover the path is another's.
        if _file(path) == file:
            with suppress(OSError):  # a system that removes no open files keeps it
                path.unlink()
        lock.release()


@contextmanager
def _beating(path: Path) -> Iterator[None]:
    """Touch a file now and then, as long as this process lives."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(SECONDS_BETWEEN_BEATS):
            with suppress(OSError):
                os.utime(path)

    threading.Thread(target=beat, daemon=True, name=f"lock {path.stem[:6]}").start()
    try:
        yield
    finally:
        over.set()


def _waited_for(path: Path, what: str) -> FileLock:
    lock, seen, since, is_said = FileLock(path), _identity(path), time.monotonic(), False
    while True:
        try:
            lock.acquire(timeout=SECONDS_OF_SILENT_WAITING)
        except Timeout:
            if not is_said:
                owner = owners.owner_in(path)
                progress.say(f"waiting for another process to build {what}{f' ({owner})' if owner else ''}")
                is_said = True
            if (identity := _identity(path)) != seen:
                seen, since = identity, time.monotonic()
            elif time.monotonic() - since > SECONDS_UNTIL_STALE:
                _take_over(path, seen, what)
        else:
            return lock


def _take_over(path: Path, stale: Identity, what: str) -> None:
    """Remove a lock file that another machine has left, unless it is no longer the one that was looked at."""
    guard = path.with_name("takeover.lock")
    lock = FileLock(guard)
    lock.acquire()
    with _released(lock, guard):
        owner = owners.owner_in(path)
        if owner is None or owner.machine == owners.this_machine() or _identity(path) != stale:
            return
        path.unlink(missing_ok=True)
    minutes = SECONDS_UNTIL_STALE / 60
    progress.say(f"took over {what} from {owner}: no sign of life for {minutes:.0f} minutes")


def _identity(path: Path) -> Identity:
    with suppress(OSError):
        status = path.stat()
        return status.st_ino, status.st_mtime_ns
    return None


def _file(path: Path) -> int | None:
    """The number of the file under a path, whenever it was touched."""
    identity = _identity(path)
    return None if identity is None else identity[0]
