"""How long a build that is under way will still take, by what it has taken so far."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from ws.plan.graph import Graph
from ws.plan.schedule import Schedule
from ws.plan.simulation import on_one_machine, simulated

ENOUGH = 3
"""How many artifacts must be built before their times correct those of the plan."""

FRESH_SECONDS = 5.0
"""For how long an answer is counted down before it is worked out anew."""


@dataclass
class Outlook:
    """What a build has done of a schedule, and what is under way."""

    schedule: Schedule
    _took: dict[str, float] = field(default_factory=dict)
    """For each artifact that is there or given up, how long it took; 0 for one that another worker built."""
    _begun: dict[str, float] = field(default_factory=dict)
    _told: tuple[float, float] = (float("-inf"), 0.0)
    """When the last answer was worked out, and what it was."""

    def begin(self, key: str) -> None:
        """An artifact is under way."""
        self._begun[key] = time.monotonic()

    def end(self, key: str, seconds: float = 0.0) -> None:
        """An artifact is there, or will never be."""
        self._begun.pop(key, None)
        self._took[key] = seconds

    def stop(self, key: str) -> None:
        """An artifact is not under way any more, and must be begun anew."""
        self._begun.pop(key, None)

    @property
    def pace(self) -> float:
        """By how much what was built took longer than was planned."""
        built = [key for key, seconds in self._took.items() if seconds > 0]
        planned = sum(self.schedule.seconds[key] for key in built)
        return sum(self._took[key] for key in built) / planned if len(built) >= ENOUGH and planned > 0 else 1.0

    def seconds_left(self, workers: int) -> float:
        """How long that many workers will still take."""
        now = time.monotonic()
        if now - self._told[0] >= FRESH_SECONDS:
            self._told = now, simulated(self._rest(now), on_one_machine(max(workers, 1))).seconds
        return max(self._told[1] - (now - self._told[0]), 0.0)

    def _rest(self, now: float) -> Schedule:
        """What is left of the schedule; of what is under way, what is left of it, or as long again as it is late."""
        pace, graph = self.pace, self.schedule.graph
        left = {key: pace * self.schedule.seconds[key] for key in graph if key not in self._took}
        for key, began in self._begun.items():
            left[key] = abs(left[key] - (now - began))
        return Schedule(without(graph, self._took.keys()), left)


def without(graph: Graph, there: Collection[str]) -> Graph:
    """A graph without what is there by now."""
    return {
        key: replace(node, inputs=tuple(one for one in node.inputs if one not in there))
        for key, node in graph.items()
        if key not in there
    }
