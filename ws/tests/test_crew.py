"""Crews: a machine never has more in memory than fits; who has a model goes on with it; machines come and go."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.models.language import Placed
from ws.models.table import weights_of
from ws.plan.crew import Crew, Member
from ws.plan.graph import graph_of
from ws.plan.needs import OWN_BYTES, PER_WEIGHT_BYTE, Appetite, Needs, Node, Nodes, fp32_bytes
from ws.scoring.rows import Rows
from ws.steering.interventions import Nothing
from ws.store import Store
from ws.tests.planned_recipes import Said
from ws.tests.small import ON, SYCOPHANCY


class Desk:
    """A worker that only counts its ends."""

    def __init__(self, ended: list["Desk"]) -> None:
        self.ended = ended

    def end(self) -> None:
        self.ended.append(self)


class Office:
    """An engine whose machines a test sets."""

    def __init__(self, **nodes: Node) -> None:
        self.there: Nodes = nodes
        self.ended: list[Desk] = []

    def nodes(self) -> Nodes:
        return self.there

    def start(self, node: str, needs: Needs) -> Desk:
        return Desk(self.ended)


def crew_of(office: Office) -> Crew[Desk]:
    crew: Crew[Desk] = Crew(office)
    crew.look()
    return crew


def taken(crew: Crew[Desk], needs: Needs) -> Member[Desk]:
    member = crew.take(needs)
    assert member is not None
    return member


SMALL, LARGE = Needs(("small",), 2.0), Needs(("large",), 7.0)


def test_who_has_the_model_goes_on_with_it() -> None:
    crew = crew_of(Office(a=Node(2, 10.0)))
    first = taken(crew, SMALL)
    crew.rest(first)
    assert taken(crew, SMALL) is first
    assert taken(crew, SMALL) is not first
    assert crew.take(SMALL) is None


def test_idle_workers_of_other_models_make_room() -> None:
    office = Office(a=Node(2, 8.0))
    crew = crew_of(office)
    small = taken(crew, SMALL)
    assert crew.take(LARGE) is None
    crew.rest(small)
    taken(crew, LARGE)
    assert office.ended == [small.worker]


def test_idle_workers_stay_where_there_is_room_beside_them() -> None:
    office = Office(a=Node(2, 10.0))
    crew = crew_of(office)
    small = taken(crew, SMALL)
    crew.rest(small)
    taken(crew, LARGE)
    assert office.ended == []
    assert taken(crew, SMALL) is small


def test_what_is_too_large_for_a_machine_is_tried_alone() -> None:
    crew = crew_of(Office(a=Node(2, 8.0)))
    taken(crew, Needs(("huge",), 100.0))
    assert crew.take(SMALL) is None


def test_a_machine_is_kept_for_what_must_be_alone() -> None:
    crew = crew_of(Office(a=Node(2), b=Node(1)))
    members = [taken(crew, SMALL) for _ in range(3)]
    [alone_at] = {one.node for one in members} - {"a"}
    assert crew.take(SMALL._replace(alone=True)) is None
    # A machine with as few busy workers as there are is kept for it, so nobody else gets a free core there.
    crew.rest(next(one for one in members if one.node == alone_at))
    assert crew.take(SMALL) is None
    assert taken(crew, SMALL._replace(alone=True)).node == alone_at


def test_nothing_begins_beside_what_must_be_alone() -> None:
    crew = crew_of(Office(a=Node(4)))
    alone = taken(crew, SMALL._replace(alone=True))
    assert crew.take(SMALL) is None
    crew.rest(alone)
    assert taken(crew, SMALL) is not alone


def test_machines_come_and_go() -> None:
    office = Office(a=Node(1))
    crew = crew_of(office)
    member = taken(crew, SMALL)
    office.there = {"b": Node(1)}
    crew.look()
    crew.dismiss(member)
    assert taken(crew, SMALL).node == "b"
    assert len(crew) == crew.busy == 1


def test_a_machine_that_was_only_thought_to_be_gone_comes_back_empty() -> None:
    office = Office(a=Node(2), b=Node(1))
    crew = crew_of(office)
    first, second, third = (taken(crew, SMALL) for _ in range(3))
    at_a = [one for one in (first, second, third) if one.node == "a"]
    crew.rest(at_a[0])
    office.there = {"b": Node(1)}
    crew.look()
    assert office.ended == [at_a[0].worker]
    assert len(crew) == crew.busy == 1
    office.there = {"a": Node(2), "b": Node(1)}
    crew.look()
    new = taken(crew, SMALL)
    assert new.node == "a"
    # It has worked on there: what it is asked next belongs to one of those who began since.
    crew.rest(at_a[1])
    assert office.ended == [at_a[0].worker, at_a[1].worker]
    assert crew.busy == 2
    assert new is not taken(crew, SMALL)


def test_all_end_in_the_end_those_on_lost_machines_too() -> None:
    office = Office(a=Node(1), b=Node(2))
    crew = crew_of(office)
    members = [taken(crew, SMALL) for _ in range(3)]
    crew.rest(next(one for one in members if one.node == "b"))
    office.there = {"b": Node(2)}
    crew.look()
    crew.stop()
    assert {id(one) for one in office.ended} == {id(one.worker) for one in members}
    assert len(office.ended) == 3
    assert crew.busy == len(crew) == 0


needs_of_tests = st.builds(
    Needs, st.sampled_from([("x",), ("y",), ("z",)]), st.sampled_from([1.0, 3.0, 9.0]), st.integers(0, 1), st.booleans()
)
machines = st.lists(st.builds(Node, st.integers(1, 3), st.sampled_from([4.0, 10.0]), st.integers(0, 1)), min_size=1)


@given(machines, st.lists(st.one_of(needs_of_tests, st.integers(0, 3)), max_size=30))
def test_a_machine_never_has_more_than_fits(nodes: list[Node], moves: list[Needs | int]) -> None:
    named = {str(n): node for n, node in enumerate(nodes)}
    crew = crew_of(Office(**named))
    busy: list[Member[Desk]] = []
    for move in moves:
        if isinstance(move, Needs):
            busy += [member] if (member := crew.take(move)) is not None else []
        elif busy:
            crew.rest(busy.pop(move % len(busy)))
        for name, node in named.items():
            desk = crew._desks[name]
            there = desk.busy + desk.idle
            assert len(there) <= node.cores
            assert sum(one.needs.gpus for one in there) <= node.gpus
            assert len(there) <= 1 or sum(one.needs.bytes for one in there) <= node.bytes
            assert len(desk.busy) <= 1 or not any(one.needs.alone for one in desk.busy)
    assert crew.busy == len(busy)


def test_needs_are_those_of_the_model_once_it_is_there(store: Store, tmp_path: Path) -> None:
    rows = Rows(replace(ON, device="cuda"), SYCOPHANCY.questions("heldout")[:1], "", Nothing(), (0.0,))
    weights = fp32_bytes(store.get(ON.weights))
    assert weights == pytest.approx((store.get(ON.weights) / "model.safetensors").stat().st_size, rel=0.05)
    models = ("tiny-random-qwen3 on cuda",)
    assert Appetite(store)(rows) == Needs(models, OWN_BYTES + PER_WEIGHT_BYTE * weights, gpus=1)
    assert Appetite(Store(tmp_path))(rows) == Needs(models, OWN_BYTES, gpus=1)
    assert Appetite(store)(Said("a")) == Needs((), OWN_BYTES)


def test_weights_that_stay_in_place_are_no_artifacts(tmp_path: Path) -> None:
    on = Placed(weights_of("qwen3-0.6b"))
    graph = graph_of([Rows(on, SYCOPHANCY.questions("heldout")[:1], "", Nothing(), (0.0,))], Store(tmp_path))
    assert [(type(node.recipe), node.inputs) for node in graph.values()] == [(Rows, ())]
