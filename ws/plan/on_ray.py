"""Workers on the machines of a Ray cluster, one thread each, and a GPU each where the model lives on one.

Which artifact is built where is decided here, by the same queue and crew as on one machine; Ray begins the workers,
reserves for each what it takes, and tells of machines that come and go. All work in one store, under one path or URL.
"""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from ws.errors import CommandError, DeviceError, StoreError
from ws.plan import signs
from ws.plan.building import MachineLost, WorkerDied
from ws.plan.needs import Needs, Node, Nodes
from ws.plan.place import ONE_THREAD, Done, Hands, Place, Unfit, translated
from ws.store import Recipe

MISSING = "Ray is not installed here; pip install 'weight-steering-claims[ray]' on every machine of the cluster"

NODE_DIED = "its node has died"
"""In what Ray says of an actor that is lost with its machine, and not by itself."""

NOT_IMPORTED = "failed to import on the worker"
"""In what Ray says of an actor whose class its machine does not have."""

LOOK_SECONDS = 2.0
"""For how long what Ray said of its machines is believed."""

LEFT_ALONE = 30.0
"""Seconds for which nothing is begun on a machine where something was lost: Ray may need them to find that it is gone.
Less than a build waits that has no machine."""

AUTO = "auto"
"""The address of the cluster that this machine belongs to."""

ANSWERS_WITHIN = 10.0
"""Seconds in which the head of a cluster takes a connection."""

TRIES = {"RAY_NUM_REDIS_GET_RETRIES": "2"}
"""How often Ray asks a head that does not answer, for 40 seconds each; by itself it asks 20 times, for 14 minutes.
Read when Ray is imported."""

BEGIN_ONE = "begin one with `ray start --head` on one machine and `ray start --address HOST:6379` on the others"


class RayWorker:
    """A worker: an actor of Ray, which has what it takes for as long as it lives."""

    def __init__(self, ray: Any, actor: Any, lost: Callable[[], None]) -> None:
        """`lost` is called when its machine is."""
        self._ray, self._actor, self._machine_lost = ray, actor, lost

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
            case errors.ActorUnavailableError() | errors.ActorUnschedulableError() | errors.NodeDiedError():
                return self._lost(error)
            case errors.RayActorError():
                return self._lost(error) if NODE_DIED in str(error) else _ended(error)
            case errors.OutOfMemoryError() | errors.WorkerCrashedError():
                return WorkerDied(str(error))
            case _:
                return error

    def _lost(self, error: BaseException) -> MachineLost:
        self._machine_lost()
        return MachineLost(str(error))


def _ended(error: BaseException) -> BaseException:
    """What it means that a worker ended while its machine goes on."""
    said = str(error)
    if NOT_IMPORTED not in said:
        return WorkerDied(said)
    where = re.search(r"\bip=([\w.:]+)", said)
    return Unfit(
        f"{where[1] if where else 'a machine of the cluster'} cannot load this package ({said.splitlines()[-1]}); "
        "install the same commit and constraints.txt on all machines"
    )


class RayCluster:
    """The engine of a cluster."""

    def __init__(self, ray: Any, place: Place) -> None:
        self._ray, self._place = ray, place
        self._seen: Nodes = {}
        self._seen_at = float("-inf")
        self._lost_at: dict[str, float] = {}
        """When something was last lost on a machine, by Ray's id of it; told from Ray's threads."""
        self._actors = ray.remote(Hands)

    def nodes(self) -> Nodes:
        """The machines that are alive and have a core for us, by Ray's id of each."""
        now = time.monotonic()
        if now - self._seen_at > LOOK_SECONDS:
            alive = {one["NodeID"]: one["Resources"] for one in self._ray.nodes() if one["Alive"]}
            self._seen = {name: _node(said) for name, said in alive.items() if said.get("CPU", 0) >= 1}
            self._seen_at = now
        doubted = {name for name, at in list(self._lost_at.items()) if now - at <= LEFT_ALONE}
        return {name: node for name, node in self._seen.items() if name not in doubted}

    def start(self, node: str, needs: Needs) -> RayWorker:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        with suppress(OSError, StoreError):  # it will not begin, and says why
            signs.put_up(self._place.root, self._place.sign)
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
        actor = self._actors.options(**options).remote(self._place)
        return RayWorker(self._ray, actor, lambda: self._lost_at.update({node: time.monotonic()}))


def imported_ray() -> ModuleType:
    """The package ray. Raises: CommandError that says how to get it."""
    for name, value in TRIES.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError as missing:
        raise CommandError(f"{MISSING} ({missing})") from None
    return ray


def check_cluster(address: str) -> None:
    """Raises: CommandError if Ray is not installed, or this is no address; DeviceError if nothing listens there."""
    imported_ray()
    if address == AUTO:
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise CommandError(
            f"{address} is no address of a Ray cluster; expected HOST:PORT, as `ray start --head` prints it, or {AUTO}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_WITHIN).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


@contextmanager
def on_ray(place: Place, address: str) -> Iterator[RayCluster]:
    """The engine of the cluster at an address, `auto` for the one that this machine belongs to.

    Raises: CommandError if Ray is not installed, or this is no address; DeviceError if no cluster answers there.
    """
    check_cluster(address)
    ray = imported_ray()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    joined = not ray.is_initialized()
    if joined:
        try:
            with _signals_as_they_are():
                ray.init(address=address, log_to_driver=False, configure_logging=False, namespace="weight-steering")
        except ConnectionError as error:
            raise _no_cluster(address, error) from error
        except (RuntimeError, ValueError) as error:
            raise DeviceError(
                f"cannot join the Ray cluster at {address} ({_brief(error)}); all machines need one release of Python "
                "and of Ray, as constraints.txt names it"
            ) from error
    try:
        with place.signed() as signed:
            yield RayCluster(ray, signed)
    finally:
        if joined:
            ray.shutdown()


def _no_cluster(address: str, error: Exception) -> DeviceError:
    where = "this machine belongs to no Ray cluster" if address == AUTO else f"no Ray cluster answers at {address}"
    return DeviceError(f"{where} ({_brief(error)}); {BEGIN_ONE}")


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


@contextmanager
def _signals_as_they_are() -> Iterator[None]:
    """Undo what Ray does about SIGTERM: it would end this process in an exception from wherever it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _node(said: dict[str, float]) -> Node:
    return Node(int(said["CPU"]), float(said.get("memory", "inf")), int(said.get("GPU", 0)))


def _environment() -> dict[str, str]:
    return {**ONE_THREAD, **{name: os.environ[name] for name in ("WS_RUN_ID",) if name in os.environ}}
