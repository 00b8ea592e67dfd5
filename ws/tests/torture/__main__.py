"""`python -m ws.tests.torture`: torment stores, count, print a table; status 1 if anything was lost or wrong."""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ws.store import Store
from ws.store.recipes import Recipe
from ws.tests.torture.children import child, end_of
from ws.tests.torture.damages import damages
from ws.tests.torture.kills import kills
from ws.tests.torture.machines import apart, common, skewed, stale
from ws.tests.torture.power import power
from ws.tests.torture.recipes import all_of, quick
from ws.tests.torture.sameness import Whole
from ws.tests.torture.tally import Tally, table
from ws.tests.torture.versions import versions
from ws.tests.torture.workers import workers


@dataclass(frozen=True)
class Size:
    """How often each thing is done."""

    kills: int
    real_kills: int
    damages: int
    real_damages: int
    workers: int
    real_workers: int
    losses: int
    machines: int


FULL = Size(200, 200, 500, 500, 20, 2, 500, 20)
SHORT = Size(16, 0, 60, 0, 2, 0, 40, 2)
"""Without the tiny model, which needs torch."""


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ws.tests.torture", description=__doc__)
    parser.add_argument("--short", action="store_true", help="some of everything, without a model, in seconds")
    parser.add_argument("--only", nargs="+", metavar="PART", help="parts whose names begin so")
    parser.add_argument("--seed", type=int, default=0, help="draws moments and damages (0)")
    chosen = parser.parse_args(words)
    os.environ["WS_QUIET"] = "1"
    tallies = []
    with tempfile.TemporaryDirectory(prefix="ws-torture-") as room:
        for name, run in parts(SHORT if chosen.short else FULL, Path(room), chosen.seed):
            if chosen.only and not name.startswith(tuple(chosen.only)):
                continue
            began = time.monotonic()
            tally = run()
            tally.seconds = time.monotonic() - began
            print(table([tally]).splitlines()[1], file=sys.stderr, flush=True)
            tallies.append(tally)
    print(table(tallies), end="")
    return 0 if tallies and all(tally.is_good for tally in tallies) else 1


def parts(size: Size, room: Path, seed: int) -> Iterator[tuple[str, Callable[[], Tally]]]:
    """Each part by its name; what it needs is made when it runs."""
    few, some = quick(4), quick(12)
    made = dict[str, Whole]()

    def whole(name: str, recipes: Sequence[Recipe]) -> Whole:
        if name not in made:
            made[name] = _whole(room / f"whole {name}", recipes)
        return made[name]

    def on(name: str, recipes: Sequence[Recipe], run: Callable[..., Tally], count: int, **more: float) -> Tally:
        place = room / "room"
        return run(
            name, recipes, whole(str(len(recipes)), recipes), place, count=count, rng=random.Random(seed), **more
        )

    yield "kills", lambda: on("kills", some, kills, size.kills, seconds=0.3)
    yield "damages", lambda: on("damages", few, damages, size.damages)
    yield "workers", lambda: on("workers", some, workers, size.workers)
    yield "power", lambda: on("power", few, power, size.losses)
    yield "stale lock", lambda: on("stale lock", few, stale, size.machines)
    yield "skewed clock", lambda: on("skewed clock", few, skewed, size.machines)
    yield "two machines", lambda: on("two machines", some, common, size.machines)
    yield "machines apart", lambda: on("machines apart", some, apart, size.machines)
    yield (
        "two versions",
        lambda: versions("two versions", room / "versions", count=size.machines, rng=random.Random(seed)),
    )
    if not size.real_kills:
        return
    from ws.tests.torture.tiny import tiny

    real = tiny()
    yield "tiny: damages", lambda: on("tiny: damages", real, damages, size.real_damages)
    yield "tiny: workers", lambda: on("tiny: workers", real, workers, size.real_workers)
    yield "tiny: kills", lambda: on("tiny: kills", real, kills, size.real_kills, seconds=6.0)


def _whole(root: Path, recipes: Sequence[Recipe]) -> Whole:
    """A store that a process has built that nothing was done to."""

    def build() -> None:
        store = Store(root)
        for recipe in all_of(recipes):
            store.get(recipe)

    if status := end_of(child(build)):
        raise RuntimeError(f"an undisturbed build ended with status {status}")
    return Whole.of(root)


if __name__ == "__main__":
    sys.exit(main())
