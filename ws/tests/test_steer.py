"""Steering is adding a dW by hand, and undoing it leaves the very same model."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ws.delta.steering import merges, steered
from ws.delta.update import Dense, LowRank, Update
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError
from ws.models.language import LanguageModel
from ws.tests.small import fingerprint, merged, random_update

IDS = torch.randint(10, 900, (2, 12), generator=torch.Generator().manual_seed(3))
QUERY = "model.layers.2.self_attn.q_proj"


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


@pytest.mark.parametrize("tokens", [None, 1])
@pytest.mark.parametrize("coeff", [-1.0, 0.3, 1e8])
def test_the_model_is_back_bit_for_bit(lm: LanguageModel, delta: WeightDelta, coeff: float, tokens: int | None) -> None:
    before, answers = fingerprint(lm), logits(lm)
    with steered(lm, delta, coeff=coeff, tokens=tokens):
        assert fingerprint(lm) != before
    assert torch.equal(logits(lm), answers)
    assert fingerprint(lm) == before


def test_nothing_is_written_into_a_weight_that_a_file_lends(lm: LanguageModel, delta: WeightDelta) -> None:
    """Processes that read one file share its pages until somebody writes into them."""
    lent = {name: (weight.data, weight.data.clone()) for name, weight in lm.model.named_parameters()}
    with steered(lm, delta, coeff=0.3):
        assert all(torch.equal(*pair) for pair in lent.values())
        assert any(weight.data_ptr() != lent[name][0].data_ptr() for name, weight in lm.model.named_parameters())
    assert all(weight.data_ptr() == lent[name][0].data_ptr() for name, weight in lm.model.named_parameters())


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
    wrong = WeightDelta({**delta.tensors, name: Dense(torch.ones(shape))})
    before = fingerprint(lm)
    with pytest.raises(MismatchError, match=message), steered(lm, wrong, coeff=1.0):
        pass
    assert fingerprint(lm) == before


def test_factors_beside_the_weight_and_merged_into_it_agree(lm: LanguageModel, delta: WeightDelta) -> None:
    with steered(lm, delta, coeff=1.0, tokens=10**6):
        merged_weights = fingerprint(lm)
        expected = logits(lm)
    with steered(lm, delta, coeff=1.0, tokens=1):
        assert fingerprint(lm) != merged_weights
        torch.testing.assert_close(logits(lm), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("update", "dtype", "tokens", "merged_in"),
    [
        (LowRank(torch.ones(60, 2), torch.ones(2, 40)), torch.float32, 24, False),
        (LowRank(torch.ones(60, 2), torch.ones(2, 40)), torch.float32, 25, True),
        (LowRank(torch.ones(60, 2), torch.ones(2, 40)), torch.float32, None, True),
        (Dense(torch.ones(60, 40)), torch.float32, 1, True),
        (Dense(torch.ones(60, 40)), torch.bfloat16, None, False),
    ],
)
def test_the_cheaper_way_is_taken(update: Update, dtype: torch.dtype, tokens: int | None, merged_in: bool) -> None:
    assert merges(update, torch.zeros(60, 40, dtype=dtype), tokens=tokens) is merged_in


def test_into_half_precision_nothing_is_merged(lm: LanguageModel, delta: WeightDelta) -> None:
    """bf16 has 8 bits: an update of a thousandth of a weight rounds away when merged, and shows when added beside."""
    half = replace(lm, model=copy.deepcopy(lm.model).to(torch.bfloat16))
    before = {path: value.clone() for path, value in half.model.state_dict().items()}
    with steered(half, delta, coeff=1.0):
        seen = logits(half).float()
        assert all(torch.equal(value, before[path]) for path, value in half.model.state_dict().items())
    with steered(lm, delta, coeff=1.0):
        expected = logits(lm)
    assert (seen - expected).norm() < 0.2 * (expected - logits(lm)).norm()
