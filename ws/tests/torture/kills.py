"""kill -9 at random moments of builds: half of them at a random work on files, half of them at a random time."""

import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ws.store import Recipe, Store
from ws.tests.torture.children import child, die_at, end_of
from ws.tests.torture.recipes import all_of
from ws.tests.torture.sameness import Whole, contents, judge, judge_leftovers
from ws.tests.torture.tally import Tally

EVENTS_AT_MOST = 120
"""A build of one artifact works some 40 times on files of the store."""


def kills(
    part: str,
    wanted: Sequence[Recipe],
    whole: Whole,
    room: Path,
    *,
    count: int,
    rng: random.Random,
    seconds: float,
    kept: Sequence[str] = (),
) -> Tally:
    """Build the same recipes in one store after the other, killed every time, until so many builds have been killed.

    `seconds` is about how long a build of all takes; artifacts of the kinds that are `kept` are there from the start in
    all stores but one in five, since they take longest.
    """
    # All of them: some inputs are only read through others, and nobody else asks for them.
    tally, everything = Tally(part), all_of(wanted)
    while tally.done < count:
        root = emptied(room, whole, kept=kept if tally.said["stores completed"] % 5 else ())
        while not _is_complete(root, everything):
            before = set(contents(root))
            event = rng.randrange(1, EVENTS_AT_MOST) if tally.done % 2 else None
            pid = child(partial(_build, root, everything, event))
            if event is None:
                time.sleep(rng.uniform(0, seconds / 3))
                os.kill(pid, signal.SIGKILL)
            end = end_of(pid)
            if end == 0:
                tally.said["builds that ended"] += 1
            elif end == -signal.SIGKILL:
                tally.done += 1
            else:
                tally.blame("lost", f"a build ended with status {end}")
            judge(root, whole, tally, complete=False)
            for name in before - set(contents(root)):
                tally.blame("lost", name)
            # A part that cannot come to its end has shown enough.
            if tally.bad.total() > count:
                return tally
        Store(root).tidy()
        judge(root, whole, tally, complete=True)
        judge_leftovers(root, tally)
        tally.said["stores completed"] += 1
    return tally


def _build(root: Path, wanted: Sequence[Recipe], event: int | None) -> None:
    if event is not None:
        die_at(event, root)
    store = Store(root)
    for recipe in wanted:
        store.get(recipe)


def _is_complete(root: Path, wanted: Sequence[Recipe]) -> bool:
    store = Store(root)
    return all(store.has(recipe) for recipe in wanted)


def emptied(room: Path, whole: Whole, *, kept: Sequence[str] = ()) -> Path:
    """A store without artifacts, but for these kinds, and with the hashes of code, which take a second to work out."""
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir(parents=True)
    for name in ("sources", *kept):
        if (whole.root / name).is_dir():
            shutil.copytree(whole.root / name, room / name)
    return room
