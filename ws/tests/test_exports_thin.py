"""Thin factors hold dW exactly where it has some, and else as much of it as was asked for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.delta.update import Dense, LowRank
from ws.delta.weight_delta import WeightDelta
from ws.errors import DataError
from ws.exports.base import Limits
from ws.exports.thin import thin

quick = settings(max_examples=12, deadline=None)


def drawn(d_out: int, d_in: int, *, rank: int | None = None, seed: int = 0) -> WeightDelta:
    """One layer's random update, dense or of a rank."""
    generator = torch.Generator().manual_seed(seed)
    if rank is None:
        return WeightDelta({"layer": Dense(torch.randn(d_out, d_in, generator=generator, dtype=torch.float64))})
    left = torch.randn(d_out, rank, generator=generator, dtype=torch.float64)
    return WeightDelta({"layer": LowRank(left, torch.randn(rank, d_in, generator=generator, dtype=torch.float64))})


def test_factors_stay_as_they_are() -> None:
    delta = drawn(9, 7, rank=3)
    made = thin(delta)
    assert made.factors["layer"] is delta.tensors["layer"]
    assert (made.exact, made.left_out, made.rank) == (True, 0.0, 3)


@quick
@given(shared=st.integers(1, 3), own=st.integers(1, 3), seed=st.integers(0, 99))
def test_columns_that_cancel_take_no_room(shared: int, own: int, seed: int) -> None:
    start = drawn(12, 10, rank=shared, seed=seed)
    rest = drawn(12, 10, rank=own, seed=seed + 100)
    made = thin(start + rest - start)
    assert made.rank == own
    assert made.exact
    torch.testing.assert_close(made.factors["layer"].dense(), rest.tensors["layer"].dense())


@quick
@given(rank=st.integers(1, 6), seed=st.integers(0, 99))
def test_a_rank_leaves_out_the_smallest_directions(rank: int, seed: int) -> None:
    delta = drawn(8, 6, seed=seed)
    made = thin(delta, rank=rank)
    values = torch.linalg.svdvals(delta.tensors["layer"].dense())
    assert made.rank == rank
    assert made.exact == (rank == 6)
    assert made.left_out == pytest.approx((values[rank:].norm() / values.norm()).item())


@quick
@given(energy=st.floats(0.05, 0.999), seed=st.integers(0, 99))
def test_an_energy_is_held_by_as_few_directions_as_can(energy: float, seed: int) -> None:
    delta = drawn(8, 6, seed=seed)
    made = thin(delta, energy=energy)
    values = torch.linalg.svdvals(delta.tensors["layer"].dense())
    held = [(values[:keep].norm() / values.norm()).item() ** 2 for keep in range(7)]
    assert held[made.rank] >= energy > held[made.rank - 1]
    assert made.left_out**2 == pytest.approx(1 - held[made.rank], abs=1e-12)


def test_a_rank_that_all_factors_have_cuts_nothing() -> None:
    assert thin(drawn(9, 7, rank=3), rank=3).exact
    assert thin(drawn(9, 7, rank=3), rank=5).exact
    assert not thin(drawn(9, 7, rank=3), rank=2).exact


def test_layers_of_one_rank_add_what_they_added() -> None:
    delta = WeightDelta({"a": drawn(9, 7, rank=2).tensors["layer"], "b": drawn(5, 4, rank=3).tensors["layer"]})
    made = thin(delta)
    assert {path: value.right.shape[0] for path, value in made.one_rank.items()} == {"a": 3, "b": 3}
    for path, value in made.one_rank.items():
        torch.testing.assert_close(value.dense(), delta.tensors[path].dense())


def test_a_layer_that_does_not_move_has_no_place() -> None:
    still = LowRank(torch.zeros(4, 0), torch.zeros(0, 3))
    assert thin(WeightDelta({**drawn(9, 7, rank=2).tensors, "still": still})).factors.keys() == {"layer"}


def test_full_rank_needs_a_limit() -> None:
    with pytest.raises(DataError, match=r"full rank in 1 of 1 layers, such as layer.*--rank 64 or --energy 0\.99"):
        thin(drawn(8, 6))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"rank": 2, "energy": 0.5}, "both say how much to keep; give one"),
        ({"rank": 0}, "--rank 0; expected 1 or more"),
        ({"energy": 1.5}, "--energy 1.5; expected a share"),
        ({"energy": 0.0}, "--energy 0; expected a share"),
    ],
)
def test_a_limit_without_meaning_is_refused(limits: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Limits(**limits)
