"""Locks of keys: one holder at a time, named, gone when free, taken over from a machine that is dead."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from ws.store import locks, owners, progress
from ws.tests.told import Told

KEY = "a" * 32


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """The lines of progress."""
    monkeypatch.setenv("WS_QUIET", "0")
    lines = Told()
    monkeypatch.setattr(progress, "_chosen", lines)
    monkeypatch.setattr(progress, "_column", int)
    return lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the lock, before there is one."""
    (tmp_path / locks.FOLDER).mkdir()
    return tmp_path / locks.FOLDER / f"{KEY}.lock"


def test_a_lock_names_its_holder_and_is_gone_when_it_is_free(tmp_path: Path, path: Path) -> None:
    with locks.held(tmp_path, KEY, what="it"):
        owner = owners.owner_in(path)
        assert owner is not None
        assert (owner.pid, owner.machine) == (os.getpid(), owners.this_machine())
        with locks.held_if_free(tmp_path, KEY) as is_free:
            assert not is_free
        assert path.exists()
    assert not path.exists()
    with locks.held_if_free(tmp_path, KEY) as is_free:
        assert is_free
        assert path.exists()
    assert not path.exists()


def test_one_holds_it_at_a_time_though_its_file_comes_and_goes(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(20):
            with locks.held(tmp_path, KEY, what="it"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                os.sched_yield()
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert most == [1]
    assert list((tmp_path / locks.FOLDER).iterdir()) == []


def test_who_waited_for_a_file_that_is_gone_takes_the_new_one(tmp_path: Path, path: Path) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    with locks.held(tmp_path, KEY, what="it"):
        pass
    # The file that was opened before is no longer the lock.
    assert os.fstat(handle).st_nlink == 0
    os.close(handle)


class Busy(FileLock):
    """The lock of another, which stays busy for some tries, or until its file is gone."""

    left = 6

    def acquire(self, timeout: float | None = None, **_: Any) -> Any:
        self.left -= 1
        if self.left > 0 and Path(self.lock_file).exists():
            self.touched()
            raise Timeout(self.lock_file)

    def touched(self) -> None: ...


class Beating(Busy):
    """One that is touched now and then."""

    def touched(self) -> None:
        os.utime(self.lock_file, (self.left, self.left))


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour passes whenever somebody looks at the clock."""
    passed: Iterator[int] = iter(range(0, 3600 * 1000, 3600))
    monkeypatch.setattr(locks.time, "monotonic", lambda: next(passed))


def waited(monkeypatch: pytest.MonkeyPatch, path: Path, busy: type[Busy] = Busy) -> bool:
    """Whether a waiter took the lock over."""
    theirs = busy(path)
    monkeypatch.setattr(locks, "FileLock", lambda at: theirs if at == path else FileLock(at))
    locks._waited_for(path, "it")
    return not path.exists()


def dead(machine: str = "f" * 12) -> str:
    return owners.written(owners.Owner(machine, "node7", 123, "2026-01-01T00:00:00+00:00"))


@pytest.mark.usefixtures("hours")
def test_the_lock_of_a_dead_machine_is_taken_over(monkeypatch: pytest.MonkeyPatch, path: Path, told: Told) -> None:
    path.write_text(dead())
    assert waited(monkeypatch, path)
    assert told == [
        "waiting for another process to build it (process 123 on node7, since 2026-01-01T00:00:00+00:00)",
        "took over it from process 123 on node7, since 2026-01-01T00:00:00+00:00: no sign of life for 10 minutes",
    ]


@pytest.mark.usefixtures("hours")
def test_the_lock_of_a_machine_that_gives_signs_of_life_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    path.write_text(dead())
    assert not waited(monkeypatch, path, Beating)


@pytest.mark.usefixtures("hours")
@pytest.mark.parametrize("said", [dead(owners.this_machine()), "", "{", '{"machine": 3}', "[" * 2000, " " * 5000])
def test_a_lock_of_this_machine_or_of_nobody_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, path: Path, said: str
) -> None:
    path.write_text(said)
    assert not waited(monkeypatch, path)


def test_of_two_that_take_over_the_second_finds_the_lock_of_the_first(path: Path) -> None:
    path.write_text(dead())
    stale = locks._identity(path)
    path.unlink()
    path.write_text(dead())
    os.utime(path, (1, 1))
    locks._take_over(path, stale, "it")
    assert path.exists()


def test_who_lost_a_lock_to_a_takeover_leaves_the_new_one_alone(tmp_path: Path, path: Path) -> None:
    with locks.held(tmp_path, KEY, what="it"):
        path.rename(path.with_name("other"))
        path.write_text("of another")
    assert path.read_text() == "of another"


def test_a_holder_touches_its_file(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched = threading.Event()
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_BEATS", 0.001)
    monkeypatch.setattr(locks.os, "utime", lambda at: touched.set() if at == path else None)
    with locks.held(tmp_path, KEY, what="it"):
        assert touched.wait(timeout=30)
