"""Workers on the machines of a Ray cluster, one thread each, and a GPU each where the model lives on one.

Which artifact is built where is decided here, by the same queue and crew as on one machine; Ray begins the workers,
reserves for each what it takes, and tells of machines that come and go. All machines work in one store, under one path.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from ws.errors import CommandError, DeviceError
from ws.plan.building import MachineLost, WorkerDied
from ws.plan.needs import Needs, Node, Nodes
from ws.plan.place import ONE_THREAD, Done, Hands, Place, translated
from ws.store import Recipe

MISSING = "Ray is not installed here; pip install 'weight-steering-claims[ray]' on every machine of the cluster"

NODE_DIED = "its node has died"
"""In what Ray says of an actor that is lost with its machine, and not by itself."""

LOOK_SECONDS = 2.0
"""For how long what Ray said of its machines is believed."""


class RayWorker:
    """A worker: an actor of Ray, which has what it takes for as long as it lives."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor

    def build(self, recipe: Recipe, key: str) -> "Future[Done]":
        """Have an artifact built; what it raises, or WorkerDied or MachineLost."""
        return translated(self._actor.build.remote(recipe, key).future(), self._meaning)

    def end(self) -> None:
        """End it, in the middle of a build if there is one; the store takes no half an artifact."""
        self._ray.kill(self._actor, no_restart=True)

    def _meaning(self, error: BaseException) -> BaseException:
        """What the builder is to make of an error of Ray's."""
        errors = self._ray.exceptions
        match error:
            case errors.RayTaskError():
                return error.cause if isinstance(error.cause, BaseException) else error
            case errors.ActorUnavailableError() | errors.ActorUnschedulableError():
                return MachineLost(str(error))
            case errors.RayActorError():
                return MachineLost(str(error)) if NODE_DIED in str(error) else WorkerDied(str(error))
            case errors.NodeDiedError():
                return MachineLost(str(error))
            case errors.OutOfMemoryError() | errors.WorkerCrashedError():
                return WorkerDied(str(error))
            case _:
                return error


class RayCluster:
    """The engine of a cluster."""

    def __init__(self, ray: Any, place: Place) -> None:
        self._ray, self._place = ray, place
        self._seen: Nodes = {}
        self._seen_at = float("-inf")
        self._actors = ray.remote(Hands)

    def nodes(self) -> Nodes:
        """The machines that are alive and have a core for us, by Ray's id of each."""
        if time.monotonic() - self._seen_at > LOOK_SECONDS:
            alive = {one["NodeID"]: one["Resources"] for one in self._ray.nodes() if one["Alive"]}
            self._seen = {name: _node(said) for name, said in alive.items() if said.get("CPU", 0) >= 1}
            self._seen_at = time.monotonic()
        return self._seen

    def start(self, node: str, needs: Needs) -> RayWorker:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # What is too large for a machine may try it alone.
        reserved = int(min(needs.bytes, self._seen[node].bytes))
        options = {
            "num_cpus": 1,
            "num_gpus": needs.gpus,
            "memory": reserved,
            "max_restarts": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
            "runtime_env": {"env_vars": _environment()},
        }
        return RayWorker(self._ray, self._actors.options(**options).remote(self._place))


def imported_ray() -> ModuleType:
    """The package ray. Raises: CommandError that says how to get it."""
    try:
        import ray
    except ModuleNotFoundError as missing:
        raise CommandError(f"{MISSING} ({missing})") from None
    return ray


@contextmanager
def on_ray(place: Place, address: str) -> Iterator[RayCluster]:
    """The engine of the cluster at an address, `auto` for the one that this machine belongs to.

    Raises: CommandError if Ray is not installed; DeviceError if no cluster answers at the address.
    """
    ray = imported_ray()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    joined = not ray.is_initialized()
    if joined:
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False, namespace="weight-steering")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise DeviceError(
                f"no Ray cluster answers at {address} ({' '.join(str(error).split())[:200]}); begin one with "
                "`ray start --head` on one machine and `ray start --address HOST:6379` on the others"
            ) from error
    try:
        with place.signed() as signed:
            yield RayCluster(ray, signed)
    finally:
        if joined:
            ray.shutdown()


def _node(said: dict[str, float]) -> Node:
    return Node(int(said["CPU"]), float(said.get("memory", "inf")), int(said.get("GPU", 0)))


def _environment() -> dict[str, str]:
    return {**ONE_THREAD, **{name: os.environ[name] for name in ("WS_RUN_ID",) if name in os.environ}}
