"""Inner products of directions give their cosine, and the mean of directions is their mean."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from ws.delta.weight_delta import WeightDelta
from ws.errors import DataError, MismatchError
from ws.lenses.cosine import InnerProducts, read_products
from ws.models.language import LanguageModel
from ws.stats.tables import WHOLE
from ws.steering.mean import MeanWeights
from ws.store import Store
from ws.study.twins import cosines
from ws.tests.small import ON, PAIRS, adapter
from ws.training.direction import Direction, direction_delta

DIRECTIONS = tuple(Direction(adapter(seed=seed), adapter(sign="minus", seed=seed)) for seed in (0, 1))
OTHER_MODEL = replace(ON, device="cuda")


def dense(delta: WeightDelta) -> torch.Tensor:
    """All of an update's numbers, in the order of its tensors."""
    return torch.cat([value.dense().flatten() for value in delta.tensors.values()]).double()


def test_the_mean_over_tensors_is_the_cosine_over_all_weights(lm: LanguageModel, store: Store) -> None:
    first, second = (dense(direction_delta(one, lm, store)) for one in DIRECTIONS)
    seen = cosines(read_products(store, InnerProducts(*DIRECTIONS)))
    assert set(seen["cluster"]) == {WHOLE}
    assert seen["value"].mean() == pytest.approx(torch.cosine_similarity(first, second, dim=0).item(), abs=1e-6)


def test_a_direction_has_a_cosine_of_one_with_itself(store: Store) -> None:
    itself = read_products(store, InnerProducts(DIRECTIONS[0], DIRECTIONS[0]))
    assert cosines(itself)["value"].mean() == pytest.approx(1)
    pd.testing.assert_series_equal(itself["dot"], itself["first_sq"], check_names=False)


def test_the_mean_of_directions_is_the_mean_of_their_weights(lm: LanguageModel, store: Store) -> None:
    first, second = (dense(direction_delta(one, lm, store)) for one in DIRECTIONS)
    torch.testing.assert_close(dense(MeanWeights(DIRECTIONS).delta(lm, store)), (first + second) / 2)
    torch.testing.assert_close(dense(MeanWeights(DIRECTIONS[:1]).delta(lm, store)), first)


def elsewhere() -> Direction:
    """A direction on another model."""
    plus, minus = (replace(adapter(sign=sign), pairs=replace(PAIRS, on=OTHER_MODEL)) for sign in ("plus", "minus"))
    return Direction(plus, minus)


def test_directions_of_two_models_have_neither_angle_nor_mean() -> None:
    with pytest.raises(MismatchError, match="their weights are of two models; give two directions of one"):
        InnerProducts(DIRECTIONS[0], elsewhere())
    with pytest.raises(DataError, match="no mean of 2 directions of 2 models"):
        MeanWeights((DIRECTIONS[0], elsewhere()))
    with pytest.raises(DataError, match="no mean of 0 directions of 0 models"):
        MeanWeights(())
