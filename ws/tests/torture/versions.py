"""Two versions of the code on one store: each is served what its own code makes, and they share what is the same."""

import importlib
import json
import random
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from ws.store import Store
from ws.tests.torture.children import child, end_of
from ws.tests.torture.sameness import judge_leftovers
from ws.tests.torture.tally import Tally

PACKAGE = "torture_paints"
CODE = '''
"""Paints, in one version of their code."""

import time
from dataclasses import dataclass
from pathlib import Path

from ws.store import Recipe, Store

SHADE = "{shade}"


@dataclass(frozen=True)
class Pot(Recipe):
    number: int

    def build(self, out: Path, store: Store) -> None:
        time.sleep(0.002)
        (out / "pot.txt").write_text(f"pot {{self.number}}")


@dataclass(frozen=True)
class Paint(Recipe):
    pot: Pot

    def build(self, out: Path, store: Store) -> None:
        time.sleep(0.002)
        (out / "paint.txt").write_text(f"{{SHADE}} in {{(store.get(self.pot) / 'pot.txt').read_text()}}")
'''
PAINTS, SHADES = 8, ("red", "blue")


def versions(part: str, room: Path, *, count: int, rng: random.Random) -> Tally:
    """So many stores, each used by four processes, two of each version."""
    tally = Tally(part)
    for shade in SHADES:
        (room / shade).mkdir(parents=True)
        (room / shade / f"{PACKAGE}.py").write_text(CODE.format(shade=shade))
    for turn in range(count):
        root, pids = room / f"store {turn}", []
        for number, shade in enumerate((*SHADES, *SHADES)):
            order, note = rng.sample(range(PAINTS), PAINTS), room / f"note {number}"
            pids.append(child(partial(_paint, root, room / shade, shade, order, note)))
        if any([end_of(pid) for pid in pids]):
            tally.blame("wrong", "a version failed, or was served what another has made")
        built = Counter(key for number in range(4) for key in json.loads((room / f"note {number}").read_text()))
        for key, times in built.items():
            if times > 1:
                tally.blame("twice", f"{key} was built {times} times")
        for kind, expected in (("Pot", PAINTS), ("Paint", 2 * PAINTS)):
            there = len(list((root / kind).iterdir()))
            if there != expected:
                tally.blame("lost" if there < expected else "wrong", f"{there} of kind {kind}, expected {expected}")
        judge_leftovers(root, tally)
        tally.done += 1
    return tally


def _paint(root: Path, place: Path, shade: str, order: list[int], note: Path) -> None:
    sys.path.insert(0, str(place))
    sys.modules.pop(PACKAGE, None)
    sys.dont_write_bytecode = True
    paints = importlib.import_module(PACKAGE)
    store = Store(root)
    for number in order:
        home = store.get(paints.Paint(paints.Pot(number)))
        text = (home / "paint.txt").read_text()
        if text != f"{shade} in pot {number}":
            raise AssertionError(f"{shade} was served {text!r}")
    note.write_text(json.dumps([one.key for one in store.built]))
