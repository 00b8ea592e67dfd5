"""Crops between the weight's own singular directions are the projections that their formulas name."""

import numpy as np
import pytest
import torch

from ws.delta.update import Dense, LowRank
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, UnknownNameError
from ws.lenses.base import joined
from ws.lenses.base_spectrum import BaseCrop, weight_spectrum
from ws.models.language import LanguageModel
from ws.tests.small import random_update

DOWN, QUERY, KEY = (f"model.layers.1.{name}" for name in ("mlp.down_proj", "self_attn.q_proj", "self_attn.k_proj"))


@pytest.fixture(scope="module")
def delta(lm: LanguageModel) -> WeightDelta:
    return random_update(lm)


@pytest.mark.parametrize("path", [DOWN, QUERY, KEY], ids=["thin-wide", "dense-square", "dense-wide"])
@pytest.mark.parametrize("side", ["both", "left", "right"])
def test_a_crop_is_the_projection_that_numpy_makes(lm: LanguageModel, delta: WeightDelta, path: str, side: str) -> None:
    W = lm.model.get_submodule(path).weight.double().numpy()
    dW = delta.tensors[path].dense().double().numpy()
    U, _, Vh = np.linalg.svd(W, full_matrices=False)
    k = min(W.shape) // 4
    left, right = U[:, :k] @ U[:, :k].T, Vh[:k].T @ Vh[:k]
    expected = {"both": left @ dW @ right, "left": left @ dW, "right": dW @ right}[side]
    seen = BaseCrop("top", 0.25, side=side).apply(delta, lm).tensors[path].dense()
    np.testing.assert_allclose(seen, expected, atol=1e-5)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_energy_is_that_of_the_weight(lm: LanguageModel, delta: WeightDelta, share: float) -> None:
    values = torch.linalg.svdvals(lm.model.get_submodule(QUERY).weight.double())
    k = int((values.square().cumsum(0) < share * values.square().sum()).sum()) + 1
    kept = BaseCrop("top", share, by="energy").apply(delta, lm).tensors[QUERY]
    assert kept.svd().rank == k


def test_an_update_along_the_top_of_its_weight_is_kept_and_one_along_the_bottom_dropped(lm: LanguageModel) -> None:
    spectrum = weight_spectrum(lm, QUERY)
    top, bottom = (WeightDelta({QUERY: spectrum.crop(one)}) for one in (slice(0, 3), slice(-3, None)))
    lens = BaseCrop("top", 0.25)
    assert (lens.apply(top, lm) - top).norm < 1e-4 * top.norm
    assert lens.apply(bottom, lm).norm < 1e-4 * bottom.norm


def test_one_sided_parts_and_what_lies_outside_are_the_whole(lm: LanguageModel, delta: WeightDelta) -> None:
    for side, path in (("left", DOWN), ("right", QUERY)):
        whole = delta.select(lambda name, path=path: name == path)
        parts = [
            BaseCrop(part, s, side=side).apply(whole, lm)
            for part, s in (("top", 0.25), ("middle", 0.5), ("bottom", 0.25))
        ]
        summed = joined(joined(parts[0], parts[1]), parts[2])
        torch.testing.assert_close(summed.tensors[path].dense(), whole.tensors[path].dense(), atol=1e-5, rtol=1e-4)


def test_blocks_of_both_sides_are_not_the_whole(lm: LanguageModel, delta: WeightDelta) -> None:
    parts = [BaseCrop(part, s).apply(delta, lm) for part, s in (("top", 0.25), ("middle", 0.5), ("bottom", 0.25))]
    assert sum(part.norm**2 for part in parts) < 0.6 * delta.norm**2


def test_a_crop_of_a_dense_update_has_the_rank_of_its_directions(lm: LanguageModel, delta: WeightDelta) -> None:
    assert isinstance(delta.tensors[QUERY], Dense)
    for side in ("both", "left", "right"):
        kept = BaseCrop("top", 0.25, side=side).apply(delta, lm).tensors[QUERY]
        assert isinstance(kept, LowRank)
        assert kept.svd().rank == kept.left.shape[1] == 16


def test_a_weight_is_decomposed_once(lm: LanguageModel) -> None:
    assert weight_spectrum(lm, QUERY) is weight_spectrum(lm, QUERY)
    spectrum = weight_spectrum(lm, DOWN)
    torch.testing.assert_close(
        spectrum.weighted @ spectrum.right, lm.model.get_submodule(DOWN).weight, atol=1e-4, rtol=1e-4
    )
    assert sum(part.numel() for part in (spectrum.left, spectrum.right)) == (64 + 128) * 64


def test_an_update_of_another_model_is_refused(lm: LanguageModel, delta: WeightDelta) -> None:
    with pytest.raises(MismatchError, match=r"dW has model\.layers\.1\.self_attn\.q_proj of shape \(64, 128\)"):
        BaseCrop().apply(WeightDelta({QUERY: delta.tensors[DOWN]}), lm)
    with pytest.raises(UnknownNameError, match="unknown side of a weight 'up'; known: both, left, right"):
        BaseCrop(side="up")
    with pytest.raises(UnknownNameError, match="unknown part of a spectrum 'head'"):
        BaseCrop("head")
