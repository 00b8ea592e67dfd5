"""An arm's name gives the right intervention for every seed, and its footing the right coefficient."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ws.contest import footing
from ws.contest.arm import Arm, Dose
from ws.contest.choosing import Setting
from ws.contest.contest import Contest
from ws.contest.footing import arm_at, strength
from ws.errors import DataError, UnknownNameError
from ws.steering.interventions import Intervention, SystemPrompt
from ws.steering.iso_kl import Calibration, IsoKL
from ws.store import Store
from ws.study.subject import Subject

CONTEST = Contest(Subject("tiny-random-qwen3", behavior_name="honesty"))
SEEDS = (0, 1, 2)
SIMPLE = CONTEST.prompt("simple-honest")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store in which whatever an arm chooses or measures is known without a model."""
    methods = {"dilemmas": ("pca", "mean-difference"), "text": ("mean-difference", "pca")}
    coeffs = {"dilemmas": 16.0, "text": 4.0}
    monkeypatch.setattr(footing, "best_prompt", lambda *_, seed, by: Setting("simple-honest", 1.0, 1.0, 0.9))
    monkeypatch.setattr(footing, "best_method", lambda *_, seed, by: methods[by][seed])
    monkeypatch.setattr(footing, "best_blocks", lambda *_, seed, by: (1, 2 + seed) if by == "dilemmas" else (3,))
    monkeypatch.setattr(footing, "best_activation", lambda *_, seed, by: Setting("", coeffs[by] + seed, 1.0, 0.9))
    monkeypatch.setattr(footing, "read_iso_kl", calibration)
    return Store(tmp_path)


def calibration(store: Store, recipe: IsoKL) -> Calibration:
    """Every seed's coefficient of its own: 3, 4, 5."""
    coeff = 3.0 + recipe.intervention.direction.plus.seed
    return Calibration(coeff, 0.49, True, 2, ((1.0, 0.1), (coeff, 0.49)))


def made(arm: Arm) -> list[Intervention]:
    return [dose.intervention for dose in arm.doses]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, [CONTEST.weights("lora", seed=seed) for seed in SEEDS]),
        ({"trained": "sycophancy"}, [CONTEST.weights("lora", seed=seed, trained="sycophancy") for seed in SEEDS]),
        ({"control": "random"}, [CONTEST.random_weights("lora", seed=seed) for seed in SEEDS]),
        (
            {"control": "same_sign"},
            [CONTEST.same_sign_weights("lora", seed=seed, other=other) for seed, other in ((0, 1), (1, 2), (2, 0))],
        ),
    ],
    ids=str,
)
def test_a_family_is_its_dw_or_a_control_of_it(
    store: Store, choice: Mapping[str, str], expected: list[Intervention]
) -> None:
    arm = arm_at(store, CONTEST, SEEDS, "lora", **choice)
    assert made(arm) == expected
    assert ([dose.seed for dose in arm.doses], [dose.coeff for dose in arm.doses]) == ([0, 1, 2], [1.0, 1.0, 1.0])
    assert arm.ranked is not bool(choice)


@pytest.mark.parametrize("control", [None, "random"])
@pytest.mark.parametrize(("name", "method"), [("pca", "pca"), ("best-activation", "pca")])
def test_a_method_is_its_directions_in_the_blocks_that_the_first_seed_chose(
    store: Store, name: str, method: str, control: str | None
) -> None:
    random = control == "random"
    expected = [CONTEST.activations(method, blocks=(1, 2), seed=seed, random=random) for seed in SEEDS]
    arm = arm_at(store, CONTEST, SEEDS, name, "best", control=control)
    assert (arm.name, made(arm), arm.ranked) == (name, expected, not random)
    assert {dose.coeff for dose in arm.doses} == {16.0}


def test_what_is_judged_by_text_is_chosen_by_text(store: Store) -> None:
    arm = arm_at(store, CONTEST, SEEDS, "best-activation", "best", by="text")
    assert made(arm) == [CONTEST.activations("mean-difference", blocks=(3,), seed=seed) for seed in SEEDS]
    assert {dose.coeff for dose in arm.doses} == {4.0}


def test_a_contest_of_another_behavior_has_its_own_arms(store: Store) -> None:
    other = Contest(Subject("tiny-random-qwen3", behavior_name="sycophancy"))
    own = arm_at(store, other, SEEDS, "lora")
    assert own == arm_at(store, other, SEEDS, "lora", trained="sycophancy")
    assert made(own) == [CONTEST.weights("lora", seed=seed, trained="sycophancy") for seed in SEEDS]
    assert (own.ranked, arm_at(store, other, SEEDS, "lora", trained="honesty").ranked) == (True, False)
    assert made(arm_at(store, other, SEEDS[:1], "simple-agreeing")) == [other.prompt("simple-agreeing")]


@pytest.mark.parametrize("name", ["best-prompt", "simple-honest"])
@pytest.mark.parametrize("at", ["one", "iso-kl", "best"])
def test_a_prompt_is_the_same_at_every_footing(store: Store, name: str, at: str) -> None:
    assert arm_at(store, CONTEST, SEEDS, name, at) == Arm(name, tuple(Dose(seed, SIMPLE, 1.0) for seed in SEEDS))


def test_at_iso_kl_every_seed_has_its_own_coefficient_and_an_arm_can_be_turned_round(store: Store) -> None:
    arm = arm_at(store, CONTEST, SEEDS, "lora", "iso-kl", side=-1)
    assert [dose.coeff for dose in arm.doses] == [-3.0, -4.0, -5.0]
    assert (arm.side, arm.ranked) == (-1, False)


def test_an_arm_says_how_strong_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footing, "read_divergence", lambda _, recipe: recipe)
    monkeypatch.setattr(
        footing, "kl_quantile", lambda recipe: 2.0 if isinstance(recipe.intervention, SystemPrompt) else 0.7
    )
    said = [("lora", "one"), ("lora", "iso-kl"), ("simple-honest", "one")]
    assert [strength(store, CONTEST, arm_at(store, CONTEST, SEEDS, *each)) for each in said] == [
        "lora x1 at KL 0.10",
        "lora x4 at KL 0.49",
        "simple-honest x1 at KL 2.00",
    ]
    turned = arm_at(store, CONTEST, SEEDS, "lora", side=-1)
    assert strength(store, CONTEST, turned) == "lora x-1 at KL 0.70"


@pytest.mark.parametrize(
    ("name", "control", "known"),
    [("pca", "same_sign", "random"), ("simple-honest", "random", "none")],
)
def test_a_control_that_an_arm_does_not_have_is_refused(store: Store, name: str, control: str, known: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown control of {name} '{control}'; known: {known}$"):
        arm_at(store, CONTEST, SEEDS, name, control=control)


@pytest.mark.parametrize(("name", "control"), [("pca", None), ("simple-honest", None), ("lora", "random")])
def test_what_is_not_trained_on_a_behavior_is_not_asked_for_as_if_it_were(
    store: Store, name: str, control: str | None
) -> None:
    with pytest.raises(DataError, match=rf"{name} was asked for as trained on sycophancy; only dW of delora"):
        arm_at(store, CONTEST, SEEDS, name, control=control, trained="sycophancy")


def test_a_family_chooses_no_coefficient(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown way to find an activation direction 'lora'"):
        arm_at(Store(tmp_path), CONTEST, SEEDS, "lora", "best")
