"""Who builds: workers on some machines, each with the models of its last build in memory.

A worker that has the models is preferred. Else one is begun where there is room for it; idle workers of other models
make room. So a machine never has more models in memory at once than fit, and a model is loaded once for each worker.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, runtime_checkable

from ws.plan.needs import Needs, Node, Nodes


@runtime_checkable
class Worker(Protocol):
    """What works on a machine."""

    def end(self) -> None:
        """End it, in the middle of a build if there is one."""
        ...


W = TypeVar("W", bound=Worker)
W_co = TypeVar("W_co", bound=Worker, covariant=True)


@runtime_checkable
class Engine(Protocol[W_co]):
    """Where workers come from."""

    def nodes(self) -> Nodes:
        """The machines that there are now; they may come and go."""
        ...

    def start(self, node: str, needs: Needs) -> W_co:
        """A new worker on a machine, which will build what has these needs."""
        ...


@dataclass(eq=False)
class Member(Generic[W]):
    """A worker of a crew."""

    worker: W
    node: str
    needs: Needs
    is_new: bool = True
    """Whether this is its first build."""


@dataclass
class _Desk(Generic[W]):
    """A machine, and who works there."""

    node: Node
    busy: list[Member[W]] = field(default_factory=list)
    idle: list[Member[W]] = field(default_factory=list)

    def has_room(self, needs: Needs, *, beside_idle: bool) -> bool:
        """Whether one more with these needs fits in beside those that are busy, and beside the idle ones too.

        What is too large for the machine may try it if nothing else is there.
        """
        there = self.busy + self.idle if beside_idle else self.busy
        if len(there) >= self.node.cores or any(one.needs.alone for one in self.busy):
            return False
        if needs.gpus + sum(one.needs.gpus for one in there) > self.node.gpus:
            return False
        if needs.alone:
            return not self.busy
        return not there or needs.bytes + sum(one.needs.bytes for one in there) <= self.node.bytes


class Crew(Generic[W]):
    """All workers of an engine."""

    def __init__(self, engine: Engine[W]) -> None:
        self._engine = engine
        self._desks: dict[str, _Desk[W]] = {}
        self._idle: dict[tuple[str, ...], list[Member[W]]] = defaultdict(list)
        self._busy = 0
        """How many are at work on the machines that there are."""
        self._away: set[Member[W]] = set()
        """Who is at work on a machine that is gone, as far as the engine can see."""
        self._left_out: set[str] = set()
        self._kept: str | None = None
        """The machine that is kept free for what must be alone."""

    def __len__(self) -> int:
        """How many can be busy at once, as far as cores go."""
        return sum(desk.node.cores for desk in self._desks.values())

    @property
    def busy(self) -> int:
        """How many are at work on the machines that there are."""
        return self._busy

    def look(self) -> Nodes:
        """The machines that there are now; from now on those that came are worked on, and those that went are not."""
        now = {name: node for name, node in self._engine.nodes().items() if name not in self._left_out}
        for name in self._desks.keys() - now.keys():
            gone = self._desks.pop(name)
            for member in gone.idle:
                self._idle[member.needs.models].remove(member)
                member.worker.end()  # what it has would be missing there, should the machine come back
            self._busy -= len(gone.busy)
            self._away.update(gone.busy)
        for name, node in now.items():
            if name in self._desks:
                self._desks[name].node = node
            else:
                self._desks[name] = _Desk(node)
        if self._kept not in self._desks:
            self._kept = None
        return now

    def leave_out(self, node: str) -> None:
        """From the next look on there is no such machine, whatever the engine says."""
        self._left_out.add(node)

    def could_ever(self, needs: Needs) -> bool:
        """Whether one of the machines has what it takes, were it free."""
        return any(desk.node.cores >= 1 and desk.node.gpus >= needs.gpus for desk in self._desks.values())

    def take(self, needs: Needs) -> Member[W] | None:
        """A worker for a build, who is busy from now on; None if there is no room for one at present."""
        if needs.alone:
            return self._alone(needs)
        if self._busy >= len(self):
            return None
        known = next((one for one in reversed(self._idle[needs.models]) if one.node != self._kept), None)
        if known is not None:
            self._desks[known.node].idle.remove(known)
            self._idle[needs.models].remove(known)
            known.is_new = False
            return self._at_work(known)
        name = self._with_room(needs)
        return None if name is None else self._start(name, needs)

    def rest(self, member: Member[W]) -> None:
        """A worker has done what it was asked for, and keeps its models."""
        if member.needs.alone:  # It may have become too large to stay.
            self.dismiss(member)
            return
        if (desk := self._left(member)) is None:
            member.worker.end()
            return
        desk.idle.append(member)
        self._idle[member.needs.models].append(member)

    def dismiss(self, member: Member[W]) -> None:
        """A busy worker is ended, or has died."""
        self._left(member)
        member.worker.end()

    def stop(self) -> None:
        """End all workers."""
        at_desks = [member for desk in self._desks.values() for member in (*desk.busy, *desk.idle)]
        for member in (*at_desks, *self._away):
            member.worker.end()
        self._desks.clear()
        self._idle.clear()
        self._away.clear()
        self._busy = 0

    def _left(self, member: Member[W]) -> _Desk[W] | None:
        """The machine where a worker is busy no more; None if it is gone, or was and has come back meanwhile."""
        if member in self._away:
            self._away.remove(member)
            return None
        desk = self._desks[member.node]
        desk.busy.remove(member)
        self._busy -= 1
        return desk

    def _alone(self, needs: Needs) -> Member[W] | None:
        fitting = {name: desk for name, desk in self._desks.items() if desk.node.gpus >= needs.gpus}
        if self._kept not in fitting:
            self._kept = min(fitting, key=lambda name: len(fitting[name].busy), default=None)
        if self._kept is None or not fitting[self._kept].has_room(needs, beside_idle=False):
            return None
        name, self._kept = self._kept, None
        return self._start(name, needs)

    def _with_room(self, needs: Needs) -> str | None:
        """A machine where a worker can begin: one where nobody must go for it, if there is one; the emptiest."""
        free = {name: desk for name, desk in self._desks.items() if name != self._kept}
        for beside_idle in (True, False):
            having = [name for name, desk in free.items() if desk.has_room(needs, beside_idle=beside_idle)]
            if having:
                return max(having, key=lambda name: free[name].node.cores - len(free[name].busy))
        return None

    def _start(self, name: str, needs: Needs) -> Member[W]:
        desk = self._desks[name]
        # Those that have been idle for the longest go first.
        while desk.idle and (needs.alone or not desk.has_room(needs, beside_idle=True)):
            gone = desk.idle.pop(0)
            self._idle[gone.needs.models].remove(gone)
            gone.worker.end()
        return self._at_work(Member(self._engine.start(name, needs), name, needs))

    def _at_work(self, member: Member[W]) -> Member[W]:
        self._desks[member.node].busy.append(member)
        self._busy += 1
        return member
