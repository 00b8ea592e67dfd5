"""Processes that share what this one has imported: each is a fork, which starts in a moment."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

SECONDS_AT_MOST = 600.0
"""A child that takes longer waits for something that never comes."""

EVENTS = frozenset({"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.utime", "shutil.rmtree"})
"""What Python tells an audit hook of the files that it works on."""


def child(work: Callable[[], object]) -> int:
    """Start a process that does some work and ends; its number."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def end_of(pid: int) -> int:
    """How a child ended: its status, or minus the signal that killed it. Raises: TimeoutError if it does not end."""
    deadline = time.monotonic() + SECONDS_AT_MOST
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"a child did not end within {SECONDS_AT_MOST:.0f} s")


def die_at(event: int, root: Path) -> None:
    """From now on, kill this process with -9 right before its so manieth work on a file of a store."""
    left, inside = [event], os.fspath(root)

    def look(name: str, args: tuple[object, ...]) -> None:
        if name in EVENTS and any(
            isinstance(one, str | os.PathLike) and os.fspath(one).startswith(inside) for one in args
        ):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
