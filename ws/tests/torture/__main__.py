"""`python -m ws.tests.torture`: torment stores, count, print a table; status 1 if anything was lost or wrong."""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
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


FULL = Size(200, 200, 700, 300, 10, 1, 200, 10)
SHORT = Size(12, 0, 40, 0, 1, 0, 25, 1)
"""Without the tiny model, which needs torch."""


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ws.tests.torture", description=__doc__)
    parser.add_argument("--short", action="store_true", help="some of everything, without a model, in seconds")
    parser.add_argument("--only", nargs="+", metavar="PART", help="parts whose names begin so")
    parser.add_argument("--seed", type=int, default=0, help="draws moments and damages (0)")
    chosen = parser.parse_args(words)
    os.environ |= {"WS_QUIET": "1", "TOKENIZERS_PARALLELISM": "false"}
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
    few, some = tuple(quick(4)), tuple(quick(12))

    @cache
    def whole(recipes: tuple[Recipe, ...]) -> Whole:
        return _whole(room / f"whole {len(recipes)}", recipes)

    def on(recipes: tuple[Recipe, ...], run: Callable[..., Tally], part: str, count: int, **more: object) -> Tally:
        return run(part, recipes, whole(recipes), room / "room", count=count, rng=random.Random(seed), **more)

    def on_tiny(run: Callable[..., Tally], part: str, count: int, **more: object) -> Tally:
        from ws.tests.torture.tiny import tiny, warm

        real = tuple(tiny())
        warm(Store(whole(real).root))
        return on(real, run, part, count, **more)

    slow = ("ModelWeights", "SelfCheck")
    yield "kills", lambda: on(some, kills, "kills", size.kills, seconds=0.3)
    yield "damages", lambda: on(few, damages, "damages", size.damages)
    yield "workers", lambda: on(some, workers, "workers", size.workers)
    yield "power", lambda: on(few, power, "power", size.losses)
    yield "stale lock", lambda: on(few, stale, "stale lock", size.machines)
    yield "skewed clock", lambda: on(few, skewed, "skewed clock", size.machines)
    yield "two machines", lambda: on(some, common, "two machines", size.machines)
    yield "machines apart", lambda: on(some, apart, "machines apart", size.machines)
    yield "two versions", lambda: versions("two versions", room / "v", count=size.machines, rng=random.Random(seed))
    if size.real_kills:
        yield "tiny: damages", lambda: on_tiny(damages, "tiny: damages", size.real_damages)
        yield "tiny: kills", lambda: on_tiny(kills, "tiny: kills", size.real_kills, seconds=6.0, kept=slow)
        yield "tiny: workers", lambda: on_tiny(workers, "tiny: workers", size.real_workers)


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
