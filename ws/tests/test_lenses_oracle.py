"""Overlaps of oracles are 1 with themselves and 0 if orthogonal; both scopes agree at the first changed layer."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from ws.errors import MismatchError, ShapeError
from ws.lenses.activations import fit_prompts, persona_basis, read_directions, steered_basis
from ws.lenses.oracle import OracleOverlaps, View, oracle_overlaps, rank_products, read_oracle_overlaps
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.store import Store
from ws.tests.small import LAYERS, SYCOPHANCY, adapter
from ws.training.direction import Direction, direction_delta

DIRECTION = Direction(adapter(sign="plus"), adapter(sign="minus"))
PROMPTS = fit_prompts(SYCOPHANCY)[:6]
STEERED = steered_basis(DIRECTION, PROMPTS)
VIEWS = (View("cumulative", STEERED, "cumulative"), View("block", STEERED, "block"))


@pytest.fixture(scope="module")
def table(store: Store) -> pd.DataFrame:
    return read_oracle_overlaps(store, OracleOverlaps(DIRECTION, VIEWS, k=3))


def of(table: pd.DataFrame, first: str, second: str) -> pd.Series:
    return table[(table["first"] == first) & (table["second"] == second)].set_index("layer")["overlap"]


def test_an_oracle_is_one_with_itself_and_nothing_with_what_is_orthogonal() -> None:
    space = torch.eye(6)
    table = oracle_overlaps({"a": {0: space[:, :3]}, "b": {0: space[:, :2]}, "c": {0: space[:, 3:]}}, [0], 2)
    assert [*of(table, "a", "b"), *of(table, "a", "c"), *of(table, "b", "c")] == [1, 0, 0]
    assert set(table["chance"]) == {2 / 6}


def test_two_readings_agree_only_where_nothing_was_changed_below(table: pd.DataFrame) -> None:
    overlaps = of(table, "cumulative", "block")
    assert list(overlaps.index) == [*LAYERS]
    assert overlaps[LAYERS.start] == pytest.approx(1, abs=1e-5)
    assert overlaps[LAYERS.stop - 1] < 0.99


def test_weight_oracle_is_the_top_of_a_layers_writes_side_by_side(
    table: pd.DataFrame, lm: LanguageModel, store: Store
) -> None:
    delta, views = direction_delta(DIRECTION, lm, store), read_directions(store, STEERED, "block")
    for layer, seen in of(table, "weight", "block").items():
        names = (f"model.layers.{layer}.self_attn.o_proj", f"model.layers.{layer}.mlp.down_proj")
        both = np.concatenate([delta.tensors[name].dense().double().numpy() for name in names], axis=1)
        top = np.linalg.svd(both)[0][:, :3]
        assert seen == pytest.approx(np.square(top.T @ views[layer][:, :3].numpy()).sum() / 3, abs=1e-4)


def test_random_directions_overlap_as_chance_has_it(table: pd.DataFrame) -> None:
    drawn = table[(table["first"] == "random") | (table["second"] == "random")]
    assert len(drawn) == 3 * len(LAYERS)
    assert (abs(drawn["overlap"] - drawn["chance"]) < 6 * drawn["chance_sd"]).all()


def test_an_oracle_with_too_few_directions_is_refused() -> None:
    with pytest.raises(ShapeError, match="choose K from 1 to 2"):
        oracle_overlaps({"a": {0: torch.eye(6)}, "b": {0: torch.eye(6)[:, :2]}}, [0], 3)


@pytest.mark.parametrize("name", ["weight", "random", "block"])
def test_two_oracles_of_one_name_are_refused(name: str) -> None:
    with pytest.raises(MismatchError, match="rename a view"):
        OracleOverlaps(DIRECTION, (*VIEWS, View(name, STEERED, "block")))


def test_a_view_of_another_model_is_refused() -> None:
    personas = persona_basis(Placed(weights_of("smollm2-135m")), SYCOPHANCY, PROMPTS)
    with pytest.raises(MismatchError, match="read states of the model of this dW"):
        OracleOverlaps(DIRECTION, (View("persona", personas, "cumulative"),))


values = arrays(float, (2, 7), elements=st.integers(0, 5).map(float)).filter(lambda a: (np.ptp(a, axis=1) > 0).all())


@settings(max_examples=20, deadline=None)
@given(values, values)
def test_rank_products_of_a_seed_average_to_spearmans_correlation(one: np.ndarray, other: np.ndarray) -> None:
    first, second = (pd.DataFrame(table, columns=list("abcdefg")) for table in (one, other))
    by_seed = rank_products(first, second).groupby("seed")["value"].mean()
    np.testing.assert_allclose(by_seed, [spearmanr(a, b).statistic for a, b in zip(one, other, strict=True)], atol=1e-9)


@pytest.mark.parametrize("renamed", [{"columns": {"oft": "ia3"}}, {"index": {0: 1}}])
def test_ranks_of_different_families_or_seeds_are_refused(renamed: dict[str, dict[object, object]]) -> None:
    table = pd.DataFrame({"lora": [1.0], "oft": [2.0]})
    with pytest.raises(MismatchError, match="the same seeds and families"):
        rank_products(table, table.rename(**renamed))
