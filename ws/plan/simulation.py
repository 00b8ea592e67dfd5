"""A build on paper: the queue and the crew of a real one, with a clock in place of work."""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from ws.errors import DataError
from ws.plan.crew import Crew, Member
from ws.plan.needs import Needs, Node, Nodes
from ws.plan.schedule import Queue, Schedule
from ws.store import Recipe

STARTING_SECONDS = 6.0
"""Until a new process has loaded the libraries and a small model."""

WITHIN = 1.1
"""By how much more than its share of the work a build may take, and still count as growing with its workers."""


@dataclass(frozen=True)
class Course:
    """How a build goes."""

    seconds: float
    """When the last artifact is finished."""
    busy: float
    """The time that workers build, together, in seconds."""
    ends: Mapping[str, float]
    """When each artifact is finished."""


def simulated(
    schedule: Schedule,
    nodes: Nodes,
    *,
    needs: Callable[[Recipe], Needs] | None = None,
    starting: float = 0.0,
    loading: Callable[[Needs], float] | None = None,
) -> Course:
    """How the build of a graph goes on some machines.

    `starting` seconds pass before a new worker begins its first build; `loading` says how many more pass until it has
    its models. Raises: DataError if nothing can be built on these machines.
    """
    crew, queue = Crew(_Paper(nodes)), Queue(schedule, needs)
    now, busy, ends, order = 0.0, 0.0, dict[str, float](), count()
    under_way: list[tuple[float, int, str, Member[_Nobody]]] = []
    crew.look()
    while True:
        while (taken := queue.take(crew.take)) is not None:
            key, member = taken
            begins = now + (starting + (loading(member.needs) if loading else 0.0) if member.is_new else 0.0)
            busy += schedule.seconds[key]
            heapq.heappush(under_way, (begins + schedule.seconds[key], next(order), key, member))
        if not under_way:
            if len(ends) < len(schedule.graph):
                raise DataError(f"{dict(nodes)} has no room for {len(schedule.graph) - len(ends)} of these artifacts")
            return Course(now, busy, ends)
        now, _, key, member = heapq.heappop(under_way)
        ends[key] = now
        crew.rest(member)
        queue.finish(key)


def on_one_machine(workers: int) -> Nodes:
    """A machine with a core for each worker, and memory for all. Raises: DataError for less than one worker."""
    if workers < 1:
        raise DataError(f"{workers} workers; expected 1 or more")
    return {"here": Node(workers)}


def binds_from(schedule: Schedule) -> int:
    """The number of workers from which the longest chain binds: with fewer, a build takes at most a tenth more than its
    share of the work. At least 2.

    Source: Graham 1969; a build takes no longer than its share and the longest chain together, and no less than either.
    """
    longest = max(schedule.hanging.values(), default=0.0)
    if not longest:
        return 2
    parallel = schedule.total / longest
    low, high = max(1, int((WITHIN - 1) * parallel)), max(2, int(WITHIN * parallel) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _grows(schedule, middle) else (low, middle)
    return high


def _grows(schedule: Schedule, workers: int) -> bool:
    return simulated(schedule, on_one_machine(workers)).seconds <= WITHIN * schedule.total / workers


class _Paper:
    """Workers that do nothing."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def nodes(self) -> Nodes:
        return self._nodes

    def start(self, node: str, needs: Needs) -> "_Nobody":
        return _Nobody()


class _Nobody:
    def end(self) -> None: ...
