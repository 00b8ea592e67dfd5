"""A Ray cluster of two machines, one smaller than the other, builds what one process would, and loses one of them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ws.plan.building import Build, build
from ws.plan.crew import Crew
from ws.plan.graph import graph_of
from ws.plan.needs import Appetite, Node
from ws.plan.on_ray import on_ray
from ws.plan.place import Place
from ws.plan.processes import processes
from ws.plan.schedule import Schedule
from ws.scoring.rows import Rows
from ws.steering.interventions import Weights
from ws.store import Recipe, Store
from ws.store.manifests import read_manifest
from ws.tests.cluster import GIB, WAITED, TwoMachines, two_machines, waited_for
from ws.tests.planned_recipes import Held, Killed, Refused, Said
from ws.tests.small import ON, SYCOPHANCY, adapter
from ws.tests.told import Told
from ws.tests.torture.sameness import contents
from ws.training.direction import Direction
from ws.upkeep.standing import homes_in

ROOT = Path(__file__).parents[2]


needs_ray = pytest.mark.usefixtures("cluster")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
]


@pytest.fixture(scope="module")
def machines() -> Iterator[TwoMachines]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]', or make cluster")
    with two_machines() as both:
        yield both


@pytest.fixture
def cluster(machines: TwoMachines) -> TwoMachines:
    """Two machines, whatever a test has done to the second."""
    machines.complete()
    return machines


def built(cluster: TwoMachines, root: Path, *wanted: Recipe) -> Build:
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
def test_machines_are_told_apart(cluster: TwoMachines, tmp_path: Path) -> None:
    with on_ray(Place(tmp_path), cluster.address) as engine:
        assert sorted(engine.nodes().values()) == [Node(1, 4 * GIB), Node(2, 8 * GIB)]


@needs_ray
def test_a_cluster_a_pool_and_one_process_make_the_same_bytes(cluster: TwoMachines, tmp_path: Path) -> None:
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
def test_what_cannot_be_built_takes_only_what_reads_it(cluster: TwoMachines, tmp_path: Path) -> None:
    bad, deadly, fine = Refused("x"), Killed("y"), Said("fine")
    made = built(cluster, tmp_path, Said("needs", after=(bad,)), deadly, fine)
    store = Store(tmp_path)
    assert made.failures[store.key(bad)] == "x cannot be said"
    assert "died twice" in made.failures[store.key(deadly)]
    assert list(made.seconds) == [store.key(fine)]


@needs_ray
def test_a_machine_that_is_lost_loses_nothing(cluster: TwoMachines, tmp_path: Path, told: Told) -> None:
    root, gate = tmp_path / "store", tmp_path / "gate"
    held = [Held(str(n), gate=str(gate)) for n in range(4)]
    wanted = [Said(f"reader {n}", after=(one,)) for n, one in enumerate(held)]
    store = Store(root)

    def lose() -> set[str]:
        """End the second machine in the middle of all that it can do at once; what that was."""
        try:
            waited_for(
                "three builds at once",
                lambda: sum(map(len, cluster.at_work(root).values())) == 3,
                stands=lambda: cluster.where_it_stands(root),
            )
            under_way = cluster.at_work(root)["second"]
            cluster.lose_second()
            return under_way
        finally:
            gate.touch()

    with ThreadPoolExecutor(1) as beside:
        losing = beside.submit(lose)
        made = built(cluster, root, *wanted)
    lost = losing.result()
    assert len(lost) == 2
    assert {store.key(one) for one in held} > lost
    moved = {f"a machine is lost; {one.describe()} is begun anew on another" for one in held if store.key(one) in lost}
    assert moved <= set(told)
    assert (made.failures, made.lost) == ({}, [])
    for n, one in enumerate(wanted):
        assert store.has(one)
        assert (store.get(one) / "said.txt").read_text() == f"{n} reader {n}"
    assert store.built == []


CLAIMS = ["--model", "tiny-random-qwen3", "-k", "c05 and lora", "--seeds", "1"]


def command(root: Path, output: Path, *words: str) -> "subprocess.Popen[bytes]":
    """`ws build` of a few claims into a store, as on a command line; what it prints goes into a file."""
    line = [sys.executable, "-c", "from ws.cli import main; main()", "build", *CLAIMS, "--store", str(root), *words]
    found = os.environ | {"PYTHONPATH": str(ROOT), "WS_QUIET": "0", "WS_SYNC": "0"}
    with output.open("wb") as file:
        return subprocess.Popen(line, cwd=ROOT, env=found, stdout=file, stderr=subprocess.STDOUT)


@needs_ray
def test_claims_are_built_from_the_command_line_though_a_machine_is_lost(cluster: TwoMachines, tmp_path: Path) -> None:
    roots = {name: tmp_path / name for name in ("ray", "pool")}
    said = {name: tmp_path / f"{name}.txt" for name in ("ray", "again", "pool")}
    with command(roots["ray"], said["ray"], "--engine", "ray", "--address", cluster.address) as building:

        def stands() -> str:
            return f"{cluster.where_it_stands(roots['ray'])}; the build has said: {said['ray'].read_text()[-2000:]}"

        def is_in_the_middle() -> bool:
            assert building.poll() is None, f"the build ended with {building.returncode}; {stands()}"
            return len(list(homes_in(roots["ray"]))) >= 2 and len(cluster.at_work(roots["ray"])["second"]) >= 1

        waited_for("two artifacts, and one under way on the second machine", is_in_the_middle, stands=stands)
        before, under_way = len(list(homes_in(roots["ray"]))), cluster.at_work(roots["ray"])["second"]
        cluster.lose_second()
        waited_for("the end of the build", lambda: building.poll() is not None, stands=stands)
    text = said["ray"].read_text()
    assert building.returncode == 0, stands()
    assert "a machine is lost; " in text
    there = {home.name for home in homes_in(roots["ray"])}
    assert under_way <= there
    with command(roots["ray"], said["again"], "--engine", "ray", "--address", cluster.address) as again:
        assert again.wait(WAITED) == 0
    assert "nothing to build: " in said["again"].read_text()
    with command(roots["pool"], said["pool"], "--workers", "2") as pool:
        assert pool.wait(WAITED) == 0
    assert contents(roots["ray"]) == contents(roots["pool"])
    print(f"{len(there)} artifacts; {before} were there and {len(under_way)} under way on the machine that was lost")
