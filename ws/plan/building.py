"""Building a graph of artifacts: what the most time hangs on is begun first.

A worker that dies, as for want of memory, is replaced, and what it was building is begun anew, with nothing beside it
on its machine; what kills two workers is left out. What was built on a machine that is lost is built on another. An
artifact that cannot be built takes with it only what reads it. What is finished is in the store, so that a build that
was stopped goes on where it was.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from ws.live.builds import clock
from ws.plan.crew import Crew, Member, Worker
from ws.plan.forgetting import forget_what_was_read
from ws.plan.needs import Needs
from ws.plan.outlook import Outlook
from ws.plan.place import Done, Unfit
from ws.plan.schedule import Queue, Schedule
from ws.store import Recipe, progress

MOST_DEATHS = 2
"""Of how many deaths of its worker an artifact is guilty."""

MOST_MOVES = 5
"""With how many machines an artifact may be lost before it is taken to be what they die of."""

PATIENCE = 60.0
"""Seconds without a machine that has what is needed, after which what needs it is given up."""

LOOK_AGAIN = 1.0
"""Seconds between two looks at which machines there are."""

SECONDS_BETWEEN_LINES = 30.0


class WorkerDied(Exception):
    """A worker died in the middle of a build, or before it."""


class MachineLost(Exception):
    """The machine of a worker is not there any more."""


@runtime_checkable
class Builder(Worker, Protocol):
    """A worker that builds."""

    def build(self, recipe: Recipe, key: str) -> "Future[Done]":
        """Have an artifact built; what it raises, or WorkerDied or MachineLost."""
        ...


@dataclass
class Build:
    """What became of a graph."""

    seconds: dict[str, float] = field(default_factory=dict)
    """For each artifact that was built, how long it took, with those that a recipe asked for besides its inputs; 0 for
    one that was there when a worker came to it."""
    failures: dict[str, str] = field(default_factory=dict)
    """For each artifact that could not be built, the reason."""
    lost: list[str] = field(default_factory=list)
    """What needs one that could not be built."""
    peak: int = 0
    """The most memory that a worker has had, in bytes."""


def build(schedule: Schedule, crew: Crew[Builder], needs: Callable[[Recipe], Needs]) -> Build:
    """Build all artifacts of a schedule's graph; `needs` says what each takes of a machine."""
    forget_what_was_read()  # Workers need the memory, and nothing is judged before they are done.
    shift = _Shift(schedule, crew, needs)
    progress.builds.begin(schedule.graph, rest=lambda: shift.outlook.seconds_left(len(crew)))
    shift.run()
    return shift.made


@dataclass
class _Shift:
    """A build under way."""

    schedule: Schedule
    crew: Crew[Builder]
    needs: Callable[[Recipe], Needs]
    made: Build = field(default_factory=Build)

    def __post_init__(self) -> None:
        self.queue = Queue(self.schedule, self.needs)
        self.outlook = Outlook(self.schedule)
        self.under_way: dict[Future[Done], tuple[str, Member[Builder]]] = {}
        self.again: list[str] = []
        """What is to be begun anew, alone on a machine."""
        self.deaths, self.moves = Counter[str](), Counter[str]()
        self.refused = ""
        """Why the machine that was left out last could not build."""
        self.said_at, self.placed_at = time.monotonic(), time.monotonic()

    def run(self) -> None:
        while True:
            self.crew.look()
            self.hand_out()
            if not self.under_way:
                if not (self.again or self.queue.first):
                    return
                self.wait_for_machine()
                continue
            self.placed_at = time.monotonic()
            with progress.under_way(self.news()):
                ended, _ = wait(self.under_way, timeout=LOOK_AGAIN, return_when=FIRST_COMPLETED)
            for future in ended:
                self.take_in(future)
            self.say()

    def hand_out(self) -> None:
        """Give a worker to as many artifacts as there is room for."""
        while self.again:
            member = self.crew.take(self.needs(self.recipe(self.again[0]))._replace(alone=True))
            if member is None:
                break
            self.begin(self.again.pop(0), member)
        while (taken := self.queue.take(self.crew.take)) is not None:
            self.begin(*taken)

    def recipe(self, key: str) -> Recipe:
        return self.schedule.graph[key].recipe

    def name(self, key: str) -> str:
        return self.recipe(key).describe()

    def begin(self, key: str, member: Member[Builder]) -> None:
        self.outlook.begin(key)
        self.under_way[member.worker.build(self.recipe(key), key)] = key, member

    def take_in(self, future: "Future[Done]") -> None:
        """See what became of an artifact that was under way."""
        key, member = self.under_way.pop(future)
        match future.exception():
            case None:
                self.crew.rest(member)
                self.finish(key, future.result())
            case WorkerDied():
                self.crew.dismiss(member)
                self.died(key)
            case MachineLost():
                self.crew.dismiss(member)
                self.moved(key)
            case Unfit() as refusal:
                self.crew.dismiss(member)
                self.leave_out(member.node, _first_line(refusal))
                self.outlook.stop(key)
                self.queue.put_back(key)
            case error:
                self.crew.rest(member)
                self.fail(key, _first_line(error))

    def finish(self, key: str, done: Done) -> None:
        for one, seconds in done.built:
            self.made.seconds[one] = seconds
        self.made.seconds.setdefault(key, 0.0)
        self.made.peak = max(self.made.peak, done.peak)
        took = sum(seconds for _, seconds in done.built)
        self.outlook.end(key, took)
        progress.built(self.name(key), took, key)
        self.queue.finish(key)

    def fail(self, key: str, reason: str) -> None:
        progress.say(f"cannot build {self.name(key)}: {reason}")
        self.made.failures[key] = reason
        lost = [one for one in self.queue.fail(key) if one not in self.made.lost]
        self.made.lost += lost
        for one in (key, *lost):
            self.outlook.end(one)

    def died(self, key: str) -> None:
        self.outlook.stop(key)
        self.deaths[key] += 1
        if self.deaths[key] >= MOST_DEATHS:
            self.fail(key, "its worker died twice, as it does for want of memory; give it more, or fewer --workers")
        else:
            self.again.append(key)

    def moved(self, key: str) -> None:
        self.outlook.stop(key)
        self.moves[key] += 1
        if self.moves[key] >= MOST_MOVES:
            self.fail(key, f"{MOST_MOVES} machines were lost while it was built; look at what they were lost for")
        else:
            progress.say(f"a machine is lost; {self.name(key)} is begun anew on another")
            self.queue.put_back(key)

    def leave_out(self, machine: str, why: str) -> None:
        self.crew.leave_out(machine)
        self.refused = why
        progress.say(f"a machine is left out: {why}")

    def wait_for_machine(self) -> None:
        """Nobody is busy, and still there is no room: a machine may come, but not for ever."""
        self.crew.look()
        asked = [*self.queue.waiting(), *(self.needs(self.recipe(key)) for key in self.again)]
        if any(self.crew.could_ever(needs) for needs in asked):
            return
        if not (len(self.crew) or self.refused) and time.monotonic() - self.placed_at < PATIENCE:
            time.sleep(LOOK_AGAIN)
            return
        for needs in asked:
            why = f"it needs {'a GPU' if needs.gpus else 'a core'}, and no machine has one"
            for key in (*self.queue.give_up(needs), *self.again):
                self.fail(key, f"{why} that could build: {self.refused}" if self.refused else why)
            self.again.clear()

    def news(self) -> str:
        """What is under way, and what comes next."""
        now = ", ".join(self.name(key) for key, _ in list(self.under_way.values())[:1])
        others = f" and {len(self.under_way) - 1} more" if len(self.under_way) > 1 else ""
        following = f"; next {self.name(self.queue.first)}" if self.queue.first else ""
        return f"{now}{others}{following}"

    def say(self) -> None:
        """Say now and then how far the build is, where no line of a terminal shows it."""
        is_time = self.under_way and time.monotonic() - self.said_at >= SECONDS_BETWEEN_LINES
        if not is_time or progress.is_live():
            return
        self.said_at = time.monotonic()
        done, left = len(self.schedule.graph) - self.left, clock(self.outlook.seconds_left(len(self.crew)))
        progress.say(f"{done} of {len(self.schedule.graph)} artifacts, {left} left; under way: {self.news()}")

    @property
    def left(self) -> int:
        """How many artifacts are neither there nor given up."""
        settled = self.made.seconds.keys() | self.made.failures.keys() | set(self.made.lost)
        return sum(key not in settled for key in self.schedule.graph)


def _first_line(error: BaseException) -> str:
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__
