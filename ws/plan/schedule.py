"""When each artifact of a graph is built by a number of workers: those first that the most time still hangs on."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from ws.errors import DataError
from ws.plan.graph import Graph

Seconds = Mapping[str, float]
"""How long each artifact of a graph takes to build, by key."""


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

    def time(self, workers: int) -> float:
        """When the last artifact is finished by that many workers, in seconds.

        Raises: DataError for less than one worker.
        """
        if workers < 1:
            raise DataError(f"{workers} workers; expected 1 or more")
        queue, now, running = Queue(self), 0.0, list[tuple[float, str]]()
        while True:
            while len(running) < workers and (key := queue.take()) is not None:
                heapq.heappush(running, (now + self.seconds[key], key))
            if not running:
                return now
            now, key = heapq.heappop(running)
            queue.finish(key)


class Queue:
    """What can be built next: all whose inputs are there."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule, self._place = schedule, count()
        self._waits_for = {key: set(node.inputs) for key, node in schedule.graph.items()}
        self._readers: dict[str, list[str]] = {key: [] for key in schedule.graph}
        for key, node in schedule.graph.items():
            for one in node.inputs:
                self._readers[one].append(key)
        self._ready: list[tuple[float, int, str]] = []
        for key, inputs in self._waits_for.items():
            if not inputs:
                self._put(key)

    def take(self) -> str | None:
        """The artifact that the most time hangs on, of those that can be built now; None if there is none."""
        return heapq.heappop(self._ready)[2] if self._ready else None

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
        heapq.heappush(self._ready, (-self._schedule.hanging[key], next(self._place), key))
