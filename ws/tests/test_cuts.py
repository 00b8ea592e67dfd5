"""What names of cuts mean: the interventions that claims, figures and notebooks share."""

import pytest

from ws.adapters import FAMILIES
from ws.errors import UnknownNameError
from ws.lenses.activations import ActivationCut, fit_prompts, steered_basis
from ws.lenses.base import Lens, NormMatched, RandomLike, Then
from ws.lenses.cuts import WRITES, Cut, LensCut, PartCut, SharedCut
from ws.lenses.names import LENSES, named
from ws.lenses.shared import RandomBasis
from ws.study.cuts import Along, Asked, Part, cut_of, cut_of_direction
from ws.study.subject import Subject

SUBJECT, SMALL = Subject("smollm2-135m"), Subject("tiny-random-qwen3")
DIRECTION = SUBJECT.direction("lora", seed=1)
EVERYONE = tuple(SUBJECT.direction(name, seed=1) for name in FAMILIES)
BASIS = steered_basis(DIRECTION, fit_prompts(SUBJECT.behavior))


def random_mlp(seed: int) -> Lens:
    return RandomLike(named("mlp"), seed)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("mlp", LensCut(DIRECTION, LENSES["mlp"])),
        (WRITES, LensCut(DIRECTION, LENSES["residual_writes"])),
        (random_mlp, LensCut(DIRECTION, random_mlp(1))),
        (Part("low_rank", keep=False), PartCut(DIRECTION, "low_rank", keep=False)),
        (Along(), ActivationCut(DIRECTION, BASIS, 32)),
        (Along(8, keep=False), ActivationCut(DIRECTION, BASIS, 8, keep=False)),
        (Along(8, matched=True), ActivationCut(DIRECTION, BASIS, 8, matched=True)),
        (Along(8, of="weight"), SharedCut(DIRECTION, (DIRECTION,), 8)),
        (Along(8, of="shared", matched=True), SharedCut(DIRECTION, EVERYONE, 8, matched=True)),
        (Along(8, of="random"), LensCut(DIRECTION, Then(WRITES, RandomBasis(8, 1)))),
        (Along(8, of="random", matched=True), LensCut(DIRECTION, Then(WRITES, NormMatched(RandomBasis(8, 1))))),
    ],
)
def test_a_name_means_a_cut_of_the_family_s_direction(asked: Asked, meant: Cut) -> None:
    assert cut_of(SUBJECT, "lora", asked, seed=1) == meant


def test_a_control_is_cut_as_its_direction_is() -> None:
    control = SUBJECT.random_direction("lora", seed=1)
    assert cut_of_direction(SUBJECT, control, "mlp", seed=1) == LensCut(control, LENSES["mlp"])


def test_the_scale_of_the_model_says_how_many_directions() -> None:
    assert cut_of(SMALL, "lora", Along(), seed=0) == cut_of(SMALL, "lora", Along(SMALL.scale.k), seed=0)
    assert SMALL.scale.k < SUBJECT.scale.k


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown lens 'top_26'"):
        cut_of(SUBJECT, "lora", "top_26", seed=0)
