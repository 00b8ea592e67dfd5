"""Builds: what dies is begun anew, what cannot be built is left out with what needs it, and what is left is told."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import ws
from ws.errors import DataError
from ws.lenses.cuts import whole_delta
from ws.models.language import LanguageModel
from ws.plan import building, forgetting, place
from ws.plan.building import MachineLost, WorkerDied, build
from ws.plan.crew import Crew
from ws.plan.graph import graph_of
from ws.plan.needs import Needs, Node, Nodes
from ws.plan.outlook import Outlook
from ws.plan.place import Done, Hands, Place, Unfit, translated
from ws.plan.processes import HERE, Process, Processes, beginnings, processes, side_by_side, visible_gpus
from ws.plan.schedule import Schedule
from ws.remote import whereabouts
from ws.stats import tables
from ws.store import Recipe, Store
from ws.store.origin import versions
from ws.tests.planned_recipes import Refused, Said, Surroundings
from ws.tests.small import adapter
from ws.tests.test_crew import Desk, Office
from ws.tests.told import Told
from ws.training.direction import Direction


class Here(Desk):
    """A worker that builds at once, in this process, unless it is told to fail."""

    def __init__(self, office: "Workshop", node: str) -> None:
        super().__init__(office.ended)
        self.office, self.node = office, node

    def build(self, recipe: Recipe, key: str) -> "Future[Done]":
        ended: Future[Done] = Future()
        try:
            self.office.troubles(self.node, recipe)
            ended.set_result(Hands(Place(self.office.root)).build(recipe, key))
        except (Exception, WorkerDied, MachineLost) as error:
            ended.set_exception(error)
        self.office.asked.append((recipe.describe(), self.node))
        return ended


class Workshop(Office):
    """An engine of such workers."""

    def __init__(self, root: Path, troubles: Callable[[str, Recipe], None], **nodes: Node) -> None:
        super().__init__(**nodes)
        self.root, self.troubles = root, troubles
        self.asked: list[tuple[str, str]] = []

    def start(self, node: str, needs: Needs) -> Here:
        return Here(self, node)


@pytest.fixture(autouse=True)
def quiet_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker in this process silences it."""
    monkeypatch.setenv("WS_QUIET", "0")


def built_by(office: Workshop, *wanted: Recipe, needs: Needs | None = None) -> building.Build:
    store = Store(office.root)
    graph = graph_of(wanted, store)
    schedule = Schedule(graph, dict.fromkeys(graph, 1.0))
    return build(schedule, Crew(office), lambda recipe: needs or Needs())


A = Said("a")
B, C = Said("b", after=(A,)), Said("c", after=(A,))


def test_what_is_lost_with_a_machine_is_built_on_another(tmp_path: Path) -> None:
    def lose(node: str, recipe: Recipe) -> None:
        if node == "bad":
            office.there = {"good": Node(1)}
            raise MachineLost

    office = Workshop(tmp_path, lose, bad=Node(3), good=Node(1))
    made = built_by(office, B, C)
    assert office.asked == [("said a", "bad"), ("said a", "good"), ("said b", "good"), ("said c", "good")]
    assert len(made.seconds) == 3
    assert made.failures == {}


def test_what_machines_die_of_is_given_up(tmp_path: Path) -> None:
    def lose(node: str, recipe: Recipe) -> None:
        if recipe == A:
            raise MachineLost

    other = Said("other")
    made = built_by(Workshop(tmp_path, lose, a=Node(1)), B, other)
    store = Store(tmp_path)
    assert list(made.failures) == [store.key(A)]
    assert f"{building.MOST_MOVES} machines were lost" in made.failures[store.key(A)]
    assert made.lost == [store.key(B)]
    assert list(made.seconds) == [store.key(other)]


def test_what_kills_its_worker_twice_is_left_out(tmp_path: Path) -> None:
    def die(node: str, recipe: Recipe) -> None:
        if recipe == A:
            raise WorkerDied

    office = Workshop(tmp_path, die, a=Node(2))
    made = built_by(office, A, Refused("x"), Said("y"))
    assert [name for name, _ in office.asked].count("said a") == building.MOST_DEATHS
    assert "died twice" in made.failures[Store(tmp_path).key(A)]
    assert len(made.failures) == 2


def test_what_no_machine_can_build_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "PATIENCE", 0.0)
    made = built_by(Workshop(tmp_path, lambda node, recipe: None, a=Node(1)), B, needs=Needs(gpus=1))
    assert list(made.failures.values()) == ["it needs a GPU, and no machine has one"]
    assert len(made.lost) == 1
    made = built_by(Workshop(tmp_path, lambda node, recipe: None), A)
    assert list(made.failures.values()) == ["it needs a core, and no machine has one"]


def test_a_build_without_a_machine_waits_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "LOOK_AGAIN", 0.0)

    class Late(Workshop):
        looks = 0

        def nodes(self) -> Nodes:
            self.looks += 1
            return {"late": Node(1)} if self.looks > 5 else {}

    office = Late(tmp_path, lambda node, recipe: None)
    made = built_by(office, A)
    assert (made.failures, office.asked) == ({}, [("said a", "late")])


def test_what_is_to_be_begun_anew_is_given_up_if_all_machines_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "PATIENCE", 0.0)

    def die(node: str, recipe: Recipe) -> None:
        office.there = {}
        raise WorkerDied

    office = Workshop(tmp_path, die, a=Node(1))
    made = built_by(office, B)
    assert made.failures == {Store(tmp_path).key(A): "it needs a core, and no machine has one"}
    assert made.lost == [Store(tmp_path).key(B)]


def test_now_and_then_a_line_says_how_far_a_build_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    class Never(Here):
        def build(self, recipe: Recipe, key: str) -> "Future[Done]":
            return Future()

    monkeypatch.setattr(Workshop, "start", lambda office, node, needs: Never(office, node))
    graph = graph_of([A, *(Said(text) for text in "xyz")], Store(tmp_path))
    office = Workshop(tmp_path, lambda node, recipe: None, a=Node(2))
    shift = building._Shift(Schedule(graph, dict.fromkeys(graph, 60.0)), Crew(office), lambda recipe: Needs())
    shift.said_at -= building.SECONDS_BETWEEN_LINES
    shift.say()
    assert told == []  # nothing is under way
    shift.crew.look()
    shift.hand_out()
    shift.made.failures[shift.queue.first or ""] = "it cannot"
    shift.say()
    [line] = told
    assert re.fullmatch(r"1 of 4 artifacts, \d:\d\d left; under way: said a and 1 more; next said y", line)
    shift.say()
    assert len(told) == 1


def test_a_machine_that_cannot_take_part_is_left_out(tmp_path: Path, told: Told) -> None:
    def refuse(node: str, recipe: Recipe) -> None:
        if node == "odd":
            raise Unfit("odd has other code")

    office = Workshop(tmp_path, refuse, odd=Node(2), good=Node(1))
    made = built_by(office, B, C)
    assert office.asked == [("said a", "odd"), ("said a", "good"), ("said b", "good"), ("said c", "good")]
    assert (len(made.seconds), made.failures) == (3, {})
    assert [line for line in told if "odd" in line] == ["a machine is left out: odd has other code"]


def test_if_none_can_take_part_the_reason_is_told_at_once(tmp_path: Path) -> None:
    def refuse(node: str, recipe: Recipe) -> None:
        raise Unfit(f"{node} has other code\nand so on")

    office = Workshop(tmp_path, refuse, a=Node(1))
    made = built_by(office, B)
    said = "it needs a core, and no machine has one that could build: a has other code"
    assert made.failures == {Store(tmp_path).key(A): said}
    assert made.lost == [Store(tmp_path).key(B)]
    assert len(office.ended) == 1


def test_a_worker_with_other_code_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match=r"has other code or libraries: said a has the key .* install the same commit"):
        Hands(Place(tmp_path)).build(A, "0" * 32)


def test_a_worker_is_told_of_models_and_behaviors_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told_of: list[tuple[object, ...]] = []
    monkeypatch.setattr("ws.models.own.chosen_model", lambda text, store, *, device: told_of.append((text, device)))
    monkeypatch.setattr("ws.behaviors.own.chosen_behavior", lambda text, store: told_of.append((text, store.root)))
    Place(tmp_path, models=("smollm2-135m",)).store()
    assert told_of == []
    Place(tmp_path, models=("smollm2-135m", "./mine"), behavior="kind.toml", device="cuda").store()
    assert told_of == [("./mine", "cuda"), ("kind.toml", tmp_path)]


def test_workers_start_with_one_thread_and_this_process_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with processes(Place(tmp_path), 3) as engine:
        assert {os.environ[name] for name in place.ONE_THREAD} == {"1"}
        assert engine.nodes()[HERE].cores == 3
    assert (os.environ["OMP_NUM_THREADS"], os.environ.get("MKL_NUM_THREADS")) == ("7", None)


def test_gpus_are_those_that_this_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-1a")
    assert visible_gpus() == ["5", "GPU-1a"]


@pytest.mark.parametrize("kind", ["folder", "file", "memory"])
def test_a_worker_sees_the_store_that_is_built_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(place, "SEEN_WITHIN", 0.0)
    monkeypatch.setenv("WS_STORE_COPY", str(tmp_path / "copy"))
    roots = {"folder": tmp_path / "store", "file": f"file://{tmp_path}/store", "memory": "memory://signs/store"}
    root = roots[kind]
    with Place(root).signed() as signed:
        assert whereabouts(signed.store()) == root
        monkeypatch.setenv("WS_STORE_COPY", str(tmp_path / "other"))
        elsewhere = root / "elsewhere" if isinstance(root, Path) else f"{root}/elsewhere"
        with pytest.raises(Unfit, match=r"sees another store at .*/store/elsewhere than the one that is built into"):
            replace(signed, root=elsewhere).store()
    with pytest.raises(Unfit):
        signed.store()
    assert [path for path in tmp_path.rglob(f"*{signed.sign}*") if path.is_file()] == []


def test_an_error_is_told_as_what_it_means() -> None:
    future: Future[Done] = Future()
    told = translated(future, lambda error: WorkerDied(f"of {error}"))
    future.set_exception(ValueError("bits"))
    assert str(told.exception()) == "of bits"


WORKER = """
import multiprocessing, sys, time
from ws.plan.orphans import end_with_parent

def work():
    end_with_parent()
    print("begun", flush=True)
    time.sleep(60)
    print("outlived", flush=True)

if __name__ == "__main__":
    worker = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    worker.start()
    worker.join()
"""


@pytest.mark.parametrize("beginning", ["spawn", "forkserver"])
def test_no_worker_outlives_the_process_that_it_works_for(tmp_path: Path, beginning: str) -> None:
    (tmp_path / "begun.py").write_text(WORKER)
    found = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    begun = [sys.executable, tmp_path / "begun.py", beginning]
    with subprocess.Popen(begun, stdout=subprocess.PIPE, text=True, env=found) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "begun\n"
        parent.kill()
        # The worker writes there too, so the end comes with its own.
        assert parent.stdout.read() == ""


def found_by_a_worker(root: Path) -> dict[str, object]:
    recipe, store = Surroundings("WS_TEST_WORD"), Store(root)
    with processes(Place(root), 1) as engine:
        worker = engine.start(HERE, Needs())
        try:
            worker.build(recipe, store.key(recipe)).result()
        finally:
            worker.end()
    return json.loads((store.get(recipe) / "found.json").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="workers share no memory elsewhere")
def test_workers_share_what_one_process_has_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The second worker is forked from a process that began with the environment of the first.
    for word in ("first", "second"):
        monkeypatch.setenv("WS_TEST_WORD", word)
        found = found_by_a_worker(tmp_path / word)
        assert found["shared"]
        assert found["code"] == ws.__file__
        assert found["variable"] == word


def test_a_worker_on_a_gpu_is_forked_from_nothing(tmp_path: Path) -> None:
    assert beginnings("cuda").get_start_method() == "spawn"


@dataclass(frozen=True)
class About(Said):
    """What is about a direction."""

    direction: Direction | None = None


def test_a_worker_keeps_the_update_of_one_direction(
    tmp_path: Path, store: Store, lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[int] = []
    monkeypatch.setattr(forgetting, "give_back", lambda *, above: given_back.append(above))
    lora, dora = (Direction(adapter(f, sign="plus"), adapter(f, sign="minus")) for f in ("lora", "dora"))
    hands, own, kept = Hands(Place(tmp_path)), Store(tmp_path), []
    for text, direction in (("a", lora), ("b", lora), ("c", dora)):
        recipe = About(text, direction=direction)
        if text == "b":
            whole_delta(lora, lm, store)
        hands.build(recipe, own.key(recipe))
        kept.append(whole_delta.cache_info().currsize)
    assert kept == [0, 1, 0]
    assert given_back == [0]


def test_a_worker_gives_memory_back_before_another_kind_of_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[str] = []
    hands, own = Hands(Place(tmp_path)), Store(tmp_path)
    monkeypatch.setattr(place, "give_back", lambda *, above: given_back.append(f"{recipe.describe()}, above {above}"))
    for recipe in (Said("a"), Said("b"), About("c"), About("d"), Said("e")):
        hands.build(recipe, own.key(recipe))
    assert given_back == [f"{one.describe()}, above 0" for one in (Said("a"), About("c"), Said("e"))]


def test_a_build_begins_without_the_tables_that_a_plan_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[int] = []
    monkeypatch.setattr(forgetting, "give_back", lambda *, above: given_back.append(above))
    tables.weights(2, 2, 2)
    versions()
    built_by(Workshop(tmp_path, lambda node, recipe: None, here=Node(1)), A)
    assert tables.weights.cache_info().currsize == 0
    assert versions.cache_info().currsize == 1
    assert given_back == [0]


def test_each_worker_has_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_to: list[str | None] = []

    class Idle(Process):
        def __init__(self, where: Place, gpu: str | None, given_back: Callable[[str], None]) -> None:
            given_to.append(gpu)
            self.end = lambda: given_back(str(gpu))  # type: ignore[method-assign]

    monkeypatch.setattr("ws.plan.processes.visible_gpus", lambda: ["4", "7"])
    monkeypatch.setattr("ws.plan.processes.Process", Idle)
    engine = Processes(Place(tmp_path, device="cuda"), 3)
    assert engine.nodes()[HERE].gpus == 2
    first = engine.start(HERE, Needs(gpus=1))
    engine.start(HERE, Needs(gpus=1))
    first.end()
    engine.start(HERE, Needs(gpus=1))
    engine.start(HERE, Needs())
    assert given_to == ["4", "7", "4", None]


def test_what_was_built_corrects_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("ws.plan.outlook.time.monotonic", lambda: now[0])
    graph = graph_of([Said(str(n)) for n in range(6)], Store(Path("/nowhere")))
    outlook = Outlook(Schedule(graph, dict.fromkeys(graph, 10.0)))
    first, second, third, fourth, *_ = graph
    assert outlook.seconds_left(1) == 60
    for key in (first, second, third):
        outlook.end(key, 20.0)
    now[0] = 60.0
    assert outlook.seconds_left(1) == 60  # three more, twice as long as planned
    outlook.begin(fourth)
    now[0] = 70.0
    assert outlook.seconds_left(1) == 50
    assert outlook.seconds_left(2) == pytest.approx(50)  # counted down until it is worked out anew
    now[0] = 76.0
    assert outlook.seconds_left(2) == 24
    now[0] = 110.0
    assert outlook.seconds_left(1) == 70  # two more, and the one that is 30 seconds late as long again


def test_what_took_no_time_says_nothing_of_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("ws.plan.outlook.time.monotonic", lambda: now[0])
    graph = graph_of([Said(str(n)) for n in range(7)], Store(Path("/nowhere")))
    outlook = Outlook(Schedule(graph, dict.fromkeys(graph, 10.0)))
    first, second, third, given_up, elsewhere, sixth, _ = graph
    for key in (first, second, third):
        outlook.begin(key)
        outlook.end(key, 20.0)
    outlook.end(given_up)
    outlook.end(elsewhere, 0.0)
    assert outlook.pace == 2.0
    assert outlook.seconds_left(0) == 40
    outlook.begin(sixth)
    now[0] += 6.0
    outlook.stop(sixth)
    assert outlook.seconds_left(1) == 40
    for key in graph:
        outlook.end(key, 0.5)
    now[0] += 6.0
    outlook.seconds_left(1)
    now[0] += 1.0
    assert outlook.seconds_left(1) == 0


def halved(number: int) -> int:
    if number % 2:
        raise DataError(f"{number} is odd")
    return number // 2


def test_work_side_by_side_is_all_done_and_its_errors_are_raised() -> None:
    assert sorted(side_by_side(halved, range(0, 12, 2), workers=2)) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(DataError, match="3 is odd"):
        list(side_by_side(halved, [2, 3], workers=2))
