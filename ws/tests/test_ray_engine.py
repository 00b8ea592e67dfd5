"""The engine of a Ray cluster, with a stand-in for Ray: what it asks of Ray, and what Ray's answers mean."""

import re
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

from ws.errors import CommandError, DataError, DeviceError
from ws.plan import on_ray as on_ray_module
from ws.plan.building import PATIENCE, MachineLost, WorkerDied
from ws.plan.needs import Needs, Node
from ws.plan.on_ray import LEFT_ALONE, LOOK_SECONDS, MISSING, RayCluster, check_cluster, on_ray
from ws.plan.place import Done, Hands, Place, Unfit
from ws.tests.conftest import Project, conftest_with
from ws.tests.planned_recipes import Said

FIRST, SECOND = "a" * 56, "b" * 56  # as long as Ray's own


class Affinity(NamedTuple):
    """Ray's NodeAffinitySchedulingStrategy."""

    node: str
    soft: bool


class RayTaskError(Exception):
    def __init__(self, cause: BaseException | str) -> None:
        super().__init__("a task")
        self.cause = cause


class RayActorError(Exception): ...


class ActorUnavailableError(RayActorError): ...


class ActorUnschedulableError(Exception): ...


class NodeDiedError(Exception): ...


class OutOfMemoryError(Exception): ...


class WorkerCrashedError(Exception): ...


ERRORS = (
    RayTaskError,
    RayActorError,
    ActorUnavailableError,
    ActorUnschedulableError,
    NodeDiedError,
    OutOfMemoryError,
    WorkerCrashedError,
)


class Ray(ModuleType):
    """What is used of the package ray: a cluster of two machines, and one that has no core."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = SimpleNamespace(**{error.__name__: error for error in ERRORS})
        self.asked: list[dict[str, Any]] = []
        """The options of each actor."""
        self.answers: list[Future[Done]] = []
        self.killed: list[Any] = []
        self.joined: list[dict[str, Any]] = []
        self.left = 0
        self.looks = 0
        self.refuses: Exception | None = None
        self.alive = {FIRST: True, SECOND: True, "c": True, "d": False}

    def is_initialized(self) -> bool:
        return len(self.joined) > self.left

    def init(self, **options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
        if self.refuses is not None:
            raise self.refuses
        self.joined.append(options)

    def shutdown(self) -> None:
        self.left += 1

    def nodes(self) -> list[dict[str, Any]]:
        self.looks += 1
        has = {
            FIRST: {"CPU": 4.0, "GPU": 1.0, "memory": 8e9},
            SECOND: {"CPU": 1.0},
            "c": {"memory": 8e9},
            "d": {"CPU": 4.0},
        }
        return [{"NodeID": name, "Alive": self.alive[name], "Resources": said} for name, said in has.items()]

    def kill(self, actor: Any, *, no_restart: bool) -> None:
        self.killed.append((actor, no_restart))

    def remote(self, *args: Any) -> Any:
        """A class becomes one of actors; an actor begins; an actor is asked for something."""
        match args:
            case (type(),):
                assert args == (Hands,)
                return self
            case (Place(),):
                return SimpleNamespace(build=self, place=args[0])
            case _:
                self.answers.append(Future())
                return SimpleNamespace(future=lambda: self.answers[-1])

    def options(self, **options: Any) -> "Ray":
        self.asked.append(options)
        return self


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    """The package, as the engine imports it."""
    found = Ray()
    strategies = ModuleType("ray.util.scheduling_strategies")
    strategies.NodeAffinitySchedulingStrategy = Affinity  # type: ignore[attr-defined]
    for name, module in {"ray": found, "ray.util": ModuleType("ray.util"), strategies.__name__: strategies}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_NUM_REDIS_GET_RETRIES", "2")
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The engine's clock, which a test sets."""
    now = [1000.0]
    monkeypatch.setattr(on_ray_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def engine(ray: Ray, tmp_path: Path, clock: list[float]) -> RayCluster:
    return RayCluster(ray, Place(tmp_path, sign="build-0"))


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CommandError, match=r"pip install 'weight-steering-claims\[ray\]' on every machine"):
        check_cluster("auto")
    assert "[ray]" in MISSING


def test_a_run_says_so_before_it_plans(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.claims("def test_it(model_name): raise SystemExit('was asked what it needs')")
    project.pytester.makeconftest(conftest_with("planning"))
    monkeypatch.setitem(sys.modules, "ray", None)
    result = project.run("--cluster=10.0.0.1:6379", "--build-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --cluster: Ray is not installed here; *"])


@pytest.mark.parametrize(
    "address", ["10.0.0.1", ":6379", "10.0.0.1:port", "10.0.0.1:0", "10.0.0.1:65536", "ray://10.0.0.1:10001", "local"]
)
def test_what_is_no_address_is_refused(ray: Ray, address: str) -> None:
    with pytest.raises(CommandError, match=f"{address} is no address of a Ray cluster; expected HOST:PORT"):
        check_cluster(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "[127.0.0.1]"])
def test_an_address_is_one_where_something_listens(ray: Ray, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{host}:{server.getsockname()[1]}"
        check_cluster(address)
    with pytest.raises(DeviceError, match=rf"no Ray cluster answers at {address.replace('[', '.')[:4]}.*`ray start"):
        check_cluster(address)
    check_cluster("auto")
    assert ray.joined == []


def test_a_cluster_is_joined_and_left(ray: Ray, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with on_ray(Place(tmp_path), "auto") as engine:
        assert engine.nodes().keys() == {FIRST, SECOND}
        assert (ray.joined[0]["address"], ray.left) == ("auto", 0)
        # What runs there is asked to see this sign.
        [sign] = (tmp_path / "tmp").iterdir()
        sign.unlink()  # as those do who clear away what is older than a day
        engine.start(FIRST, Needs())
        assert sign.exists()
        # Ray would end this process in an exception, wherever it is.
        assert signal.getsignal(signal.SIGTERM) == before
    assert ray.left == 1
    assert not sign.exists()


def test_who_has_joined_before_does_not_leave(ray: Ray, tmp_path: Path) -> None:
    ray.joined.append({})
    with on_ray(Place(tmp_path), "auto"):
        pass
    assert (len(ray.joined), ray.left) == (1, 0)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError("none\n found"), r"this machine belongs to no Ray cluster \(none found\); begin one with"),
        (RuntimeError("Version mismatch"), r"cannot join the Ray cluster at auto \(Version mismatch\); all machines"),
    ],
)
def test_why_a_cluster_cannot_be_joined_is_said(ray: Ray, tmp_path: Path, error: Exception, said: str) -> None:
    ray.refuses = error
    with pytest.raises(DeviceError, match=said), on_ray(Place(tmp_path), "auto"):
        pass
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_is_reserved_is_what_a_build_needs(
    ray: Ray, engine: RayCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WS_RUN_ID", "this")
    assert engine.nodes() == {FIRST: Node(4, 8e9, 1), SECOND: Node(1)}
    engine.start(FIRST, Needs(("m",), 3e9, gpus=1))
    engine.start(FIRST, Needs(("m",), 30e9))
    engine.start(SECOND, Needs(("m",), 30e9))
    reserved = [(one["num_cpus"], one["num_gpus"], one["memory"]) for one in ray.asked]
    assert reserved == [(1, 1, 3e9), (1, 0, 8e9), (1, 0, 30e9)]
    assert [one["scheduling_strategy"] for one in ray.asked] == [
        Affinity(FIRST, soft=False),
        Affinity(FIRST, soft=False),
        Affinity(SECOND, soft=False),
    ]
    given = ray.asked[0]["runtime_env"]["env_vars"]
    assert given == {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "WS_RUN_ID": "this"}
    assert ray.asked[0]["max_restarts"] == 0
    monkeypatch.delenv("WS_RUN_ID")
    engine.start(FIRST, Needs())
    assert "WS_RUN_ID" not in ray.asked[-1]["runtime_env"]["env_vars"]


def test_machines_are_looked_for_now_and_then(ray: Ray, engine: RayCluster, clock: list[float]) -> None:
    assert engine.nodes().keys() == {FIRST, SECOND}
    ray.alive[SECOND] = False
    clock[0] += LOOK_SECONDS
    assert engine.nodes().keys() == {FIRST, SECOND}
    clock[0] += 0.1
    assert engine.nodes().keys() == {FIRST}
    assert ray.looks == 2


def test_a_machine_where_something_was_lost_is_left_alone_for_a_while(
    ray: Ray, engine: RayCluster, clock: list[float]
) -> None:
    engine.nodes()
    told = engine.start(SECOND, Needs()).build(Said("a"), "key")
    ray.answers[0].set_exception(ActorUnavailableError("?"))
    assert isinstance(told.exception(), MachineLost)
    assert engine.nodes().keys() == {FIRST}
    # Ray still says that it is alive.
    clock[0] += LEFT_ALONE
    assert engine.nodes().keys() == {FIRST}
    clock[0] += 0.1
    assert engine.nodes().keys() == {FIRST, SECOND}
    assert LEFT_ALONE < PATIENCE


CAUSE = DataError("x cannot be said")
NOT_THERE = """The actor died because of an error raised in its creation task, ray::Hands (pid=7, ip=10.0.0.2)
RuntimeError: The actor with name Hands failed to import on the worker. This may be because

ModuleNotFoundError: No module named 'ws'"""


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (RayTaskError(CAUSE), lambda error: error is CAUSE),
        (RayTaskError("no exception"), lambda error: isinstance(error, RayTaskError)),
        (RayActorError("the actor is dead because its node has died"), lambda error: isinstance(error, MachineLost)),
        (RayActorError("the actor was killed"), lambda error: isinstance(error, WorkerDied)),
        (ActorUnavailableError("?"), lambda error: isinstance(error, MachineLost)),
        (ActorUnschedulableError("?"), lambda error: isinstance(error, MachineLost)),
        (NodeDiedError("?"), lambda error: isinstance(error, MachineLost)),
        (OutOfMemoryError("?"), lambda error: isinstance(error, WorkerDied)),
        (WorkerCrashedError("?"), lambda error: isinstance(error, WorkerDied)),
        (KeyError("another"), lambda error: isinstance(error, KeyError)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_an_error_of_ray_means(
    ray: Ray, engine: RayCluster, error: Exception, meant: Callable[[BaseException | None], bool]
) -> None:
    engine.nodes()
    told = engine.start(FIRST, Needs()).build(Said("a"), "key")
    ray.answers[0].set_exception(error)
    assert meant(told.exception())
    assert (FIRST in engine.nodes()) is not isinstance(told.exception(), MachineLost)


def test_a_machine_without_this_package_is_named(ray: Ray, engine: RayCluster) -> None:
    engine.nodes()
    told = engine.start(FIRST, Needs()).build(Said("a"), "key")
    ray.answers[0].set_exception(RayActorError(NOT_THERE))
    why = "10.0.0.2 cannot load this package (ModuleNotFoundError: No module named 'ws'); install the same commit and "
    with pytest.raises(Unfit, match=re.escape(why)):
        told.result()


def test_what_is_built_comes_back_and_a_worker_ends_for_good(ray: Ray, engine: RayCluster) -> None:
    engine.nodes()
    worker = engine.start(FIRST, Needs())
    told = worker.build(Said("a"), "key")
    ray.answers[0].set_result(Done((("key", 1.0),), 2))
    assert told.result() == Done((("key", 1.0),), 2)
    worker.end()
    [(_, no_restart)] = ray.killed
    assert no_restart
