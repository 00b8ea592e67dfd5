"""Overlaps and energies of random directions are what their exact moments say."""

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.adapters import FAMILIES
from ws.delta.update import LowRank
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ShapeError
from ws.lenses.chance import ALL, Random, chance
from ws.lenses.overlap import (
    Overlaps,
    overlap,
    overlap_by_chance,
    overlap_name,
    overlaps,
    principal_cosines,
    read_overlaps,
)
from ws.models.language import LanguageModel
from ws.store import Store
from ws.study.overlaps import overlap_ratio
from ws.study.replicates import Replicates
from ws.study.subject import Subject
from ws.tests.small import adapter, random_update, shared_store
from ws.training.direction import Direction, direction_delta

UP = "model.layers.1.mlp.up_proj"


def test_a_known_angle_is_found() -> None:
    angle = 0.3
    a = torch.eye(4)[:, :2]
    b = torch.tensor([[1.0, 0], [0, math.cos(angle)], [0, math.sin(angle)], [0, 0]])
    assert principal_cosines(a, b).tolist() == pytest.approx([1, math.cos(angle)])
    assert overlap(a, b) == pytest.approx((1 + math.cos(angle) ** 2) / 2)
    assert overlap(a, torch.eye(4)[:, 2:]) == 0
    assert overlap(a, torch.eye(4)[:, :3]) == 1


def drawn(n: int, space: Random, generator: torch.Generator) -> torch.Tensor:
    """n random bases."""
    return torch.linalg.qr(torch.randn(n, space.d, space.k, generator=generator)).Q


@pytest.mark.parametrize(("k", "d"), [(1, 5), (3, 8), (7, 8), (8, 64)])
def test_random_subspaces_overlap_as_chance_says(k: int, d: int) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (drawn(3000, Random(k, d), generator) for _ in range(2))
    seen = (a.mT @ b).square().sum((1, 2)).numpy() / k
    assert overlap(a[0], b[0]) == pytest.approx(seen[0], rel=1e-5)
    null = overlap_by_chance(k, d=d)
    assert null.mean == pytest.approx(k / d)
    assert seen.mean() == pytest.approx(null.mean, abs=4 * null.sd / 3000**0.5)
    assert seen.std() == pytest.approx(null.sd, rel=0.08)


@pytest.mark.parametrize(
    ("left", "right"),
    [(Random(2, 6), ALL), (Random(2, 6), Random(3, 5)), (ALL, Random(4, 5)), (Random(1, 6), Random(1, 5))],
    ids=["left", "both", "right", "single"],
)
@pytest.mark.parametrize("values", [[1.0], [3.0, 2.0, 1.0], [1.0] * 5], ids=["one", "falling", "flat"])
def test_random_directions_hold_what_chance_says(left: Random, right: Random, values: list[float]) -> None:
    generator = torch.Generator().manual_seed(0)
    A = torch.zeros(6, 5)
    A[range(len(values)), range(len(values))] = torch.tensor(values)
    n = 20_000
    inside = A.expand(n, 6, 5)
    inside = inside if left is ALL else drawn(n, left, generator).mT @ inside
    inside = inside if right is ALL else inside @ drawn(n, right, generator)
    seen = inside.square().sum((1, 2)).numpy() / A.square().sum().item()
    null = chance(torch.tensor(values), left=left, right=right)
    assert seen.mean() == pytest.approx(null.mean, abs=4 * null.sd / n**0.5 + 1e-6)
    assert seen.std() == pytest.approx(null.sd, rel=0.05, abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(0.1, 5), min_size=1, max_size=6), k=st.integers(1, 9))
def test_chance_knows_no_units_and_no_spread_of_everything(values: list[float], k: int) -> None:
    spectrum = torch.tensor(values)
    null = chance(spectrum, left=Random(k, 9), right=ALL)
    assert chance(7 * spectrum, left=Random(k, 9), right=ALL) == pytest.approx(null, abs=1e-5)
    assert chance(spectrum, left=ALL, right=Random(k, 9)) == pytest.approx(null, abs=1e-9)
    assert (null.sd == 0) == (k == 9)
    assert null.mean == pytest.approx(k / 9)


def test_a_subspace_must_fit_its_space() -> None:
    with pytest.raises(ShapeError, match="9 directions in a space of width 8; choose from 1 to 8"):
        overlap_by_chance(9, d=8)
    with pytest.raises(ShapeError, match="the share of a zero update in random directions"):
        chance(torch.zeros(3), left=Random(1, 2), right=ALL)


def test_updates_that_share_outputs_overlap_left_and_not_right(lm: LanguageModel) -> None:
    generator = torch.Generator().manual_seed(0)
    left, mine, its = (torch.randn(*shape, generator=generator) for shape in ((128, 3), (3, 64), (3, 64)))
    first, second = (WeightDelta({UP: LowRank(left, right)}) for right in (mine, its))
    table = overlaps({"lora": first, "dora": second, "oft": first}, 3)
    assert list(zip(table["first"], table["second"], strict=True)) == [
        pair for pair in (("lora", "dora"), ("lora", "oft"), ("dora", "oft")) for _ in range(2)
    ]
    row = table.query("first == 'lora' and second == 'dora'").set_index("side")
    assert row.loc["left", ["layer", "kind", "k", "width", "tensor"]].to_list() == [1, "up", 3, 128, UP]
    assert row.loc["left", "overlap"] == pytest.approx(1, abs=1e-4)
    assert row.loc["left", "z"] > 50
    assert abs(row.loc["right", "z"]) < 4
    assert row.loc["right", "chance"] == pytest.approx(3 / 64)
    assert row.loc["left", "angle"] == pytest.approx(0, abs=0.1)
    assert row.loc["right", "angle"] > 30
    same = table.query("first == 'lora' and second == 'oft'")
    assert same["overlap"].to_list() == pytest.approx([1, 1], abs=1e-4)


def test_independent_updates_overlap_by_chance(lm: LanguageModel) -> None:
    table = overlaps({str(seed): random_update(lm, seed=seed) for seed in range(4)}, 3)
    assert len(table) == 6 * 21 * 2
    assert table["z"].mean() == pytest.approx(0, abs=4 / len(table) ** 0.5)
    assert table["z"].std() == pytest.approx(1, abs=0.2)


def direction(family: str, seed: int) -> Direction:
    return Direction(*(adapter(family, sign=sign, seed=seed) for sign in ("plus", "minus")))


def test_a_kept_table_is_that_of_its_directions(lm: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = shared_store(tmp_path_factory)
    own = [direction("lora", 0), direction("lora", 1), direction("oft", 0)]
    control = replace(own[0], random_seed=0)
    kept = read_overlaps(store, Overlaps(((own[0], own[1]), (control, own[2]), (own[2], own[0])), 4))
    names = {"lora/0": own[0], "lora/1": own[1], "oft/0": own[2], "random lora/0": control}
    assert [overlap_name(one) for one in names.values()] == list(names)
    every = overlaps({name: direction_delta(one, lm, store) for name, one in names.items()}, 4).set_index("first")
    met = [("lora/0", "lora/1"), ("oft/0", "random lora/0"), ("lora/0", "oft/0")]
    expected = pd.concat([every.loc[first].query("second == @second") for first, second in met])
    assert kept["overlap"].to_list() == pytest.approx(expected["overlap"].to_list())
    named = [
        list(zip(kept[side].astype(str), kept[f"{side}_seed"], strict=True))[:: 2 * 21] for side in ("first", "second")
    ]
    assert named == [[("lora", 0), ("random lora", 0), ("oft", 0)], [("lora", 1), ("oft", 0), ("lora", 0)]]
    assert len(kept) == 3 * 2 * 21
    assert kept["second_seed"].dtype.kind == "i"


def test_a_family_meets_each_other_one_at_the_next_seed_and_on_the_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Overlaps] = []

    def told(store: Store, recipe: Overlaps) -> pd.DataFrame:
        """A table whose left overlaps are 2 of one line and 4 of the next, where 1 is expected by chance."""
        asked.append(recipe)
        named = [tuple(overlap_name(one).rpartition("/") for one in pair) for pair in recipe.pairs]
        return pd.DataFrame(
            {"first": a, "first_seed": int(i), "second": b, "second_seed": int(j), "side": side, "tensor": tensor}
            | {"overlap": value, "chance": 1.0}
            for (a, _, i), (b, _, j) in named
            for side, tensor, value in (("left", UP, 2.0), ("left", "other", 4.0), ("right", UP, 100.0))
        )

    monkeypatch.setattr("ws.study.overlaps.read_overlaps", told)
    replicates = Replicates(Subject("tiny-random-qwen3"), Store(tmp_path), (0, 1, 2))
    for control in (None, "random"):
        found = overlap_ratio(replicates, "lora", control=control)
        assert (found.value, found.n_seeds, found.n_rows) == (3.0, 3, 2 * (len(FAMILIES) - 1))
    assert len(set(asked)) == 1
    met = [tuple(map(overlap_name, pair)) for pair in asked[0].pairs]
    assert len(met) == len(set(met)) == 3 * (len(FAMILIES) + 1) * (len(FAMILIES) - 1)
    assert {("lora/0", "oft/1"), ("oft/2", "lora/0"), ("random lora/2", "ia3/0")} <= set(met)
    assert not any(first.partition("/")[0] == second.partition("/")[0] for first, second in met)


def test_what_cannot_be_compared_is_refused(lm: LanguageModel) -> None:
    delta = random_update(lm)
    with pytest.raises(MismatchError, match=r"the overlap of \['lora'\]; expected two updates or more"):
        overlaps({"lora": delta}, 3)
    with pytest.raises(ShapeError, match=r"K = 4 directions of .*mlp\.gate_proj of lora, which has rank 3"):
        overlaps({"lora": delta, "oft": delta}, 4)
    part = delta.select(lambda path: path == UP)
    with pytest.raises(MismatchError, match="lora and oft are updates of different tensors; train them from one"):
        overlaps({"lora": delta, "oft": part}, 3)
    with pytest.raises(MismatchError, match="the overlaps of no pairs of directions; expected one pair or more"):
        Overlaps((), 3)
