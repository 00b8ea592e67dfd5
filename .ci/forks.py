"""Running collected tests in a fork of this process, so that whatever they or a change to the code do ends with it."""

import math
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from typing import TextIO

import pytest

SAID = os.dup(1)
"""Where this process was told to print, which pytest takes hold of."""

WAITING = 3
"""How many times as long as it may compute a fork may take in all."""


def say(text: str) -> None:
    """Print past pytest's capture."""
    os.write(SAID, f"{text}\n".encode())


def first_failure(
    items: Sequence[pytest.Item], begin: Callable[[], None] = lambda: None, *, limit: float
) -> str | None:
    """The first test that fails in a fork that starts with `begin`, or None if all pass.

    `limit` is in seconds of the processor's time, so that other work on the machine fails nothing; a fork that waits
    may take longer.
    """
    overdue = f"took more than {limit:.0f} s"
    with tempfile.TemporaryFile("w+") as heard:
        pid = os.fork()
        if pid == 0:
            _, most = resource.getrlimit(resource.RLIMIT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), most))
            os._exit(run_until_failure(items, begin, heard))
        deadline = time.monotonic() + WAITING * limit
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
                    return overdue
                heard.seek(0)
                if status != 0 and not (said := heard.read()):
                    raise RuntimeError(f"the process died with status {status}; it has printed why")
                return said if status else None
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return overdue


def seconds_of_forks() -> float:
    """How long forks that have ended computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_until_failure(items: Sequence[pytest.Item], begin: Callable[[], None], told: TextIO) -> int:
    """The exit status of a process that ends with it, after it has told what failed first."""
    config = items[0].config
    config.pluginmanager.unregister(name="terminalreporter")
    failures: list[str] = []

    class Listener:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failures.append(report.nodeid)

    config.pluginmanager.register(Listener())
    try:
        begin()
        for item, following in zip(items, [*items[1:], None], strict=True):
            config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if failures:
                break
    except BaseException:
        # Nothing of the parent's may run on in a fork.
        traceback.print_exc(file=sys.__stderr__)
        return 2
    print(*failures, end="", file=told, flush=True)
    return int(bool(failures))
