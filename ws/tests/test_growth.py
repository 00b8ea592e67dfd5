"""Builds grow with their workers until the longest chain binds, and a plan says beforehand where that is."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.bench.growth import CORES_A_MACHINE, MACHINE_BYTES, OneModel, machines, one_model
from ws.plan.graph import Node
from ws.plan.needs import Needs
from ws.plan.needs import Node as Machine
from ws.plan.schedule import Schedule
from ws.plan.simulation import WITHIN, binds_from, on_one_machine, simulated
from ws.store import Store
from ws.tests.planned_recipes import Said

SECONDS = {"ModelWeights": 20.0, "Pairs": 60.0, "Adapter": 90.0, "SampledAnswers": 50.0, "Rows": 40.0}
SECONDS |= {"TextRows": 60.0, "WrittenRows": 120.0}
"""About those of the embedded model with one thread."""

FAMILIES = ("lora", "delora", "ia3")


@cache
def small() -> OneModel:
    """The recipes of claims on three families."""
    return one_model("tiny-random-qwen3", FAMILIES, SECONDS, Store(Path("/nowhere")))


def test_what_is_built_is_what_claims_read() -> None:
    kinds = [type(node.recipe).__name__ for node in (*small().shared.values(), *small().own.values())]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    families = len(FAMILIES)
    # Rows are those of the unchanged model too.
    assert counts == {
        "ModelWeights": 1,
        "Rows": 1 + families,
        "Pairs": 1,
        "Adapter": 2 * families,
        "SampledAnswers": 1,
        "TextRows": families,
        "WrittenRows": families,
    }
    schedule = small().grown(seeds=4, models=2).schedule
    assert len(schedule.graph) == 2 * (len(small().shared) + 4 * len(small().own))


@pytest.mark.parametrize(("seeds", "models"), [(1, 1), (3, 1), (8, 2)])
def test_a_build_grows_with_its_workers_until_the_longest_chain_binds(seeds: int, models: int) -> None:
    schedule = small().grown(seeds=seeds, models=models).schedule
    told, chain = binds_from(schedule), sum(schedule.seconds[key] for key in schedule.critical)
    for workers in range(1, told):
        assert simulated(schedule, on_one_machine(workers)).seconds <= WITHIN * schedule.total / workers
    # Not said out of caution: there the chain alone takes at least half the time, and with twice as many it is all.
    assert chain >= simulated(schedule, on_one_machine(told)).seconds / 2
    assert simulated(schedule, on_one_machine(4 * told)).seconds == pytest.approx(chain)


def test_more_seeds_keep_more_workers_busy() -> None:
    one, eight = (binds_from(small().grown(seeds=seeds, models=1).schedule) - 1 for seeds in (1, 8))
    assert eight >= 5 * one


def test_machines_share_a_build_like_the_cores_of_one() -> None:
    grown = small().grown(seeds=8, models=1)
    one = grown.schedule.total / simulated(grown.schedule, on_one_machine(16)).seconds
    assert grown.speed_up(machines(16)) >= one / WITHIN
    assert machines(20) == {
        "machine 0": Machine(CORES_A_MACHINE, MACHINE_BYTES),
        "machine 1": Machine(CORES_A_MACHINE, MACHINE_BYTES),
        "machine 2": Machine(4, MACHINE_BYTES),
    }


def test_models_that_do_not_fit_beside_each_other_take_turns() -> None:
    grown = small().grown(seeds=4, models=2)
    together = grown.speed_up(on_one_machine(2))
    narrow = {"here": Machine(2, 10.0)}
    apart = grown.speed_up(narrow, model_bytes=8.0)
    assert apart == pytest.approx(1.0, rel=0.02)
    assert together > 1.9


@given(st.lists(st.tuples(st.floats(0.1, 10), st.sets(st.integers(0, 9))), min_size=1, max_size=10), st.integers(1, 4))
def test_a_simulated_build_is_one_that_can_be(drawn: list[tuple[float, set[int]]], workers: int) -> None:
    graph = {
        str(n): Node(str(n), Said(str(n)), tuple(str(one) for one in sorted(below) if one < n))
        for n, (_, below) in enumerate(drawn)
    }
    schedule = Schedule(graph, {str(n): seconds for n, (seconds, _) in enumerate(drawn)})
    course = simulated(schedule, {"a": Machine(workers, 2.0)}, needs=lambda recipe: Needs((), 1.0))
    begins = {key: course.ends[key] - schedule.seconds[key] for key in graph}
    for key, node in graph.items():
        assert all(course.ends[one] <= begins[key] + 1e-9 for one in node.inputs)
        at_once = sum(begins[other] <= begins[key] < course.ends[other] - 1e-9 for other in graph)
        assert at_once <= min(workers, 2)
    assert course.busy == pytest.approx(schedule.total)
    assert course.seconds == max(course.ends.values())
