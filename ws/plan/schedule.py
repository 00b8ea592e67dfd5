"""In which order a graph of artifacts is built: those first that the most time still hangs on.

What nothing waits for goes by the directions that it is about, so that a worker has the update of one in memory at a
time, and works it out once.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import TypeVar

from ws.plan.graph import Graph
from ws.plan.needs import Needs
from ws.store import Recipe
from ws.training.direction import Direction

T = TypeVar("T")

Seconds = Mapping[str, float]
"""How long each artifact of a graph takes to build, by key."""

Rank = tuple[float, int, float]
"""A place in an order: by the time that hangs on a group of artifacts, by the group, by the artifact's own."""


@dataclass(frozen=True)
class Schedule:
    """A graph of artifacts, and how long each takes.

    Source: Graham 1969, "Bounds on multiprocessing timing anomalies", for list scheduling by the longest path.
    """

    graph: Graph
    seconds: Seconds

    @cached_property
    def hanging(self) -> Seconds:
        """For each artifact, the longest chain of builds that begins with it, itself included, in seconds."""
        longest: dict[str, float] = {key: 0.0 for key in self.graph}
        # Inputs stand before what reads them, so in reverse each has been told of all that reads it.
        for key, node in reversed(list(self.graph.items())):
            longest[key] += self.seconds[key]
            for one in node.inputs:
                longest[one] = max(longest[one], longest[key])
        return longest

    @cached_property
    def ranks(self) -> Mapping[str, Rank]:
        """For each artifact, its place among those that can be built at the same time, first to last."""
        read = {one for node in self.graph.values() for one in node.inputs}
        groups: dict[frozenset[Direction], list[str]] = {}
        for key, node in self.graph.items():
            if key not in read and node.about:
                groups.setdefault(node.about, []).append(key)
        ranks = {key: (-seconds, -1, 0.0) for key, seconds in self.hanging.items()}
        for number, keys in enumerate(groups.values()):
            longest = max(self.hanging[key] for key in keys)
            ranks |= {key: (-longest, number, -self.hanging[key]) for key in keys}
        return ranks

    @property
    def total(self) -> float:
        """The time that one worker needs, in seconds."""
        return sum(self.seconds[key] for key in self.graph)

    @property
    def critical(self) -> tuple[str, ...]:
        """The chain of builds below which no number of workers can go, first to last."""
        if not self.graph:
            return ()
        chain = [max(self.graph, key=self.hanging.__getitem__)]
        readers: dict[str, list[str]] = {key: [] for key in self.graph}
        for key, node in self.graph.items():
            for one in node.inputs:
                readers[one].append(key)
        while following := readers[chain[-1]]:
            chain.append(max(following, key=self.hanging.__getitem__))
        return tuple(chain)


class Queue:
    """What can be built next: all whose inputs are there."""

    def __init__(self, schedule: Schedule, needs: Callable[[Recipe], Needs] | None = None) -> None:
        """`needs` says what a build takes of a machine, asked once its inputs are there; without it, a core."""
        self._schedule, self._needs, self._place = schedule, needs or _a_core, count()
        self._waits_for = {key: set(node.inputs) for key, node in schedule.graph.items()}
        self._readers: dict[str, list[str]] = {key: [] for key in schedule.graph}
        for key, node in schedule.graph.items():
            for one in node.inputs:
                self._readers[one].append(key)
        self._ready: dict[Needs, list[tuple[Rank, int, str]]] = {}
        for key, inputs in self._waits_for.items():
            if not inputs:
                self._put(key)

    @property
    def first(self) -> str | None:
        """What is to be built first, of all that can be built now; None if there is none."""
        return min((heap[0] for heap in self._ready.values()), default=((0.0, 0, 0.0), 0, None))[2]

    def take(self, place: Callable[[Needs], T | None]) -> tuple[str, T] | None:
        """What is to be built first, of all that there is a place for now, and that place.

        None if there is no place, or no artifact that can be built now.
        """
        for needs in sorted(self._ready, key=lambda one: self._ready[one][0]):
            found = place(needs)
            if found is not None:
                heap = self._ready[needs]
                key = heapq.heappop(heap)[2]
                if not heap:
                    del self._ready[needs]
                return key, found
        return None

    def waiting(self) -> Sequence[Needs]:
        """What the artifacts take that can be built now."""
        return list(self._ready)

    def put_back(self, key: str) -> None:
        """An artifact that was taken was not built, and can be taken again."""
        self._put(key)

    def give_up(self, needs: Needs) -> list[str]:
        """Those that can be built now and take this: they are never taken."""
        return [key for _, _, key in self._ready.pop(needs, [])]

    def finish(self, key: str) -> None:
        """An artifact is there: what waited for it alone can be built."""
        for reader in self._readers[key]:
            self._waits_for[reader].remove(key)
            if not self._waits_for[reader]:
                self._put(reader)

    def fail(self, key: str) -> list[str]:
        """An artifact cannot be built: neither can these, which are never taken."""
        lost = list[str]()
        front = [key]
        while front:
            for reader in self._readers[front.pop()]:
                if reader not in lost:
                    lost.append(reader)
                    front.append(reader)
        return lost

    def _put(self, key: str) -> None:
        heap = self._ready.setdefault(self._needs(self._schedule.graph[key].recipe), [])
        heapq.heappush(heap, (self._schedule.ranks[key], next(self._place), key))


def _a_core(recipe: Recipe) -> Needs:
    return Needs()
