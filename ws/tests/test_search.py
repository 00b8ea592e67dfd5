"""The search takes the lowest validation loss that keeps pmass, and never sees a held-out claim."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from ws.adapters import FAMILIES, AdapterConfig
from ws.behaviors import behavior
from ws.behaviors.own import chosen_behavior
from ws.errors import DataError, TrainingError, UnknownNameError
from ws.scoring.rows import Rows
from ws.scoring.text import TextRows
from ws.steering.interventions import Nothing, Weights
from ws.store import Store
from ws.study import search as module
from ws.study.search import (
    BOUNDS,
    LEARNING_RATES,
    LIKELIHOOD_KEPT,
    MAX_EPOCHS,
    PMASS_KEPT,
    SEED,
    Candidate,
    at_edge,
    grid,
    search,
)
from ws.tests.behavior_files import of_text, written
from ws.training.direction import Direction
from ws.training.hyperparameters import Hyperparameters, hyperparameters_from
from ws.training.train import Adapter, TrainConfig

MODEL = "smollm2-135m"
BASE_PMASS = 0.8
SLOW, FAST = LEARNING_RATES["lora"]


@dataclass
class World:
    """Made-up results of training and scoring."""

    losses: dict[float, list[float]] = field(default_factory=dict)
    """Validation losses at the start and after each epoch, by learning rate."""
    pmass: Callable[[Adapter, float], float] = lambda plus, coeff: BASE_PMASS
    diverges: frozenset[float] = frozenset()
    """Learning rates at which training breaks."""
    minus_diverges: frozenset[float] = frozenset()
    """Learning rates at which only the minus adapter's training breaks."""
    asked: list[Adapter] = field(default_factory=list)
    scored: list[Rows] = field(default_factory=list)
    texts: list[TextRows] = field(default_factory=list)

    @property
    def directions(self) -> list[Direction]:
        """What was scored besides the unchanged model."""
        return [rows.intervention.direction for rows in self.scored if isinstance(rows.intervention, Weights)]

    def read_curves(self, store: Store, adapter: Adapter) -> dict[str, list[float]]:
        self.asked.append(adapter)
        if adapter.training.lr in self.diverges:
            raise TrainingError(f"loss is nan at step 3 of {adapter.describe()}")
        return {"validation_loss": self.losses.get(adapter.training.lr, [3.0, 2.0, 1.0])}

    def read_rows(self, store: Store, rows: Rows) -> pd.DataFrame:
        self.scored.append(rows)
        if rows.intervention == Nothing():
            return pd.DataFrame({"coeff": [0.0, 0.0], "pmass": [BASE_PMASS - 0.1, BASE_PMASS + 0.1]})
        plus, minus = rows.intervention.direction.plus, rows.intervention.direction.minus
        if plus.training.lr in self.diverges | self.minus_diverges:
            raise TrainingError(f"loss is nan at step 3 of {minus.describe()}")
        return pd.DataFrame({"coeff": rows.coeffs, "pmass": [self.pmass(plus, coeff) for coeff in rows.coeffs]})

    def read_text_rows(self, store: Store, rows: TextRows) -> pd.DataFrame:
        """Answers of both sides, a token of which is as likely under dW as `pmass` says."""
        self.texts.append(rows)
        if rows.intervention == Nothing():
            return pd.DataFrame({"coeff": [0.0, 0.0], "log_p": [-3.0, -2.0]})
        plus = rows.intervention.direction.plus
        likelier = [math.log(self.pmass(plus, coeff)) for coeff in rows.coeffs]
        return pd.DataFrame({"coeff": rows.coeffs, "log_p": [-2.5 + one for one in likelier]})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Training that costs nothing."""
    made = World()
    monkeypatch.setattr(module, "read_curves", made.read_curves)
    monkeypatch.setattr(module, "read_rows", made.read_rows)
    monkeypatch.setattr(module, "read_text_rows", made.read_text_rows)
    monkeypatch.setenv("WS_QUIET", "1")
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "searched" / f"{MODEL}.json"


def found(out: Path, families: tuple[str, ...] = ("lora",)) -> dict[str, list[Candidate]]:
    return search(MODEL, families, Store(out.parent / "store"), out)


def winner(candidates: list[Candidate]) -> tuple[float, int]:
    """Learning rate and epochs of the one that was chosen."""
    [one] = [c for c in candidates if c.chosen]
    return one.recipe.training.lr, one.recipe.training.epochs


@pytest.mark.parametrize(
    ("slow", "fast", "best"),
    [
        ([3.0, 2.0, 1.0], [3.0, 2.5, 2.4], (SLOW, 2)),
        ([3.0, 2.0, 1.5], [3.0, 1.2, 1.9], (FAST, 1)),
        ([3.0, 1.1, 2.0], [3.0, 1.2, 1.9], (SLOW, 1)),
        ([0.5, 2.0, 1.8], [0.5, 2.0, 1.7], (FAST, 2)),
    ],
    ids=["slow-2", "fast-1", "slow-1", "never-untrained"],
)
def test_the_lowest_validation_loss_wins(
    world: World, out: Path, slow: list[float], fast: list[float], best: tuple[float, int]
) -> None:
    world.losses = {SLOW: slow, FAST: fast}
    candidates = found(out)["lora"]
    assert winner(candidates) == best
    losses = [c.validation_loss for c in candidates]
    assert losses == pytest.approx(sorted([*slow[1:], *fast[1:]]))


def test_the_next_best_wins_where_the_best_loses_pmass(world: World, out: Path) -> None:
    world.losses = {SLOW: [3.0, 2.0, 1.9], FAST: [3.0, 1.2, 1.1]}
    world.pmass = lambda plus, coeff: 0.1 if plus.training.lr == FAST else BASE_PMASS
    candidates = found(out)["lora"]
    assert winner(candidates) == (SLOW, 2)
    assert [c.pmass for c in candidates] == [0.1, 0.1, BASE_PMASS, None]


@pytest.mark.parametrize("weak", [-1.0, 1.0])
def test_both_coefficients_must_keep_pmass(world: World, out: Path, weak: float) -> None:
    world.losses = {SLOW: [3.0, 2.0, 1.9], FAST: [3.0, 1.2, 1.1]}
    world.pmass = lambda plus, coeff: 0.5 if (plus.training.lr, coeff) == (FAST, weak) else BASE_PMASS
    assert winner(found(out)["lora"]) == (SLOW, 2)


@pytest.mark.parametrize(("kept", "best"), [(PMASS_KEPT + 1e-3, (FAST, 2)), (PMASS_KEPT - 1e-3, (SLOW, 2))])
def test_four_fifths_of_the_base_are_enough(world: World, out: Path, kept: float, best: tuple[float, int]) -> None:
    world.losses = {SLOW: [3.0, 2.0, 1.9], FAST: [3.0, 2.0, 1.1]}
    world.losses[FAST][1] = 1.95
    world.pmass = lambda plus, coeff: kept * BASE_PMASS if plus.training.lr == FAST else BASE_PMASS
    assert winner(found(out)["lora"]) == best


def test_a_family_without_a_candidate_that_keeps_pmass_is_an_error(world: World, out: Path) -> None:
    world.pmass = lambda plus, coeff: 0.1
    message = r"no candidate of lora keeps pmass 0\.64 on smollm2-135m: \[0\.1, 0\.1, 0\.1, 0\.1\]; add gentler"
    with pytest.raises(DataError, match=message):
        found(out)
    assert not out.exists()


def test_a_candidate_that_diverged_is_dropped(world: World, out: Path) -> None:
    world.diverges = frozenset({FAST})
    candidates = found(out)["lora"]
    assert winner(candidates) == (SLOW, 2)
    assert [c.recipe.training.lr for c in candidates] == [SLOW, SLOW, FAST]
    assert candidates[-1].validation_loss == float("inf")
    assert {direction.plus.training.lr for direction in world.directions} == {SLOW}


def test_the_next_best_wins_where_only_the_minus_adapter_diverges(world: World, out: Path) -> None:
    world.losses = {SLOW: [3.0, 2.0, 1.9], FAST: [3.0, 1.2, 1.1]}
    world.minus_diverges = frozenset({FAST})
    assert winner(found(out)["lora"]) == (SLOW, 2)


def test_what_was_found_is_written_after_each_family(world: World, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_curves(store: Store, adapter: Adapter) -> dict[str, list[float]]:
        if adapter.shape.family == "oft":
            raise KeyboardInterrupt
        return world.read_curves(store, adapter)

    monkeypatch.setattr(module, "read_curves", read_curves)
    with pytest.raises(KeyboardInterrupt):
        found(out, ("lora", "oft", "ia3"))
    assert json.loads(out.read_text())["chosen"].keys() == {"lora"}


def test_a_later_search_keeps_the_families_it_does_not_search(world: World, out: Path) -> None:
    found(out, ("lora", "ia3"))
    before = json.loads(out.read_text())
    world.losses = {SLOW: [3.0, 2.0, 1.9], FAST: [3.0, 1.2, 1.1]}
    found(out, ("lora",))
    after = json.loads(out.read_text())
    assert after["chosen"]["ia3"] == before["chosen"]["ia3"]
    assert after["chosen"]["lora"] != before["chosen"]["lora"]


def test_the_file_says_what_was_chosen_and_what_was_tried(world: World, out: Path) -> None:
    world.losses = {SLOW: [3.0, 2.0, 1.9], FAST: [3.0, 1.2, 1.1]}
    candidates = found(out)["lora"]
    kept = json.loads(out.read_text())
    assert kept["base_pmass"] == pytest.approx(BASE_PMASS)
    assert [hyperparameters_from(kept["chosen"]["lora"])] == [c.recipe for c in candidates if c.chosen]
    tried = kept["candidates"]["lora"]
    assert [hyperparameters_from({part: record[part] for part in ("shape", "training")}) for record in tried] == [
        c.recipe for c in candidates
    ]
    assert [record["validation_loss"] for record in tried] == pytest.approx([1.1, 1.2, 1.9, 2.0])
    assert [record["chosen"] for record in tried] == [True, False, False, False]


@pytest.mark.parametrize(("kept", "best"), [(LIKELIHOOD_KEPT + 1e-3, (FAST, 2)), (LIKELIHOOD_KEPT - 1e-3, (SLOW, 2))])
def test_without_claims_answers_to_validation_messages_must_stay_likely(
    world: World, out: Path, no_own_behaviors: None, kept: float, best: tuple[float, int]
) -> None:
    own = chosen_behavior(str(written(out.parents[1] / "mine.json", of_text())), Store(out.parents[1] / "store"))
    world.losses = {SLOW: [3.0, 2.0, 1.9], FAST: [3.0, 2.0, 1.1]}
    world.losses[FAST][1] = 1.95
    world.pmass = lambda plus, coeff: kept if (plus.training.lr, coeff) == (FAST, 1.0) else 1.0
    candidates = search(MODEL, ("lora",), Store(out.parent / "store"), out, behavior_name=own.name)["lora"]
    assert winner(candidates) == best
    assert candidates[0].likelihood == pytest.approx(kept, abs=1e-4)
    assert json.loads(out.read_text())["base_likelihood"] == 1.0
    assert world.scored == []
    asked = {message.text for rows in world.texts for message in rows.answers.messages}
    assert asked == set(of_text()["messages"]["validation"])


def tried(lr: float, epochs: int, bound: float = 1.0, *, chosen: bool = False) -> Candidate:
    """A candidate of DeLoRA."""
    return Candidate(Hyperparameters(AdapterConfig("delora", bound=bound), TrainConfig(lr, epochs)), 1.0, chosen=chosen)


@pytest.mark.parametrize(
    ("lr", "epochs", "bound", "edges"),
    [
        (2.0, 2, 2.0, []),
        (1.0, 2, 2.0, ["lowest lr"]),
        (3.0, 2, 2.0, ["highest lr"]),
        (2.0, 2, 3.0, ["highest bound"]),
        (1.0, 1, 1.0, ["lowest lr", "lowest bound", "lowest epochs"]),
    ],
)
def test_the_edges_are_named_at_which_a_winner_lies(lr: float, epochs: int, bound: float, edges: list[str]) -> None:
    others = [tried(float(n), n, float(n)) for n in (1, 2, 3)]
    assert at_edge([*others, tried(lr, epochs, bound, chosen=True)]) == edges


def test_held_out_claims_are_never_scored_and_claim_seeds_never_trained(world: World, out: Path) -> None:
    world.pmass = lambda plus, coeff: BASE_PMASS if plus.training.epochs == 1 else 0.1
    found(out, ("lora", "delora"))
    sycophancy = behavior("sycophancy")
    asked = {question for rows in world.scored for question in rows.questions}
    assert asked == set(sycophancy.questions("validation"))
    assert {adapter.seed for adapter in world.asked} == {adapter.pairs.seed for adapter in world.asked} == {SEED}
    scored = world.directions
    assert len(scored) > 2
    assert {(one.plus.seed, one.minus.seed, one.random_seed) for one in scored} == {(SEED, SEED, None)}


def test_candidates_are_judged_by_the_plus_adapter_and_scored_with_both_signs(world: World, out: Path) -> None:
    found(out)
    assert {(adapter.sign, adapter.training.epochs) for adapter in world.asked} == {("plus", MAX_EPOCHS)}
    [direction] = world.directions
    assert (direction.plus.sign, direction.minus.sign) == ("plus", "minus")


def test_every_family_has_candidates_of_its_own() -> None:
    def its_own(family: str) -> bool:
        candidates = grid(family)
        expected = len(LEARNING_RATES[family]) * len(BOUNDS.get(family, (1,)))
        return {one.shape.family for one in candidates} == {family} and len(set(candidates)) == expected

    assert [family for family in FAMILIES if not its_own(family)] == []


def test_an_unknown_family_is_refused_before_anything_is_trained_or_scored(world: World, out: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown adapter family 'lorra'; known: .*lora"):
        found(out, ("lora", "lorra"))
    assert world.asked == world.scored == []
