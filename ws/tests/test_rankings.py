"""Rankings of families are compared by couples of seeds, and model by model."""

from pathlib import Path

import pandas as pd
import pytest

from ws.adapters import FAMILIES
from ws.errors import DataError
from ws.stats.estimate import Estimate
from ws.store import Store
from ws.study import rankings
from ws.study.replicates import Replicates
from ws.study.subject import Subject

SEEDS = (0, 1, 2, 3, 4)


def replicates(model: str, *seeds: int) -> Replicates:
    return Replicates(Subject(model), Store(Path("never-written")), seeds)


class Effects:
    """Stands for the sweep of a family whose effect is a number for each seed."""

    def __init__(self, by_seed: dict[int, float], source: str) -> None:
        lines = pd.DataFrame({"seed": by_seed.keys(), "cluster": "all", "row": "all", "value": by_seed.values()})
        self.effect = Estimate.of(lines, sources=[source], gates=("broken",))


@pytest.fixture
def effects(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[int, list[int]]]:
    """The places of the families by model and seed, from which their effects are made."""
    places: dict[str, dict[int, list[int]]] = {}

    def swept(replicates: Replicates, family: str, *, measure: str) -> Effects:
        model, number = replicates.subject.model, list(FAMILIES).index(family)
        return Effects({seed: 0.1 * places[model][seed][number] for seed in replicates.seeds}, f"{model} {family}")

    monkeypatch.setattr(rankings, "sweep", swept)
    return places


RISING, FALLING, SWAPPED = [*range(7)], [*range(6, -1, -1)], [1, 0, *range(2, 7)]


def test_seeds_are_compared_two_by_two(effects: dict[str, dict[int, list[int]]]) -> None:
    effects["tiny-random-qwen3"] = {0: RISING, 1: SWAPPED, 2: RISING, 3: FALLING, 4: FALLING}
    seen = rankings.between_seeds(replicates("tiny-random-qwen3", *SEEDS))
    # Spearman's correlation of one exchange of neighbours among 7: 1 - 6 * 2 / (7 * 48).
    assert seen.by_seed.to_dict() == pytest.approx({0: 1 - 12 / 336, 2: -1})
    assert (seen.n_clusters, seen.sources) == (7, tuple(f"tiny-random-qwen3 {family}" for family in FAMILIES))


def test_models_are_compared_seed_by_seed(effects: dict[str, dict[int, list[int]]]) -> None:
    effects["tiny-random-qwen3"] = {0: RISING, 1: RISING}
    effects["smollm2-135m"] = {0: RISING, 1: SWAPPED}
    small, large = (replicates(model, 0, 1) for model in effects)
    seen = rankings.between_models(large, small)
    assert seen.by_seed.to_dict() == pytest.approx({0: 1, 1: 1 - 12 / 336})
    assert len(seen.sources) == 14
    assert len(seen.notes) == 2
    # Ranks stay when effects move a little, so the effects themselves are recorded beside them.
    assert seen.gates == ("broken",)
    assert {mean for mean, _ in seen.leaves} > {0.1 * place for place in range(1, 7)}


def test_one_seed_has_no_other_to_be_compared_with() -> None:
    with pytest.raises(DataError, match=r"seeds \(3,\) make no couple to compare; run with --seeds 2 or more"):
        _ = replicates("tiny-random-qwen3", 3).couples


def test_each_seed_is_in_one_couple() -> None:
    assert replicates("tiny-random-qwen3", *SEEDS).couples == ((0, 1), (2, 3))
