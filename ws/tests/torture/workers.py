"""Eight processes on one store, each asking for everything in an order of its own: each artifact is built once."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ws.store import Recipe, Store
from ws.tests.torture.children import child, end_of
from ws.tests.torture.kills import emptied
from ws.tests.torture.recipes import all_of
from ws.tests.torture.sameness import Whole, judge, judge_leftovers
from ws.tests.torture.tally import Tally

WORKERS = 8


def workers(part: str, wanted: Sequence[Recipe], whole: Whole, room: Path, *, count: int, rng: random.Random) -> Tally:
    """So many stores, each built by all workers at once."""
    tally = Tally(part)
    everything = all_of(wanted)
    for _ in range(count):
        root, notes = emptied(room / "store", whole), room / "notes"
        notes.mkdir(exist_ok=True)
        pids = []
        for number in range(WORKERS):
            order = rng.sample(everything, len(everything))
            pids.append(child(partial(_build, root, order, notes / str(number))))
        if any([end_of(pid) for pid in pids]):
            tally.blame("lost", "a worker failed")
        built = Counter(key for note in notes.iterdir() for key in json.loads(note.read_text()))
        for key, times in built.items():
            if times > 1:
                tally.blame("twice", f"{key} was built {times} times")
        judge(root, whole, tally, complete=True)
        judge_leftovers(root, tally)
        tally.done += 1
        tally.said["artifacts built"] += built.total()
        for note in notes.iterdir():
            note.unlink()
    return tally


def _build(root: Path, order: Sequence[Recipe], note: Path) -> None:
    store = Store(root)
    for recipe in order:
        store.get(recipe)
    note.write_text(json.dumps([one.key for one in store.built]))
