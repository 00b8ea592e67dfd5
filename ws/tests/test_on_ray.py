"""A Ray cluster of two machines, one smaller than the other, builds what one process would, and loses one of them."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ws.errors import CommandError
from ws.plan import on_ray as on_ray_module
from ws.plan.building import Build, build
from ws.plan.crew import Crew
from ws.plan.graph import graph_of
from ws.plan.needs import Appetite, Needs, Node
from ws.plan.on_ray import MISSING, imported_ray, on_ray
from ws.plan.place import Place
from ws.plan.processes import processes
from ws.plan.schedule import Schedule
from ws.scoring.rows import Rows
from ws.steering.interventions import Weights
from ws.store import Recipe, Store
from ws.store.manifests import read_manifest
from ws.tests.planned_recipes import Held, Killed, Refused, Said
from ws.tests.small import ON, SYCOPHANCY, adapter
from ws.training.direction import Direction

GIB = 2.0**30
WAITED = 300.0
"""Seconds after which a cluster is taken to have forgotten something."""

DETECTION = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 10,
}
"""So that a machine that is lost is found to be so within seconds."""


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CommandError, match=r"pip install 'weight-steering-claims\[ray\]' on every machine"):
        imported_ray()
    assert "[ray]" in MISSING


needs_ray = pytest.mark.usefixtures("cluster")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two machines of this machine: the first has one core, the second two and more memory."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]', or make cluster")
    from ray._private import services
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # On a busy machine all that Ray begins takes longer to come up than it waits for by itself.
        patch.setenv("RAY_agent_register_timeout_ms", f"{1000 * WAITED:.0f}")
        patch.setenv("RAY_raylet_start_wait_time_s", f"{WAITED:.0f}")
        patch.setenv("RAY_worker_register_timeout_seconds", f"{WAITED:.0f}")
        patch.setattr("ray._private.services.get_node", patient(services.get_node))
        small: dict[str, Any] = {"num_cpus": 1, "memory": int(4 * GIB), "object_store_memory": 80 << 20}
        running = Cluster(initialize_head=True, head_node_args={**small, **ports(), "_system_config": DETECTION})
        running.second = running.add_node(num_cpus=2, memory=int(8 * GIB), object_store_memory=80 << 20, **ports())
        yield running
        import ray

        ray.shutdown()
        running.shutdown()


def ports() -> dict[str, int]:
    """Ports for the helpers of a machine. Where Ray chooses them itself, a machine that is too busy to have chosen them
    within 30 seconds dies."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    with ExitStack() as open_ones:
        free = [open_ones.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: one.getsockname()[1] for name, one in zip(names, free, strict=True)}


def patient(get_node: Callable[..., object]) -> Callable[..., object]:
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


def built(cluster: Any, root: Path, *wanted: Recipe) -> Build:
    """What becomes of a build on the cluster."""
    store = Store(root)
    graph = graph_of(wanted, store)
    with on_ray(Place(root), cluster.address) as engine:
        crew = Crew(engine)
        try:
            return build(Schedule(graph, dict.fromkeys(graph, 1.0)), crew, Appetite(store))
        finally:
            crew.stop()


def hashes(root: Path, *wanted: Recipe) -> dict[str, object]:
    """The sha256 of every file of what is wanted and what that is made of, by key and name."""
    store = Store(root)
    graph = graph_of(wanted, Store(root / "empty"))
    manifests = {key: read_manifest(store.home(node.recipe, key)) for key, node in graph.items()}
    assert None not in manifests.values()
    return {
        f"{key}/{name}": entry["sha256"]
        for key, manifest in manifests.items()
        if manifest
        for name, entry in manifest.said["files"].items()
    }


@needs_ray
def test_machines_are_told_apart(cluster: Any, tmp_path: Path) -> None:
    with on_ray(Place(tmp_path), cluster.address) as engine:
        assert sorted(engine.nodes().values()) == [Node(1, 4 * GIB), Node(2, 8 * GIB)]


@needs_ray
def test_a_cluster_a_pool_and_one_process_make_the_same_bytes(cluster: Any, tmp_path: Path) -> None:
    wanted = [
        Rows(ON, SYCOPHANCY.questions("heldout")[:2], "", Weights(Direction(plus, adapter(family, sign="minus"))))
        for family in ("lora", "delora")
        for plus in [adapter(family, sign="plus")]
    ]
    made = built(cluster, tmp_path / "ray", *wanted)
    assert made.failures == {}
    with processes(Place(tmp_path / "pool"), 2) as engine:
        crew = Crew(engine)
        store = Store(tmp_path / "pool")
        graph = graph_of(wanted, store)
        assert build(Schedule(graph, dict.fromkeys(graph, 1.0)), crew, Appetite(store)).failures == {}
        crew.stop()
    with processes(Place(tmp_path / "one"), 1) as engine:
        crew = Crew(engine)
        assert build(Schedule(graph, dict.fromkeys(graph, 1.0)), crew, Appetite(store)).failures == {}
        crew.stop()
    assert hashes(tmp_path / "ray", *wanted) == hashes(tmp_path / "pool", *wanted) == hashes(tmp_path / "one", *wanted)


@needs_ray
def test_what_cannot_be_built_takes_only_what_reads_it(cluster: Any, tmp_path: Path) -> None:
    bad, deadly, fine = Refused("x"), Killed("y"), Said("fine")
    made = built(cluster, tmp_path, Said("needs", after=(bad,)), deadly, fine)
    store = Store(tmp_path)
    assert made.failures[store.key(bad)] == "x cannot be said"
    assert "died twice" in made.failures[store.key(deadly)]
    assert list(made.seconds) == [store.key(fine)]


@needs_ray
def test_a_machine_that_is_killed_loses_nothing(cluster: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    held = [Held(str(n), gate=str(gate)) for n in range(4)]
    wanted = [Said(f"reader {n}", after=(one,)) for n, one in enumerate(held)]
    store = Store(tmp_path / "store")

    def kill() -> None:
        until = time.monotonic() + WAITED
        # All three cores are at it: what is built there is named by its key.
        while len(list((tmp_path / "store" / "tmp").glob(f"{'?' * 32}-*"))) < 3 and time.monotonic() < until:
            time.sleep(0.1)
        cluster.remove_node(cluster.second, allow_graceful=False)
        gate.touch()

    killer = threading.Thread(target=kill)
    killer.start()
    made = built(cluster, tmp_path / "store", *wanted)
    killer.join()
    assert made.failures == {}
    assert made.lost == []
    for n, one in enumerate(wanted):
        assert store.has(one)
        assert (store.get(one) / "said.txt").read_text() == f"{n} reader {n}"
    assert store.built == []


def test_what_is_reserved_is_what_a_build_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]', or make cluster")
    asked: list[dict[str, Any]] = []
    first = "a" * 56  # as long as Ray's own

    class Actors:
        def options(self, **options: Any) -> "Actors":
            asked.append(options)
            return self

        def remote(self, place: Place) -> None: ...

    class Ray:
        def remote(self, cls: type) -> Actors:
            return Actors()

        def nodes(self) -> list[dict[str, Any]]:
            return [
                {"NodeID": first, "Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0, "memory": 8e9}},
                {"NodeID": "b", "Alive": False, "Resources": {"CPU": 4.0}},
                {"NodeID": "c", "Alive": True, "Resources": {"memory": 8e9}},
            ]

    monkeypatch.setenv("WS_RUN_ID", "this")
    engine = on_ray_module.RayCluster(Ray(), Place(tmp_path))  # type: ignore[arg-type]
    assert engine.nodes() == {first: Node(4, 8e9, 1)}
    engine.start(first, Needs(("m",), 3e9, gpus=1))
    engine.start(first, Needs(("m",), 30e9))
    assert [(one["num_cpus"], one["num_gpus"], one["memory"]) for one in asked] == [(1, 1, 3e9), (1, 0, 8e9)]
    assert asked[0]["runtime_env"]["env_vars"].items() >= {"OMP_NUM_THREADS": "1", "WS_RUN_ID": "this"}.items()
    assert asked[0]["max_restarts"] == 0
    assert "WS_RUN_ID" in os.environ
