"""Plans: what is missing, in which order, for how long; schedules hold Graham's bounds; workers build all of it."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.behaviors.messages import Message
from ws.errors import DataError
from ws.plan.asking import AskingStore, UnfoldsLater
from ws.plan.building import Build
from ws.plan.building import build as build_all
from ws.plan.crew import Crew
from ws.plan.graph import Node, directions_of, graph_of, inputs_of
from ws.plan.place import Place
from ws.plan.plan import Plan, plan_of
from ws.plan.processes import processes
from ws.plan.schedule import Queue, Schedule
from ws.plan.simulation import on_one_machine, simulated
from ws.plan.standins import TABLES, stand_in
from ws.plan.text import in_words, result_in_words
from ws.scoring.rows import Rows, read_rows
from ws.scoring.side_effects import SideEffects, read_answers, read_text
from ws.scoring.text import SampledAnswers, TextRows, read_text_rows
from ws.scoring.written import WrittenRows, read_written_rows
from ws.steering.interventions import Nothing, Weights
from ws.steering.iso_kl import Divergence, IsoKL, read_divergence, read_iso_kl
from ws.store import Recipe, Store
from ws.tests.manifest_words import say
from ws.tests.planned_recipes import Killed, KilledOnce, Refused, Said
from ws.tests.small import ON, SYCOPHANCY, adapter
from ws.tests.told import Told
from ws.training.direction import Direction, read_geometry

A = Said("a")
B = Said("b", after=(A,))
C = Said("c", after=(A,))
D = Said("d", after=(B, C))

QUESTIONS = SYCOPHANCY.questions("heldout")[:4]
MESSAGES = ("What is a bridge?", "How do boats float?")
TO_ANSWER = tuple(Message(f"m{n}", "topic", text) for n, text in enumerate(MESSAGES))


@pytest.fixture
def own(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def names(keys: object, graph: dict[str, Node]) -> list[str]:
    return [graph[key].recipe.text for key in keys]  # type: ignore[attr-defined]


def test_a_graph_has_what_is_missing_and_inputs_first(own: Store) -> None:
    own.get(C)
    graph = graph_of([D, B], own)
    assert names(graph, dict(graph)) == ["b", "d"]
    assert [names(node.inputs, dict(graph)) for node in graph.values()] == [[], ["b"]]


def test_a_direction_stands_for_its_adapters() -> None:
    direction = Direction(adapter("lora", sign="plus"), adapter("lora", sign="minus"))
    rows = Rows(ON, QUESTIONS, "", Weights(direction))
    found = list(inputs_of(rows))
    assert direction not in found
    assert {direction.plus, direction.minus, ON.weights} <= set(found)


def test_a_graph_says_which_directions_are_asked_for(own: Store) -> None:
    direction = Direction(adapter("lora", sign="plus"), adapter("lora", sign="minus"))
    rows = Rows(ON, QUESTIONS, "", Weights(direction))
    graph = graph_of([rows], own)
    assert graph[own.key(rows)].about == {direction}
    assert graph[own.key(direction.plus)].about == frozenset()


def schedule(**seconds: float) -> Schedule:
    inputs = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    return Schedule({key: Node(key, Said(key), inputs[key]) for key in seconds}, seconds)


def seconds(planned: Schedule, workers: int) -> float:
    return simulated(planned, on_one_machine(workers)).seconds


def take(queue: Queue) -> str | None:
    taken = queue.take(lambda needs: True)
    return taken[0] if taken else None


def test_the_longest_chain_binds_any_number_of_workers() -> None:
    planned = schedule(a=1.0, b=5.0, c=2.0, d=1.0)
    assert planned.critical == ("a", "b", "d")
    assert schedule(a=1.0, b=2.0, c=5.0, d=1.0).critical == ("a", "c", "d")
    assert planned.total == seconds(planned, 1) == 9
    assert seconds(planned, 2) == seconds(planned, 100) == 7


def test_what_the_most_time_hangs_on_is_taken_first() -> None:
    queue = Queue(schedule(a=1.0, b=2.0, c=5.0, d=1.0))
    assert take(queue) == "a"
    assert take(queue) is None
    queue.finish("a")
    assert [take(queue), take(queue)] == ["c", "b"]
    queue.finish("c")
    assert take(queue) is None
    queue.finish("b")
    assert take(queue) == "d"


def test_what_reads_a_failure_is_never_taken() -> None:
    queue = Queue(schedule(a=1.0, b=2.0, c=5.0, d=1.0))
    queue.finish(str(take(queue)))
    assert queue.fail(str(take(queue))) == ["d"]
    queue.finish(str(take(queue)))
    assert take(queue) is None
    assert set(Queue(schedule(a=1.0, b=2.0, c=5.0, d=1.0)).fail("a")) == {"b", "c", "d"}


@given(
    st.lists(st.tuples(st.floats(0.1, 10), st.sets(st.integers(0, 9))), min_size=1, max_size=10),
    st.integers(1, 4),
)
def test_a_schedule_is_within_grahams_bound(drawn: list[tuple[float, set[int]]], workers: int) -> None:
    graph = {
        str(n): Node(str(n), Said(str(n)), tuple(str(one) for one in sorted(below) if one < n))
        for n, (_, below) in enumerate(drawn)
    }
    planned = Schedule(graph, {str(n): seconds for n, (seconds, _) in enumerate(drawn)})
    longest = sum(planned.seconds[key] for key in planned.critical)
    assert max(longest, planned.total / workers) <= seconds(planned, workers) + 1e-9
    assert seconds(planned, workers) <= planned.total / workers + longest + 1e-9


def about(direction: Direction, *lengths: float) -> dict[Recipe, float]:
    """Rows of a direction that nothing waits for, each of another length, and how long they take."""
    return {Rows(ON, QUESTIONS, "", Weights(direction), (length,)): length for length in lengths}


def test_what_nothing_waits_for_goes_direction_by_direction() -> None:
    lora, dora = (Direction(adapter(f, sign="plus"), adapter(f, sign="minus")) for f in ("lora", "dora"))
    took = {**about(lora, 3.0, 1.0), **about(dora, 2.0, 4.0), A: 2.5}
    graph = {str(n): Node(str(n), recipe, (), directions_of(recipe)) for n, recipe in enumerate(took)}
    queue = Queue(Schedule(graph, {key: took[node.recipe] for key, node in graph.items()}))
    taken = [took[graph[key].recipe] for key in iter(lambda: take(queue), None)]
    assert taken == [4.0, 2.0, 3.0, 1.0, 2.5]


def test_an_empty_plan_takes_no_time() -> None:
    assert Schedule({}, {}).critical == ()
    assert seconds(Schedule({}, {}), 3) == 0
    with pytest.raises(DataError, match="0 workers; expected 1"):
        seconds(Schedule({}, {}), 0)


def timed(store: Store, recipe: Recipe, seconds: float) -> None:
    """Build an artifact, and have its manifest say that it took so long."""
    say(store.get(recipe), seconds=seconds)


def test_a_store_that_asks_builds_nothing(own: Store, tmp_path: Path) -> None:
    own.get(A)
    rows = Rows(ON, QUESTIONS, "", Nothing(), (0.0,))
    asking = AskingStore(own, folder(tmp_path))
    assert asking.get(A) == own.home(A, own.key(A))
    assert len(read_rows(asking, rows)) == len(QUESTIONS)
    asking.needs(A)
    with pytest.raises(UnfoldsLater, match="said b is not there"):
        asking.needs(A, B, D)
    with pytest.raises(UnfoldsLater, match="said c is not there"):
        asking.get(C)
    assert list(asking.missing.values()) == [rows, B, D, C]
    assert [path.name for path in own.root.iterdir() if path.name == "Rows"] == []


def folder(tmp_path: Path) -> Path:
    made = tmp_path / "stand-ins"
    made.mkdir()
    return made


def scored() -> dict[str, tuple[Recipe, object]]:
    """Recipes with stand-ins, and what reads each."""
    said = SampledAnswers(ON, TO_ANSWER, SYCOPHANCY.positive[:2], SYCOPHANCY.negative[:2], seed=5, max_new_tokens=3)
    judges = ((SYCOPHANCY.positive[0], SYCOPHANCY.negative[0]),)
    written = WrittenRows(ON, TO_ANSWER, judges, Nothing(), (0.0,), seed=5, max_new_tokens=3)
    effects = SideEffects(ON, Nothing(), (0.0,), ("A bridge is long.",), MESSAGES, new_tokens=3)
    return {
        "rows": (Rows(ON, QUESTIONS, "", Nothing(), (0.0,)), read_rows),
        "text": (TextRows(ON, said, Nothing(), (0.0,)), read_text_rows),
        "first pair": (TextRows(ON, said, Nothing(), (0.0,), pair="pair-0"), read_text_rows),
        "written": (written, read_written_rows),
        "passages": (effects, read_text),
        "answers": (effects, read_answers),
        "geometry": (Direction(adapter("lora", sign="plus"), adapter("lora", sign="minus")), read_geometry),
        "divergence": (Divergence(ON, MESSAGES, Nothing(), (0.0,), new_tokens=2), read_divergence),
    }


@pytest.mark.parametrize("name", scored())
def test_a_stand_in_has_the_columns_and_rows_of_the_real_table(name: str, store: Store, tmp_path: Path) -> None:
    recipe, read = scored()[name]
    real = read(store, recipe)  # type: ignore[operator]
    made = read(_only_stand_ins(store, recipe, tmp_path), recipe)  # type: ignore[operator]
    assert set(made.columns) == set(real.columns)
    labels = [name for name in ("pair", "sign", "coeff", "cluster", "topic", "message", "passage") if name in real]
    if labels and name != "divergence":
        assert sorted(map(str, made[labels].itertuples(index=False))) == sorted(
            map(str, real[labels].itertuples(index=False))
        )


def _only_stand_ins(store: Store, recipe: Recipe, tmp_path: Path) -> Store:
    """A store that has a stand-in for one recipe."""
    asking = AskingStore(store, folder(tmp_path))
    asking.missing[store.key(recipe)] = recipe
    return asking


def test_stand_ins_of_two_recipes_differ(tmp_path: Path) -> None:
    recipe = Rows(ON, QUESTIONS, "", Nothing(), (0.0,))
    tables = []
    for key in ("one", "two", "one"):
        out = tmp_path / f"{len(tables)}"
        out.mkdir()
        stand_in(recipe, out, key=key)
        tables.append(pd.read_parquet(out / "rows.parquet"))
    assert not tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_a_made_up_coefficient_has_its_side(store: Store, tmp_path: Path) -> None:
    direction = Direction(adapter("lora", sign="plus"), adapter("lora", sign="minus"))
    recipe = IsoKL(ON, MESSAGES, Weights(direction), side=-1)
    asking = AskingStore(store, folder(tmp_path))
    assert read_iso_kl(asking, recipe).coeff == -1.0


def test_every_table_that_is_made_up_is_of_another_class() -> None:
    assert {Rows, TextRows, WrittenRows, SideEffects, Direction} <= TABLES.keys()


def plan(own: Store, *wanted: Recipe, **choices: object) -> Plan:
    return plan_of({own.key(one): one for one in wanted}, own, cases=4, **choices)  # type: ignore[arg-type]


def test_a_plan_in_words_fits_a_terminal(own: Store) -> None:
    timed(own, Said("x"), 90.0)
    planned = plan(own, D, unfolding=["test_one[a]", "test_one[b]"], failing={"test_two[a]": "no", "test_two[b]": "no"})
    words = in_words(planned, on_one_machine(2))
    assert "4 artifacts to build for 4 cases" in words
    assert "1 artifact to build for 4 cases" in in_words(plan(own, A), on_one_machine(2))
    assert "one worker: 7:30\n2 workers: 6:12\n" in words
    assert "any number of workers: 6:00, the longest chain (Said > Said > Said)" in words
    assert "4 cases may ask for more when some of it is there: test_one, test_two" in words
    more = in_words(planned, on_one_machine(2), verbose=True)
    assert more == f"{words}\non made-up numbers test_two[a] and 1 more ended in: no"
    assert max(map(len, words.splitlines())) <= 80


def test_a_store_that_built_nothing_knows_no_times(own: Store) -> None:
    words = in_words(plan(own, D), on_one_machine(2))
    assert "?" in words
    assert "worker" not in words


def test_a_plan_of_nothing_says_so(own: Store) -> None:
    assert in_words(plan(own), on_one_machine(2)) == "nothing to build: all that 4 cases read is there"


def test_a_plan_without_an_artifact_is_without_all_that_need_it(own: Store) -> None:
    left = plan(own, D).without({own.key(B)})
    assert names(left.graph, dict(left.graph)) == ["a", "c"]
    assert left.schedule.critical == (own.key(A), own.key(C))


def built(planned: Plan, own: Store, *, workers: int) -> Build:
    with processes(Place(own.root), workers) as builders:
        crew = Crew(builders)
        try:
            return build_all(planned.schedule, crew, planned.needs)
        finally:
            crew.stop()


def test_workers_build_what_is_planned_and_leave_out_what_cannot_be(own: Store, tmp_path: Path, told: Told) -> None:
    bad, deadly, shaky = Refused("x"), Killed("y"), KilledOnce(str(tmp_path / "died"))
    wanted = [D, Said("needs", after=(bad,)), deadly, shaky]
    planned = plan(own, *wanted)
    made = built(planned, own, workers=2)
    assert (own.get(D) / "said.txt").read_text() == "a b a c d"
    assert own.built == []
    assert {own.key(one) for one in (A, B, C, D, shaky)} == set(made.seconds)
    assert made.failures[own.key(bad)] == "x cannot be said"
    assert "died twice" in made.failures[own.key(deadly)]
    assert made.lost == [own.key(wanted[1])]
    assert made.peak > 0
    assert "cannot build said x: x cannot be said" in told
    assert "2 cannot be built, and 1 need one of these" in " ".join(
        result_in_words(made, seconds=3.0, workers=2).split()
    )
    left = replace(planned).without({*made.failures, *made.lost, *made.seconds})
    assert left.graph == {}
