"""How a build grows: families, seeds and models against cores and machines, by the queue and the crew of real builds.

Recipes are those of claims: of each family dW of a seed, scored by all four measures and brought to equal KL. Their
times are those that a store has seen. Seeds and models are copies of one, since no time depends on them.

    python -m ws.bench.growth --write docs/scale.md      the table between its markers
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ws.live.builds import clock
from ws.plan.costs import Costs
from ws.plan.graph import Graph, Node, graph_of
from ws.plan.needs import Needs, Nodes
from ws.plan.needs import Node as Machine
from ws.plan.schedule import Schedule
from ws.plan.simulation import STARTING_SECONDS, binds_from, simulated
from ws.scoring.rows import COEFFS
from ws.store import Recipe, Store, default_root
from ws.study.subject import Subject

MARKERS = ("<!-- growth -->\n", "<!-- /growth -->")
FAMILIES = ("lora", "delora", "oft", "ia3", "dora", "pissa")
SIZES = ((2, 3, 1), (6, 8, 1), (6, 8, 8), (6, 32, 8))
"""Families, seeds, models."""
CORES = (1, 2, 8, 64, 512)
CORES_A_MACHINE = 8
MACHINE_BYTES = 32e9


@dataclass(frozen=True)
class OneModel:
    """What is built for one model: what its seeds share, and what each has of its own."""

    shared: Graph
    own: Graph
    seconds: Mapping[str, float]

    def grown(self, *, seeds: int, models: int) -> "Grown":
        """The same for several seeds and models."""
        graph, seconds = dict[str, Node](), dict[str, float]()
        for model in range(models):
            for of, nodes in ((1, self.shared), (seeds, self.own)):
                for seed in range(of):
                    for key, node in nodes.items():
                        name = self._name(key, model, seed)
                        inputs = tuple(self._name(one, model, seed) for one in node.inputs)
                        graph[name] = Node(name, Copied(key, str(model)), inputs)
                        seconds[name] = self.seconds[key]
        return Grown(Schedule(graph, seconds))

    def _name(self, key: str, model: int, seed: int) -> str:
        return f"{model}/{key}" if key in self.shared else f"{model}/{seed}/{key}"


@dataclass(frozen=True)
class Copied(Recipe):
    """A recipe that stands for one of a copy of a model."""

    key: str
    model: str


@dataclass(frozen=True)
class Grown:
    """A large build on paper."""

    schedule: Schedule

    def speed_up(self, nodes: Nodes, *, model_bytes: float = 2.4e9) -> float:
        """By how much the build is faster on some machines than with one core."""

        def needs(recipe: Recipe) -> Needs:
            assert isinstance(recipe, Copied)
            return Needs((recipe.model,), model_bytes)

        return self.schedule.total / simulated(self.schedule, nodes, needs=needs, starting=STARTING_SECONDS).seconds


def one_model(model: str, families: Sequence[str], costs: Mapping[str, float] | Costs, keys: Store) -> OneModel:
    """What all measures of some families need of one model. Times come from a store, or by the class of a recipe.

    `keys` is a store that has none of it.
    """
    first, second = (graph_of(_wanted(Subject(model), families, seed), keys) for seed in (0, 1))
    shared = {key: node for key, node in first.items() if key in second}
    own = {key: node for key, node in first.items() if key not in second}

    def seconds(recipe: Recipe) -> float:
        found = costs.seconds(recipe) if isinstance(costs, Costs) else costs.get(type(recipe).__name__)
        return 1.0 if found is None else found

    return OneModel(shared, own, {key: seconds(node.recipe) for key, node in first.items()})


def machines(cores: int) -> Nodes:
    """So many cores in machines of `CORES_A_MACHINE`, the last one smaller."""
    full, rest = divmod(cores, CORES_A_MACHINE)
    sizes = [CORES_A_MACHINE] * full + [rest] * bool(rest)
    return {f"machine {n}": Machine(size, MACHINE_BYTES) for n, size in enumerate(sizes)}


def table(store: Store, keys: Store, model: str) -> str:
    """Speed-up by cores for each size, and from how many workers on the plan says that the longest chain binds."""
    head = ["families x seeds x models", "artifacts", "one core", "longest chain", "chain binds from"]
    rows = [[*head, *(f"{n} {'core' if n == 1 else 'cores'}" for n in CORES)], ["---"] * (len(head) + len(CORES))]
    made: dict[int, OneModel] = {}
    for families, seeds, models in SIZES:
        if families not in made:
            made[families] = one_model(model, FAMILIES[:families], Costs(store), keys)
        grown = made[families].grown(seeds=seeds, models=models)
        rows.append(list(_row(grown, f"{families} x {seeds} x {models}")))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _row(grown: Grown, name: str) -> Iterator[str]:
    schedule = grown.schedule
    yield name
    yield f"{len(schedule.graph):,}"
    yield clock(schedule.total)
    yield clock(sum(schedule.seconds[key] for key in schedule.critical))
    yield f"{binds_from(schedule)} workers"
    for cores in CORES:
        yield f"{grown.speed_up(machines(cores)):.1f}"


def _wanted(subject: Subject, families: Sequence[str], seed: int) -> Iterator[Recipe]:
    yield subject.base_rows
    for family in families:
        weights = subject.weights(family, seed=seed)
        yield subject.rows(weights)
        yield subject.text_rows(weights, seed=seed)
        yield subject.written_rows(weights, seed=seed, coeffs=COEFFS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--model", default="smollm2-135m")
    chosen = parser.parse_args()
    text = table(Store(default_root()), Store(Path("/nonexistent")), chosen.model)
    if chosen.write is None:
        print(text, end="")
        return
    page = chosen.write.read_text(encoding="utf-8")
    before, _, rest = page.partition(MARKERS[0])
    after = rest.partition(MARKERS[1])[2]
    chosen.write.write_text(before + MARKERS[0] + text + MARKERS[1] + after, encoding="utf-8")


if __name__ == "__main__":
    main()
