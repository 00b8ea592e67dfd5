"""Several machines on one store: a dead one's lock, clocks that disagree, locks that are common to them or are not."""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from filelock import FileLock

from ws.store import Recipe, Store, locks, owners
from ws.store.scratch import SECONDS_UNTIL_ABANDONED
from ws.tests.torture.children import SECONDS_AT_MOST, child, end_of
from ws.tests.torture.kills import emptied
from ws.tests.torture.recipes import all_of
from ws.tests.torture.sameness import Whole, judge, judge_leftovers
from ws.tests.torture.tally import Tally

A_YEAR = 365 * 24 * 3600.0
SOON = 1.5
"""Seconds after which a lock that nobody touches is taken over, in place of minutes."""


def stale(part: str, wanted: Sequence[Recipe], whole: Whole, room: Path, *, count: int, rng: random.Random) -> Tally:
    """A lock server keeps the lock of a machine that is dead, with half an artifact in tmp/; the build goes on."""
    tally, everything = Tally(part), all_of(wanted)
    for _ in range(count):
        root = emptied(room, whole)
        recipe = rng.choice(everything)
        key = Store(root).key(recipe)
        path = root / locks.FOLDER / f"{key}.lock"
        path.parent.mkdir()
        half = root / "tmp" / f"{key}-{'f' * 12}-1"
        half.mkdir(parents=True)
        (half / "half.txt").write_text("half")
        with FileLock(path):
            path.write_text(owners.written(owners.Owner("f" * 12, "dead", 1, _now(rng))))
            _ended(tally, child(partial(_on_a_machine, room, 1, partial(_build, root, wanted), patience=SOON)))
        judge(root, whole, tally, complete=True)
        if not half.exists():
            tally.blame("lost", "half an artifact of another machine, which may still be at work")
        os.utime(half / "half.txt", (0, 0))
        os.utime(half, (0, 0))
        Store(root).tidy()
        judge_leftovers(root, tally)
        tally.done += 1
    return tally


def skewed(part: str, wanted: Sequence[Recipe], whole: Whole, room: Path, *, count: int, rng: random.Random) -> Tally:
    """A machine whose clock is off by up to a year holds a lock and touches it; who waits does not take it over."""
    tally, everything = Tally(part), all_of(wanted)
    for _ in range(count):
        root = emptied(room, whole)
        recipe = rng.choice(everything)
        off = rng.uniform(-A_YEAR, A_YEAR)
        path = root / locks.FOLDER / f"{Store(root).key(recipe)}.lock"
        path.parent.mkdir()
        lock = FileLock(path)
        lock.acquire()
        path.write_text(owners.written(owners.Owner("f" * 12, "skewed", 1, _now(rng))))
        pid = child(partial(_on_a_machine, room, 1, partial(_build, root, wanted), patience=SOON))
        until = time.monotonic() + 2 * SOON
        while time.monotonic() < until:
            os.utime(path, (time.time() + off,) * 2)
            time.sleep(SOON / 50)
        if not path.exists() or Store(root).has(recipe):
            tally.blame("twice", f"the lock of a live machine was taken over, its clock off by {off:.0f} s")
        path.unlink(missing_ok=True)
        lock.release()
        _ended(tally, pid)
        # What it left may look new or old by its own clock, never by the disk's.
        _leave(root, age=off)
        Store(root).tidy()
        judge(root, whole, tally, complete=True)
        tally.done += 1
    return tally


def common(part: str, wanted: Sequence[Recipe], whole: Whole, room: Path, *, count: int, rng: random.Random) -> Tally:
    """Two machines that have their locks from one server build each artifact once."""
    return _both(part, wanted, whole, room, count=count, rng=rng, have_common_locks=True)


def apart(part: str, wanted: Sequence[Recipe], whole: Whole, room: Path, *, count: int, rng: random.Random) -> Tally:
    """Two machines whose locks do not reach each other may both build one, and neither harms the other."""
    return _both(part, wanted, whole, room, count=count, rng=rng, have_common_locks=False)


def _both(
    part: str,
    wanted: Sequence[Recipe],
    whole: Whole,
    room: Path,
    *,
    count: int,
    rng: random.Random,
    have_common_locks: bool,
) -> Tally:
    tally, everything = Tally(part), all_of(wanted)
    for _ in range(count):
        root = emptied(room / "store", whole)
        pids = []
        for number in (1, 2):
            order = everything if not have_common_locks else rng.sample(everything, len(everything))
            build = partial(_build, root, order, room / f"built {number}")
            folder = locks.FOLDER if have_common_locks else f"locks of {number}"
            pids.append(child(partial(_on_a_machine, room, number, build, folder=folder, patience=SECONDS_AT_MOST)))
        for pid in pids:
            _ended(tally, pid)
        built = Counter(key for number in (1, 2) for key in json.loads((room / f"built {number}").read_text()))
        again = sum(times > 1 for times in built.values())
        if have_common_locks and again:
            tally.blame("twice", f"{again} artifacts")
        tally.said["built by both"] += again
        judge(root, whole, tally, complete=True)
        judge_leftovers(root, tally)
        tally.done += 1
    return tally


def _on_a_machine(
    room: Path, number: int, work: Callable[[], None], *, folder: str = locks.FOLDER, patience: float
) -> None:
    """Do some work as if on another machine; only in a process that ends with it."""
    boot = room / f"boot {number}"
    boot.write_text(f"boot of machine {number}")
    owners.BOOT_ID = boot
    locks.FOLDER = folder
    locks.SECONDS_OF_SILENT_WAITING, locks.SECONDS_UNTIL_STALE = SOON / 10, patience
    work()


def _build(root: Path, order: Sequence[Recipe], note: Path | None = None) -> None:
    store = Store(root)
    for recipe in order:
        store.get(recipe)
    if note is not None:
        note.write_text(json.dumps([one.key for one in store.built]))


def _ended(tally: Tally, pid: int) -> None:
    if status := end_of(pid):
        tally.blame("lost", f"a build ended with status {status}")


def _leave(root: Path, *, age: float) -> None:
    """Half an artifact of another machine, dated by its clock."""
    half = root / "tmp" / f"{'a' * 32}-{'f' * 12}-1"
    half.mkdir()
    os.utime(half, (time.time() - age - SECONDS_UNTIL_ABANDONED,) * 2)


def _now(rng: random.Random) -> str:
    """What a clock says that is off by as much as a year."""
    return (datetime.now(UTC) + timedelta(seconds=rng.uniform(-A_YEAR, A_YEAR))).isoformat(timespec="seconds")
