"""Constructed arms are as strong as equal KL says, turned round or random, and are compared with trained ones."""

from pathlib import Path

import pandas as pd
import pytest

from ws.constructed import arms
from ws.constructed.base import Constructed
from ws.constructed.table import construction
from ws.contest.arm import Arm
from ws.stats.estimate import Estimate
from ws.steering.iso_kl import Calibration, IsoKL
from ws.store import Store
from ws.study.replicates import Replicates
from ws.study.subject import Subject

SUBJECT = Subject("tiny-random-qwen3")


@pytest.fixture
def replicates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replicates:
    """Two seeds on a store that is empty; every search for equal KL finds the coefficient 2."""
    monkeypatch.setattr(arms, "read_iso_kl", found)
    return Replicates(SUBJECT, Store(tmp_path), (0, 1))


def found(store: Store, recipe: IsoKL) -> Calibration:
    assert recipe.intervention == Constructed(construction(SUBJECT, "persona-write"))
    return Calibration(coeff=2.0, kl=0.5, converged=True, evaluations=1, curve=())


def test_every_seed_adds_the_construction_at_equal_kl(replicates: Replicates) -> None:
    arm = arms.constructed_arm(replicates, "persona-write")
    made = Constructed(construction(SUBJECT, "persona-write"))
    assert [tuple(dose) for dose in arm.doses] == [(0, made, 2.0), (1, made, 2.0)]
    assert (arm.side, arm.ranked) == (1, True)


def test_turned_round_it_has_the_opposite_coefficient(replicates: Replicates) -> None:
    arm = arms.constructed_arm(replicates, "persona-write", side=-1)
    assert [dose.coeff for dose in arm.doses] == [-2.0, -2.0]
    assert (arm.side, arm.ranked) == (-1, False)


def test_random_values_have_its_coefficient_and_a_draw_for_each_seed(replicates: Replicates) -> None:
    arm = arms.constructed_arm(replicates, "persona-write", control="random")
    drawn = [(dose.intervention.random_seed, dose.coeff) for dose in arm.doses if _is_made(dose.intervention)]
    assert drawn == [(0, 2.0), (1, 2.0)]
    assert not arm.ranked


def _is_made(intervention: object) -> bool:
    return isinstance(intervention, Constructed) and intervention.construction == construction(SUBJECT, "persona-write")


@pytest.mark.parametrize(("trained", "share"), [(0.5, 0.4), (-0.5, -0.4)])
def test_what_is_reached_is_a_share_of_the_trained_effect(
    replicates: Replicates, monkeypatch: pytest.MonkeyPatch, trained: float, share: float
) -> None:
    values = {"persona-write": 0.2, "lora": trained}

    def effect(_: Replicates, arm: Arm, *, measure: str) -> Estimate:
        rows = [(seed, row, row, values[arm.name] + 0.01 * (row - 5.5)) for seed in (0, 1) for row in range(12)]
        return Estimate.of(pd.DataFrame(rows, columns=["seed", "cluster", "row", "value"]))

    monkeypatch.setattr(arms, "effect", effect)
    monkeypatch.setattr(arms, "trained_arm", lambda _, family: Arm(family, ()))
    reached = arms.reached(replicates, "persona-write", "lora", measure="text")
    assert reached.value == pytest.approx(share, rel=0.01)
    assert reached.notes == (f"effect +0.200 of {trained:+.3f} nats lora",)
