"""Shared directions hold the most of several updates, and projections refuse what they have no directions for."""

import numpy as np
import pytest
import torch

from ws.delta.update import Dense, LowRank, Update
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ShapeError, UnknownNameError
from ws.lenses.base import Then
from ws.lenses.modules import Modules
from ws.lenses.overlap import overlap
from ws.lenses.shared import Projected, RandomBasis, columns, random_bases, shared_basis
from ws.models.language import LanguageModel
from ws.tests.small import random_update

DOWN, OUT = "model.layers.1.mlp.down_proj", "model.layers.1.self_attn.o_proj"


def written(lm: LanguageModel, seed: int, *, scale: float = 1.0) -> WeightDelta:
    """An update of the residual writers: dense in attention, of rank 3 in the MLP."""
    return scale * Modules("writers").apply(random_update(lm, seed=seed), lm)


def energy(delta: WeightDelta, bases: dict[str, torch.Tensor]) -> float:
    return sum(value.before(bases[path].T).norm ** 2 for path, value in delta.tensors.items())


def test_the_shared_directions_are_those_of_the_updates_side_by_side(lm: LanguageModel) -> None:
    deltas = [written(lm, seed) for seed in range(3)]
    bases = shared_basis(deltas, 4)
    for path, basis in bases.items():
        stack = np.concatenate([delta.tensors[path].dense().double().numpy() for delta in deltas], axis=1)
        U = np.linalg.svd(stack, full_matrices=False)[0][:, :4]
        np.testing.assert_allclose(basis @ basis.T, U @ U.T, atol=1e-3)
        np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-5)


def test_a_layers_directions_serve_both_of_its_writers(lm: LanguageModel) -> None:
    deltas = [written(lm, seed) for seed in range(2)]
    bases = shared_basis(deltas, 4, per="layer")
    torch.testing.assert_close(bases[DOWN], bases[OUT], rtol=0, atol=0)
    stack = np.concatenate([d.tensors[path].dense().double().numpy() for d in deltas for path in (OUT, DOWN)], axis=1)
    U = np.linalg.svd(stack, full_matrices=False)[0][:, :4]
    np.testing.assert_allclose(bases[DOWN] @ bases[DOWN].T, U @ U.T, atol=1e-3)
    assert overlap(bases[DOWN], bases["model.layers.2.mlp.down_proj"]) < 0.9


def test_no_other_directions_hold_more(lm: LanguageModel) -> None:
    deltas = [written(lm, seed) for seed in range(2)]
    best = sum(energy(delta, shared_basis(deltas, 6)) for delta in deltas)
    for seed in range(20):
        assert sum(energy(delta, random_bases(delta, 6, seed=seed)) for delta in deltas) < 0.8 * best


def test_one_long_update_chooses_unless_all_count_alike(lm: LanguageModel) -> None:
    long, short = written(lm, 0, scale=1000.0), written(lm, 1).select(lambda path: path == DOWN)
    long = long.select(lambda path: path == DOWN)
    of_long = shared_basis([long], 3)
    assert overlap(shared_basis([long, short], 3)[DOWN], of_long[DOWN]) > 0.99
    alike = shared_basis([long, short], 6, equal=True)
    assert energy(short, alike) == pytest.approx(short.norm**2, rel=1e-3)
    assert overlap(shared_basis([long, short], 3, equal=True)[DOWN], of_long[DOWN]) < 0.9


@pytest.mark.parametrize("thin", [True, False])
def test_columns_have_the_left_side_of_the_update(thin: bool) -> None:
    left, right = torch.randn(6, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    update: Update = LowRank(left, right) if thin else Dense(left @ right)
    seen, whole = columns(update), update.dense()
    torch.testing.assert_close(seen @ seen.T, whole @ whole.T, atol=1e-3, rtol=1e-4)
    assert seen.shape[1] == (2 if thin else 3)


@pytest.mark.parametrize("k", [1, 8])
def test_directions_of_an_update_hold_all_of_it_once_there_are_enough(lm: LanguageModel, k: int) -> None:
    delta = written(lm, 0).select(lambda path: path == DOWN)
    own = Projected(shared_basis([delta], min(k, 3)))
    assert own.apply(delta, lm).norm == pytest.approx(delta.norm, rel=1e-5) or k < 3
    inside, outside = own.apply(delta, lm), Projected(own.bases, keep=False).apply(delta, lm)
    assert inside.norm**2 + outside.norm**2 == pytest.approx(delta.norm**2, rel=1e-5)
    assert inside.dot(outside) == pytest.approx(0, abs=1e-5)


def test_random_directions_hold_their_share(lm: LanguageModel) -> None:
    delta = random_update(lm)
    kept = [RandomBasis(16, seed).apply(delta.select(lambda p: p == DOWN), lm).norm ** 2 for seed in range(200)]
    assert np.mean(kept) == pytest.approx(16 / 64 * delta.tensors[DOWN].norm ** 2, rel=0.05)
    assert RandomBasis(8, 0).apply(delta, lm).tensors.keys() == delta.tensors.keys()


def test_a_projection_needs_directions_for_every_tensor(lm: LanguageModel) -> None:
    bases = shared_basis([written(lm, 0)], 3)
    with pytest.raises(
        MismatchError, match=r"no basis for model\.layers\.1\.self_attn\.q_proj; expected one for every"
    ):
        Projected(bases).apply(random_update(lm), lm)
    assert Then(Modules("writers"), Projected(bases)).apply(random_update(lm), lm).norm > 0
    with pytest.raises(MismatchError, match="has width 32, dW has outputs of width 64; take a basis of this model"):
        Projected({path: basis[:32] for path, basis in bases.items()}).apply(written(lm, 0), lm)


def test_what_cannot_be_shared_is_refused(lm: LanguageModel) -> None:
    whole = random_update(lm)
    with pytest.raises(MismatchError, match="a shared basis of 0 updates; expected one or more of the same tensors"):
        shared_basis([], 4)
    with pytest.raises(MismatchError, match="a shared basis of 2 updates; expected one or more of the same tensors"):
        shared_basis([whole, written(lm, 0)], 3)
    with pytest.raises(MismatchError, match=r"write to widths \[64, 32, 32, 64, 128, 128, 64\].*keep Modules"):
        shared_basis([whole], 3, per="layer")
    with pytest.raises(ShapeError, match=r"K = 4 directions at .*mlp.*, whose updates together have rank 3 in a width"):
        shared_basis([whole], 4)
    with pytest.raises(ShapeError, match=r"K = 65 directions at .* in a width of 64; choose K from 1 to 64"):
        shared_basis([Modules("o").apply(whole, lm)], 65)
    with pytest.raises(UnknownNameError, match="unknown scope of a shared basis 'model'; known: layer, tensor"):
        shared_basis([whole], 3, per="model")
    with pytest.raises(ShapeError, match="33 orthonormal directions in a space of width 32; choose from 1 to 32"):
        RandomBasis(33, seed=0).apply(whole, lm)
