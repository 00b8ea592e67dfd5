"""A product of thin matrices behaves as the matrix it stands for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.errors import ShapeError
from ws.update import Dense, LowRank, Spectrum, Update

FEW = settings(max_examples=25, deadline=None)
SIZES = st.integers(1, 9)


def drawn(shape: tuple[int, int], k: int | None, seed: int) -> Update:
    """A dense update, or one in factors with k columns, fewer or more than its sides."""
    d_out, d_in = shape
    generator = torch.Generator().manual_seed(seed)
    if k is None:
        return Dense(torch.randn(d_out, d_in, generator=generator))
    return LowRank(torch.randn(d_out, k, generator=generator), torch.randn(k, d_in, generator=generator))


def of_shape(shape: tuple[int, int]) -> st.SearchStrategy[Update]:
    return st.builds(drawn, st.just(shape), st.none() | SIZES, st.integers(0, 2**30))


shapes = st.tuples(SIZES, SIZES)
updates = shapes.flatmap(of_shape)
pairs = shapes.flatmap(lambda shape: st.tuples(of_shape(shape), of_shape(shape)))


@FEW
@given(pair=pairs, factor=st.floats(-3, 3))
def test_arithmetic_is_that_of_the_matrices(pair: tuple[Update, Update], factor: float) -> None:
    a, b = pair
    close(a + b, a.dense() + b.dense())
    close(a - b, a.dense() - b.dense())
    close(factor * a, factor * a.dense())
    close(-a, -a.dense())
    products = (a.dense().double() * b.dense().double()).sum().item()
    assert a.dot(b) == pytest.approx(products, abs=1e-4)
    assert a.norm == pytest.approx(a.dense().double().norm().item(), rel=1e-5, abs=1e-6)


@FEW
@given(update=updates, seed=st.integers(0, 99))
def test_maps_before_and_after_are_products(update: Update, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(3, n, generator=generator) for n in update.shape)
    close(update.before(left), left @ update.dense())
    close(update.after(right.T), update.dense() @ right.T)
    x = torch.randn(2, 4, update.shape[1], generator=generator)
    torch.testing.assert_close(update.apply(x), x @ update.dense().T, atol=1e-4, rtol=1e-4)
    weight = torch.randn(update.shape, generator=generator)
    expected = weight - 1.5 * update.dense()
    update.add_to(weight, coeff=-1.5)
    torch.testing.assert_close(weight, expected, atol=1e-4, rtol=1e-4)


@FEW
@given(update=updates)
def test_the_spectrum_is_the_dense_one(update: Update) -> None:
    spectrum = update.svd()
    left, values, right = spectrum.left, spectrum.values, spectrum.right
    torch.testing.assert_close(left * values @ right, update.dense(), atol=1e-4, rtol=1e-4)
    known = torch.linalg.svdvals(update.dense())
    padded = torch.cat([values, torch.zeros(max(0, len(known) - len(values)))])[: len(known)]
    torch.testing.assert_close(padded, known, atol=1e-4, rtol=1e-4)
    assert len(values) <= min(update.shape)
    torch.testing.assert_close(left.T @ left, torch.eye(len(values)), atol=1e-5, rtol=0)
    torch.testing.assert_close(right @ right.T, torch.eye(len(values)), atol=1e-5, rtol=0)
    close(spectrum.crop(slice(None)), update.dense())


def test_a_crop_and_its_rest_are_the_whole() -> None:
    update = LowRank(torch.randn(6, 4), torch.randn(4, 5))
    spectrum = update.svd()
    close(spectrum.crop(slice(0, 2)) + spectrum.crop(slice(2, None)), update.dense())
    assert spectrum.crop(slice(0, 2)).svd().rank == 2


def test_crops_by_slices_share_one_product() -> None:
    spectrum = LowRank(torch.randn(6, 4), torch.randn(4, 5)).svd()
    for part in (slice(0, 2), slice(2, None)):
        assert spectrum.crop(part).left._base is spectrum.weighted


@pytest.mark.parametrize(("values", "rank"), [([1.0, 0.5, 0.2], 3), ([1.0, 1e-9, 0.0], 1), ([], 0)])
def test_the_rank_counts_what_stands_out_of_rounding(values: list[float], rank: int) -> None:
    k = len(values)
    assert Spectrum(torch.eye(5)[:, :k], torch.tensor(values), torch.eye(4)[:k]).rank == rank


def test_a_sum_of_factors_stays_in_factors() -> None:
    thin, dense = LowRank(torch.ones(3, 1), torch.ones(1, 2)), Dense(torch.ones(3, 2))
    assert isinstance(thin - thin, LowRank)
    assert isinstance(thin + dense, Dense)
    assert isinstance(dense + thin, Dense)


@pytest.mark.parametrize("operation", ["__add__", "__sub__", "dot"])
@pytest.mark.parametrize("other", [Dense(torch.ones(1, 2)), LowRank(torch.ones(2, 1), torch.ones(1, 3))])
def test_updates_of_different_weights_do_not_combine(operation: str, other: Update) -> None:
    for update in (Dense(torch.ones(3, 2)), LowRank(torch.ones(3, 1), torch.ones(1, 2))):
        with pytest.raises(ShapeError, match=r"cannot combine updates of shapes \(3, 2\) and"):
            getattr(update, operation)(other)


def close(update: Update, matrix: torch.Tensor) -> None:
    torch.testing.assert_close(update.dense(), matrix, atol=1e-4, rtol=1e-4)
