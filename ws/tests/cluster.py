"""A Ray cluster of two machines that are both this one: what each builds, and the sudden end of the second."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ws.store.scratch import KEY, NAME
from ws.upkeep.standing import homes_in

GIB = 2.0**30
OBJECT_BYTES = 80 << 20
"""The memory for what Ray passes between machines; artifacts go through the store."""

WAITED = 600.0
"""Seconds after which something is taken to be forgotten; a busy machine may need minutes for a second's work."""

DETECTION = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 10,
}
"""So that a machine that is lost is found to be so within seconds."""


@dataclass
class TwoMachines:
    """The first has one core and 4 GiB, the second two and 8."""

    running: Any
    """A `ray.cluster_utils.Cluster`."""
    second: Any = None
    """The node of Ray that is the second machine."""

    @property
    def address(self) -> str:
        return str(self.running.address)

    def complete(self) -> None:
        """Start the second machine, unless it is there."""
        if self.second is None:
            self.second = self.running.add_node(
                num_cpus=2, memory=int(8 * GIB), object_store_memory=OBJECT_BYTES, **_ports()
            )

    def at_work(self, root: Path) -> dict[str, set[str]]:
        """The keys of what each machine builds now into a store."""
        second = _descendants(self._raylet)
        found: dict[str, set[str]] = {"first": set(), "second": set()}
        for path in (root / "tmp").glob("*"):
            name = NAME.fullmatch(path.name)
            if name is not None and KEY.fullmatch(name["what"]):
                found["second" if int(name["pid"]) in second else "first"].add(name["what"])
        return found

    def lose_second(self) -> None:
        """End the second machine as a power cut does: all that runs there is gone at once, and nobody is told."""
        there = [self._raylet, *_descendants(self._raylet)]  # the raylet first, which would tell of its workers' ends
        for pid in there:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.running.remove_node(self.second, allow_graceful=False)
        self.second = None

    def where_it_stands(self, root: Path) -> str:
        """What a test that waits in vain prints."""
        built = sorted(f"{home.parent.name}/{home.name[:8]}" for home in homes_in(root)) if root.is_dir() else []
        load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
        return f"{len(built)} built: {built}; under way: {self.at_work(root)}; load {load}"

    @property
    def _raylet(self) -> int:
        from ray._private.ray_constants import PROCESS_TYPE_RAYLET

        return int(self.second.all_processes[PROCESS_TYPE_RAYLET][0].process.pid)


@contextmanager
def two_machines() -> Iterator[TwoMachines]:
    """Such a cluster, whose second machine is yet to be started, until the end of the context."""
    from ray._private import services
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # On a busy machine all that Ray begins takes longer to come up than it waits for by itself.
        patch.setenv("RAY_agent_register_timeout_ms", f"{1000 * WAITED:.0f}")
        patch.setenv("RAY_raylet_start_wait_time_s", f"{WAITED:.0f}")
        patch.setenv("RAY_worker_register_timeout_seconds", f"{WAITED:.0f}")
        patch.setattr("ray._private.services.get_node", _patient(services.get_node))
        small: dict[str, Any] = {"num_cpus": 1, "memory": int(4 * GIB), "object_store_memory": OBJECT_BYTES}
        running = Cluster(initialize_head=True, head_node_args={**small, **_ports(), "_system_config": DETECTION})
        try:
            yield TwoMachines(running)
        finally:
            import ray

            ray.shutdown()
            running.shutdown()


def waited_for(what: str, is_so: Callable[[], bool], *, stands: Callable[[], str]) -> None:
    """Wait until something is so. Raises: AssertionError that says where it stands if that is never."""
    until = time.monotonic() + WAITED
    while not is_so():
        assert time.monotonic() < until, f"waited {WAITED:.0f} s for {what}; {stands()}"
        time.sleep(0.05)


def _ports() -> dict[str, int]:
    """Ports for the helpers of a machine. Where Ray chooses them itself, a machine that is too busy to have chosen them
    within 30 seconds dies."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    with ExitStack() as open_ones:
        free = [open_ones.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: one.getsockname()[1] for name, one in zip(names, free, strict=True)}


def _patient(get_node: Callable[..., object]) -> Callable[..., object]:
    """Ray's look for a machine that begins, for as long as a busy one may take instead of 30 seconds."""

    def found(*args: object) -> object:
        until = time.monotonic() + WAITED
        while True:
            try:
                return get_node(*args)
            except RuntimeError:
                if time.monotonic() > until:
                    raise
                time.sleep(1.0)

    return found


def _descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that these have."""
    parents = dict(_parents())
    found, front = set[int](), [pid]
    while front:
        parent = front.pop()
        below = {child for child, its in parents.items() if its == parent} - found
        found |= below
        front += below
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """Each process of this machine with the one that started it."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])
