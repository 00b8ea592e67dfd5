"""What two seeds have in common: two trainings that are one have everything, and an opposite one has nothing left."""

import re

import pytest

from ws.stats.sweep import Measure
from ws.steering.mean import MeanWeights
from ws.store import Store
from ws.study import twins
from ws.study.replicates import Control, Replicates
from ws.study.subject import Subject
from ws.training.direction import Direction

SUBJECT = Subject("tiny-random-qwen3")


class OneTraining(Replicates):
    """Seeds that all have the dW of the first."""

    def direction(self, family: str, *, seed: int, control: Control | None = None) -> Direction:
        return super().direction(family, seed=0, control=control)


@pytest.fixture(scope="module")
def one(store: Store) -> Replicates:
    return OneTraining(SUBJECT, store, (0, 1))


def test_a_training_moves_what_it_moves(one: Replicates) -> None:
    seen = twins.moved_alike(one, "lora")
    assert seen.value == pytest.approx(1, abs=1e-6)
    assert (seen.n_seeds, seen.n_clusters) == (1, len(SUBJECT.messages_of("heldout")))


def test_a_training_points_where_it_points(one: Replicates) -> None:
    assert twins.cosine(one, "lora").value == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("measure", ["corrected", "text"])
def test_the_mean_of_one_training_twice_keeps_all_of_its_effect(one: Replicates, measure: Measure) -> None:
    seen = twins.mean_retained(one, "lora", measure=measure)
    assert seen.value == pytest.approx(1, abs=1e-3)
    [note] = [note for note in seen.notes if note.startswith("effect of each")]
    assert re.search(r"norm of the mean 1\.00 of one lora$", note)


def test_other_seeds_are_told_apart(store: Store) -> None:
    two = Replicates(SUBJECT, store, (0, 1))
    assert twins.moved_alike(two, "lora").value < 0.999
    assert abs(twins.cosine(two, "lora").value) < 0.5
    assert MeanWeights((two.direction("lora", seed=0), two.direction("lora", seed=1))).on == SUBJECT.on


def test_one_couple_of_seeds_says_nothing_of_others(one: Replicates) -> None:
    gate = "1 couple of seeds; 3 or more are needed, of 6 seeds"
    seen = [twins.cosine(one, "lora"), twins.moved_alike(one, "lora"), twins.mean_retained(one, "lora")]
    assert [gate in estimate.gates for estimate in seen] == [True, True, True]
    several = OneTraining(SUBJECT, one.store, (0, 1, 2, 3))
    assert not [line for line in twins.cosine(several, "lora").gates if "couple" in line]
