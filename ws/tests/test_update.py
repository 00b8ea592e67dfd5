"""A product of thin matrices behaves as the matrix it stands for."""

from collections.abc import Iterator
from threading import Thread

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.delta.update import Dense, LowRank, Spectrum, Update, spectra
from ws.errors import ShapeError

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
    assert (1e-3 * a).norm == pytest.approx(1e-3 * a.norm, rel=1e-5, abs=1e-6)


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


def thin(k: int, *, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> LowRank:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(40, k, generator=generator), torch.randn(k, 30, generator=generator)
    return LowRank(left.to(dtype) * scale, right.to(dtype))


def sharing_a_start() -> LowRank:
    """The difference of two updates B A - B0 A0 of rank 3: 12 columns, of which the parts of B0 A0 cancel."""
    first, second, start = (drawn((40, 30), 3, seed) for seed in (1, 2, 3))
    return (0.5 * first + start) - (0.5 * second + start)


CASES = {
    "full rank": (thin(5), 5),
    "more columns than a side": (thin(35), 30),
    "columns twice": (thin(5) + thin(5), 5),
    "a shared start": (sharing_a_start(), 6),
    "zero": (0.0 * thin(5), 0),
    "tiny": (thin(5, scale=1e-12), 5),
    "large": (thin(5, scale=1e6), 5),
    "double precision": (thin(5, dtype=torch.float64) + thin(5, dtype=torch.float64), 5),
}


@pytest.mark.parametrize(("update", "rank"), CASES.values(), ids=CASES)
def test_every_direction_is_orthonormal_whatever_the_rank(update: LowRank, rank: int) -> None:
    spectrum = update.svd()
    left, values, right = (part.double() for part in (spectrum.left, spectrum.values, spectrum.right))
    k = min(*update.shape, update.left.shape[1])
    assert spectrum.rank == rank
    assert (left.shape, values.shape, right.shape) == ((40, k), (k,), (k, 30))
    assert (values.diff() <= 0).all()
    eye = torch.eye(k, dtype=torch.float64)
    torch.testing.assert_close(left.T @ left, eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(right @ right.T, eye, atol=1e-5, rtol=0)
    exact = update.left.double() @ update.right.double()
    # Relative to the factors: what they share cancels in the update.
    rounding = 2e-6 * update.left.double().norm().item() * update.right.double().norm().item()
    assert (left * values @ right - exact).norm() <= rounding
    assert (values - torch.linalg.svdvals(exact)[:k]).abs().max() <= rounding


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_of_a_new_thread() -> int:
    found = []
    thread = Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.usefixtures("two_threads")
def test_spectra_are_those_of_each_update_in_order() -> None:
    updates = [drawn((9 - i, 7 + i), None if i % 3 == 0 else i, seed=i) for i in range(8)]
    for spectrum, update in zip(spectra(updates), updates, strict=True):
        alone = update.svd()
        torch.testing.assert_close(spectrum.values, alone.values)
        close(spectrum.crop(slice(None)), update.dense())
    assert spectra([]) == []


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.usefixtures("two_threads")
def test_each_of_several_spectra_is_computed_on_one_thread(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    torch.set_num_threads(threads)
    seen, real = [], LowRank.svd

    def svd(self: LowRank) -> Spectrum:
        seen.append(torch.get_num_threads())
        return real(self)

    monkeypatch.setattr(LowRank, "svd", svd)
    assert len(spectra([thin(2)] * 4)) == 4
    assert seen == [1] * 4
    assert (torch.get_num_threads(), threads_of_a_new_thread()) == (threads, threads)


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.usefixtures("two_threads")
def test_spectra_have_gradients_if_and_only_if_they_are_wanted(wanted: bool) -> None:
    update = LowRank(thin(2).left.requires_grad_(), thin(2).right)
    with torch.set_grad_enabled(wanted):
        (spectrum,) = spectra([update])
    assert spectrum.values.requires_grad == wanted


@pytest.mark.usefixtures("two_threads")
def test_a_failure_in_one_spectrum_ends_all_and_restores_the_threads() -> None:
    broken = LowRank(torch.full((3, 2), float("nan")), torch.ones(2, 3))
    with pytest.raises(torch.linalg.LinAlgError, match="failed to converge"):
        spectra([thin(2), broken, thin(2)])
    assert threads_of_a_new_thread() == 2


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
