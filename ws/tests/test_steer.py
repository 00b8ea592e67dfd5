"""Steering is adding a dW by hand, and undoing it leaves the very same model."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ws.delta import WeightDelta
from ws.errors import MismatchError
from ws.models import LanguageModel
from ws.steer import steered
from ws.tests.small import fingerprint, merged, random_update, tiny_model

IDS = torch.randint(10, 900, (2, 12), generator=torch.Generator().manual_seed(3))
QUERY = "model.layers.2.self_attn.q_proj"


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return tiny_model(tmp_path_factory)


@pytest.fixture(scope="module")
def delta(lm: LanguageModel) -> WeightDelta:
    return random_update(lm)


def logits(lm: LanguageModel) -> Tensor:
    with torch.no_grad():
        return lm.model(IDS).logits


def test_coefficient_zero_changes_nothing(lm: LanguageModel, delta: WeightDelta) -> None:
    before = logits(lm)
    with steered(lm, delta, coeff=0.0) as inside:
        assert torch.equal(logits(inside), before)


@pytest.mark.parametrize("coeff", [-2.0, -1.0, 0.5, 1.0])
def test_it_is_the_model_with_the_update_added_by_hand(lm: LanguageModel, delta: WeightDelta, coeff: float) -> None:
    before = logits(lm)
    with torch.no_grad():
        expected = merged(lm, delta, coeff=coeff)(IDS).logits
    with steered(lm, delta, coeff=coeff):
        torch.testing.assert_close(logits(lm), expected, atol=1e-5, rtol=1e-5)
        assert (logits(lm) - before).abs().max() > 0.1


@pytest.mark.parametrize("coeff", [-1.0, 0.3, 1e8])
def test_the_model_is_back_bit_for_bit(lm: LanguageModel, delta: WeightDelta, coeff: float) -> None:
    before = fingerprint(lm)
    with steered(lm, delta, coeff=coeff):
        assert fingerprint(lm) != before
    assert fingerprint(lm) == before


def test_the_model_is_back_after_an_exception(lm: LanguageModel, delta: WeightDelta) -> None:
    def interrupted() -> None:
        with steered(lm, delta, coeff=0.3):
            raise KeyboardInterrupt

    before = fingerprint(lm)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert fingerprint(lm) == before


def test_steering_nests(lm: LanguageModel, delta: WeightDelta) -> None:
    before = fingerprint(lm)
    with steered(lm, delta, coeff=0.5):
        half = logits(lm)
        with steered(lm, delta, coeff=0.5):
            assert not torch.equal(logits(lm), half)
        assert torch.equal(logits(lm), half)
    assert fingerprint(lm) == before


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("model.layers.99.mlp.up_proj", (128, 64), "has no such layer; this dW is for another model"),
        ("model.norm", (64, 64), "has no such layer"),
        (QUERY, (64, 63), r"of shape \(64, 63\), tiny-random-qwen3 has \(64, 64\)"),
        (QUERY, (1, 64), r"of shape \(1, 64\), tiny-random-qwen3 has \(64, 64\)"),
    ],
    ids=["no-such-layer", "no-linear", "wrong-shape", "would-broadcast"],
)
def test_an_update_for_another_model_is_refused_before_anything_moves(
    lm: LanguageModel, delta: WeightDelta, name: str, shape: tuple[int, int], message: str
) -> None:
    wrong = WeightDelta({**delta.tensors, name: torch.ones(shape)})
    before = fingerprint(lm)
    with pytest.raises(MismatchError, match=message), steered(lm, wrong, coeff=1.0):
        pass
    assert fingerprint(lm) == before


def test_half_precision_is_refused(lm: LanguageModel, delta: WeightDelta) -> None:
    half = replace(lm, model=copy.deepcopy(lm.model).to(torch.bfloat16))
    with (
        pytest.raises(MismatchError, match=r"torch\.bfloat16; effects are measured in float32"),
        steered(half, delta, coeff=1.0),
    ):
        pass
