"""A plan: what is missing for some cases, how long it takes, and what shows only later."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median

from ws.plan.costs import Costs
from ws.plan.graph import Graph, Node, graph_of
from ws.plan.needs import Appetite, Needs, Nodes
from ws.plan.schedule import Schedule
from ws.plan.simulation import STARTING_SECONDS, binds_from, simulated
from ws.store import Recipe, Store


@dataclass(frozen=True)
class Plan:
    """The artifacts that some cases still need."""

    graph: Graph
    known: Mapping[str, float]
    """For each artifact of the graph whose time the store tells, how long it will take, in seconds."""
    cases: int
    """How many cases were asked what they need."""
    needs: Callable[[Recipe], Needs]
    """What the build of an artifact takes of a machine."""
    unfolding: Sequence[str] = ()
    """The cases that will ask for more once some of these artifacts are there."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """The cases that went no further for another reason, which made-up numbers may be, with that reason."""
    scaled: Mapping[str, str] = field(default_factory=dict)
    """For each artifact whose time is that of another model, scaled by the bytes of the weights, which model."""

    @cached_property
    def schedule(self) -> Schedule:
        """The graph with times; one whose time nothing tells is taken to last as long as the median of the
        others, or a second if there is none."""
        usual = median(self.known.values()) if self.known else 1.0
        return Schedule(self.graph, {key: self.known.get(key, usual) for key in self.graph})

    def without(self, keys: Collection[str]) -> "Plan":
        """The plan of the other artifacts that need none of these."""
        gone, left = set(keys), dict[str, Node]()
        for key, node in self.graph.items():
            if key in gone or not gone.isdisjoint(node.inputs):
                gone.add(key)
            else:
                left[key] = node
        return replace(self, graph=left)

    def seconds(self, nodes: Nodes) -> float:
        """How long the build takes on some machines; more, where the weights of a model are not there yet."""
        return simulated(self.schedule, nodes, needs=self.needs, starting=STARTING_SECONDS).seconds

    @cached_property
    def binds_from(self) -> int:
        """The least number of workers that the longest chain holds up."""
        return binds_from(self.schedule)


def plan_of(
    wanted: Mapping[str, Recipe],
    store: Store,
    *,
    cases: int,
    unfolding: Sequence[str] = (),
    failing: Mapping[str, str] | None = None,
) -> Plan:
    """The plan of building the wanted artifacts, by key, and what is missing below them."""
    graph, costs = graph_of(wanted.values(), store), Costs(store)
    expected = {key: one for key, node in graph.items() if (one := costs.expected(node.recipe)) is not None}
    known = {key: one.seconds for key, one in expected.items()}
    scaled = {key: one.like for key, one in expected.items() if one.like is not None}
    return Plan(graph, known, cases, Appetite(store), unfolding, failing or {}, scaled)
