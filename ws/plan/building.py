"""Building a graph of artifacts with a pool of workers: what the most time hangs on is begun first.

A worker that dies, as for want of memory, is replaced, and what was being built is begun anew, alone; what kills two
workers that way is left out. An artifact that cannot be built takes with it only what reads it. What is finished is in
the store, so that a build that was stopped goes on where it was.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

from ws.plan.schedule import Queue, Schedule
from ws.plan.workers import Done, Pool
from ws.store import progress

MOST_DEATHS = 2
"""Of how many deaths of a worker that built nothing beside it an artifact is guilty."""


@dataclass
class Build:
    """What became of a graph."""

    seconds: dict[str, float] = field(default_factory=dict)
    """For each artifact that was built, how long it took, with those that a recipe asked for besides its inputs; 0 for
    one that was just there when a worker beside its own died."""
    failures: dict[str, str] = field(default_factory=dict)
    """For each artifact that could not be built, the reason."""
    lost: list[str] = field(default_factory=list)
    """What needs one that could not be built."""
    peak: int = 0
    """The most memory that a worker has had, in bytes."""


def build(schedule: Schedule, workers: Pool) -> Build:
    """Build all artifacts of a schedule's graph."""
    made = Build()
    progress.builds.begin(schedule.graph)
    _run(_Shift(schedule, workers, made))
    return made


@dataclass
class _Shift:
    """A build under way."""

    schedule: Schedule
    pool: Pool
    made: Build
    deaths: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.queue = Queue(self.schedule)
        self.again: list[str] = []
        """What is to be begun anew, alone."""
        self.suspects: set[str] = set()
        """What was being built when a worker died."""

    def name(self, key: str) -> str:
        return self.schedule.graph[key].recipe.describe()

    def take(self) -> str | None:
        return self.again.pop() if self.again else self.queue.take()

    def begin(self, key: str) -> "Future[Done]":
        recipe = self.schedule.graph[key].recipe
        try:
            return self.pool.submit(recipe)
        except BrokenProcessPool:  # a worker died while it had nothing to do
            self.pool.start_again()
            return self.pool.submit(recipe)

    def finish(self, key: str, done: Done) -> None:
        for one, seconds in done.built:
            self.made.seconds[one] = seconds
        self.made.seconds.setdefault(key, 0.0)
        self.made.peak = max(self.made.peak, done.peak)
        progress.built(self.name(key), dict(done.built).get(key, 0.0), key)
        self.queue.finish(key)

    def fail(self, key: str, reason: str) -> None:
        progress.say(f"cannot build {self.name(key)}: {reason}")
        self.made.failures[key] = reason
        self.made.lost += [one for one in self.queue.fail(key) if one not in self.made.lost]

    def died(self, keys: Sequence[str]) -> None:
        """A worker died of one of these: each is begun anew, alone, so that it shows of which."""
        if len(keys) == 1:
            self.deaths.update(keys)
        for key in keys:
            if self.deaths[key] < MOST_DEATHS:
                self.again.append(key)
            else:
                self.fail(key, "its worker died twice, as it does for want of memory; give it more, or fewer --workers")
        self.suspects.update(keys)
        self.pool.start_again()


def _run(shift: _Shift) -> None:
    under_way: dict[Future[Done], str] = {}
    while True:
        alone = bool(shift.again) or not shift.suspects.isdisjoint(under_way.values())
        while len(under_way) < (1 if alone else shift.pool.size) and (key := shift.take()) is not None:
            under_way[shift.begin(key)] = key
        if not under_way:
            return
        ended, _ = wait(under_way, return_when=FIRST_COMPLETED)
        dead = list[str]()
        for future in ended:
            key = under_way.pop(future)
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                dead.append(key)
            elif error is not None:
                shift.fail(key, str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
            else:
                shift.finish(key, future.result())
        if dead:
            # All others of a broken pool are lost with it.
            shift.died([*dead, *under_way.values()])
            under_way.clear()
