"""dW is exact, refuses adapters that do not belong together, and its geometry agrees with a naive computation."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ws import adapters as families
from ws.delta.steering import steered
from ws.delta.update import Dense, LowRank, Update
from ws.delta.weight_delta import WeightDelta, difference, random_like
from ws.errors import MismatchError
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.store import Store
from ws.tests.small import LAYERS, ON, PAIRS, SHAPES, adapter, every_family
from ws.training import direction as module
from ws.training import train
from ws.training.direction import (
    Direction,
    direction_delta,
    geometry,
    read_geometry,
    summary,
    updates,
    weak_readout,
)
from ws.training.train import Adapter, read_adapter

WRITES, READS = "model.layers.1.mlp.down_proj", "model.layers.1.mlp.up_proj"


def of_one(lm: LanguageModel, recipe: Adapter, store: Store) -> WeightDelta:
    """What one adapter adds to the weights."""
    return WeightDelta({name: first for name, first, _ in updates(lm, recipe, recipe, store)})


def signs(plus: WeightDelta, minus: WeightDelta) -> Iterator[tuple[str, Update, Update]]:
    return ((name, value, minus.tensors[name]) for name, value in plus.tensors.items())


def update(seed: int = 0, *, names: tuple[str, ...] = (WRITES, READS), d_out: int = 6, d_in: int = 5) -> WeightDelta:
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: (d_in, d_out) if name == READS else (d_out, d_in) for name in names}
    return WeightDelta({name: Dense(torch.randn(shape, generator=generator)) for name, shape in shapes.items()})


def thin(seed: int = 0, *, rank: int = 2) -> WeightDelta:
    generator = torch.Generator().manual_seed(seed)
    return WeightDelta(
        {
            name: LowRank(torch.randn(6, rank, generator=generator), torch.randn(rank, 5, generator=generator))
            for name in (WRITES, READS)
        }
    )


def flat(delta: WeightDelta) -> np.ndarray:
    return np.concatenate([value.dense().double().numpy().ravel() for value in delta.tensors.values()])


def squares(value: Update) -> float:
    return float((value.dense().double().numpy() ** 2).sum())


@given(seeds=st.tuples(st.integers(0, 99), st.integers(100, 199)), factor=st.floats(-4, 4))
@settings(max_examples=20, deadline=None)
def test_updates_add_as_vectors_do(seeds: tuple[int, int], factor: float) -> None:
    a, b = map(update, seeds)
    np.testing.assert_allclose(flat(a + b), flat(a) + flat(b), atol=1e-6)
    np.testing.assert_allclose(flat(a - b), flat(a) - flat(b), atol=1e-6)
    np.testing.assert_allclose(flat(factor * a), factor * flat(a), atol=1e-6)
    np.testing.assert_array_equal(flat(a * factor), flat(factor * a))
    assert a.dot(b) == pytest.approx(flat(a) @ flat(b), abs=1e-5)
    assert a.norm == pytest.approx(np.linalg.norm(flat(a)), rel=1e-6)


def test_sums_are_carried_in_float64() -> None:
    ones = WeightDelta({"w": Dense(torch.ones(1, 3))})
    wide = WeightDelta({"w": Dense(torch.tensor([[1e8, 1.0, -1e8]]))})
    assert wide.dot(ones) == 1.0
    one_apart = WeightDelta({"w": Dense(torch.tensor([[2.0**13, 1.0]]))})
    assert one_apart.norm**2 == pytest.approx(2**26 + 1, rel=1e-12)


def test_selecting_splits_an_update() -> None:
    whole = update()
    kept, rest = whole.select(lambda name: name == READS), whole.select(lambda name: name != READS)
    assert (list(kept.tensors), list(rest.tensors)) == ([READS], [WRITES])
    assert kept.norm**2 + rest.norm**2 == pytest.approx(whole.norm**2)


@pytest.mark.parametrize("operation", ["__add__", "__sub__", "dot"])
def test_updates_of_different_tensors_do_not_combine(operation: str) -> None:
    with pytest.raises(MismatchError, match=r"\['a'\] only in the first, \['b'\] only in the second"):
        getattr(update(names=("a", "c")), operation)(update(names=("b", "c")))


@pytest.mark.parametrize(
    ("plus", "minus", "message"),
    [
        (("a", "b"), ("a",), r"\['b'\] only in plus, \[\] only in minus; train both from one recipe"),
        (("a",), ("a", "b"), r"\[\] only in plus, \['b'\] only in minus; train both from one recipe"),
        (("a",), ("b",), r"\['a'\] only in plus, \['b'\] only in minus"),
    ],
    ids=["extra", "missing", "disjoint"],
)
def test_adapters_of_different_tensors_have_no_difference(
    plus: tuple[str, ...], minus: tuple[str, ...], message: str
) -> None:
    with pytest.raises(MismatchError, match=message):
        difference(update(names=plus), update(names=minus))


def test_equal_adapters_have_no_difference() -> None:
    with pytest.raises(MismatchError, match="dW is zero: the two adapters are identical"):
        difference(update(), update())
    assert difference(update(), update(1)).norm > 0
    with pytest.raises(MismatchError, match="dW is zero"):
        difference(0.0 * update(), 0.0 * update(1))


@pytest.mark.parametrize("family", ["dora", "boft", "ia3"])
def test_an_adapter_merged_is_the_adapter_injected(
    lm: LanguageModel, store: Store, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    rows, below = train.started(lm, store, PAIRS, "plus", start=LAYERS.start)
    params, curves = train.trained(lm, rows, below, adapter(family))
    monkeypatch.setattr(module, "read_adapter", lambda store, recipe: params)
    delta = of_one(lm, adapter(family), store)
    assert delta.norm > 0
    with steered(lm, delta, coeff=1.0), torch.no_grad():
        merged = train.loss(lm, rows[:1], below).item()
    assert merged == pytest.approx(curves["validation_loss"][-1], abs=1e-4)
    assert merged != pytest.approx(curves["validation_loss"][0], abs=1e-3)


def test_an_adapter_of_another_model_is_refused(
    lm: LanguageModel, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"model.layers.99.mlp.up_proj": {"A": torch.ones(4, 64), "B": torch.ones(128, 4)}}
    monkeypatch.setattr(module, "read_adapter", lambda store, recipe: elsewhere)
    with pytest.raises(MismatchError, match=r"tiny-random-qwen3 has no layer 'model\.layers\.99\."):
        of_one(lm, adapter(), store)


@pytest.mark.parametrize(
    "minus",
    [
        replace(adapter(sign="minus"), pairs=replace(PAIRS, on=Placed(weights_of("smollm2-135m")))),
        replace(adapter(sign="minus"), pairs=replace(PAIRS, on=replace(ON, device="cuda"))),
        adapter("dora", sign="minus"),
        replace(adapter(sign="minus"), shape=replace(SHAPES["lora"], rank=2)),
    ],
    ids=["model", "device", "family", "rank"],
)
def test_a_direction_needs_one_model_and_one_shape(minus: train.Adapter) -> None:
    with pytest.raises(MismatchError, match="both need the same model and adapter shape"):
        Direction(adapter(), minus)


def test_a_direction_is_plus_minus_minus(lm: LanguageModel, store: Store) -> None:
    plus, minus = adapter(), adapter(sign="minus")
    there = direction_delta(Direction(plus, minus), lm, store)
    back = direction_delta(Direction(minus, plus), lm, store)
    assert (there + back).norm <= 1e-7 * there.norm
    assert there.norm == (of_one(lm, plus, store) - of_one(lm, minus, store)).norm > 0


@every_family
def test_a_direction_is_the_difference_of_the_dense_updates(lm: LanguageModel, store: Store, family: str) -> None:
    signs = adapter(family), adapter(family, sign="minus")
    there = direction_delta(Direction(*signs), lm, store)
    linears = lm.linears(0, lm.n_layers)
    for name, value in there.tensors.items():
        plus, minus = (
            families.family(family).delta(linears[name].weight, read_adapter(store, one)[name], config=one.shape)
            for one in signs
        )
        torch.testing.assert_close(value.dense(), plus - minus, atol=1e-6, rtol=1e-4)


def test_a_direction_of_one_adapter_is_zero(lm: LanguageModel, store: Store) -> None:
    with pytest.raises(MismatchError, match="dW is zero"):
        direction_delta(Direction(adapter(), adapter()), lm, store)


def test_the_random_control_has_the_norms_and_ranks_of_the_direction(lm: LanguageModel, store: Store) -> None:
    direction = Direction(adapter(), adapter(sign="minus"))
    delta = direction_delta(direction, lm, store)
    control = direction_delta(replace(direction, random_seed=5), lm, store)
    assert {value.svd().rank for value in control.tensors.values()} == {2 * SHAPES["lora"].rank}
    assert all(isinstance(value, LowRank) for value in delta.tensors.values())
    assert norms(control) == pytest.approx(norms(delta), rel=1e-5)
    assert abs(control.dot(delta)) < 0.2 * delta.norm**2


def norms(delta: WeightDelta) -> dict[str, float]:
    return {name: float(value.dense().norm()) for name, value in delta.tensors.items()}


@pytest.mark.parametrize("like", [update(), thin()], ids=["dense", "thin"])
def test_a_random_update_has_the_norm_and_rank_of_what_it_stands_for(like: WeightDelta) -> None:
    drawn = random_like(like, seed=0)
    assert {int(torch.linalg.matrix_rank(value.dense())) for value in drawn.tensors.values()} == {
        value.svd().rank for value in like.tensors.values()
    }
    assert norms(drawn) == pytest.approx(norms(like))


def test_factors_with_columns_to_spare_give_a_control_of_the_true_rank() -> None:
    doubled = thin() + thin()
    assert {value.left.shape[1] for value in doubled.tensors.values()} == {4}
    assert {value.left.shape[1] for value in random_like(doubled, seed=0).tensors.values()} == {2}


def test_a_seed_fixes_the_random_update() -> None:
    first, same, other = (flat(random_like(thin(), seed=seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_the_geometry_is_what_numpy_finds() -> None:
    plus, minus = update(0), update(1)
    delta = difference(plus, minus)
    weak = torch.linalg.qr(torch.randn(6, 3, generator=torch.Generator().manual_seed(9))).Q
    table = geometry(signs(plus, minus), delta, weak=weak).set_index("tensor")
    assert list(table.index) == [WRITES, READS]
    p, m = (one.tensors[READS].dense().double().numpy() for one in (plus, minus))
    seen = table.loc[READS, ["plus_sq", "minus_sq", "dot", "delta_sq"]].to_list()
    assert seen == pytest.approx([(p**2).sum(), (m**2).sum(), (p * m).sum(), ((p - m) ** 2).sum()], rel=1e-5)
    projected = weak.double().numpy().T @ delta.tensors[WRITES].dense().double().numpy()
    assert table.loc[WRITES, "weak_sq"] == pytest.approx((projected**2).sum(), rel=1e-5)
    assert table.loc[WRITES, "weak_null"] == pytest.approx(squares(delta.tensors[WRITES]) * 3 / 6, rel=1e-5)
    assert table.loc[READS, ["weak_sq", "weak_null"]].isna().all()


def test_the_summary_is_that_of_the_whole_vectors() -> None:
    plus, minus = update(0), update(1)
    delta = difference(plus, minus)
    seen = summary(geometry(signs(plus, minus), delta, weak=torch.eye(6)[:, :3]))
    p, m = flat(plus), flat(minus)
    lengths = np.linalg.norm(p), np.linalg.norm(m)
    assert seen == pytest.approx(
        {
            "norm": np.linalg.norm(p - m),
            "cosine": p @ m / lengths[0] / lengths[1],
            "asymmetry": (lengths[0] - lengths[1]) / (lengths[0] + lengths[1]),
            "drift_ratio": np.linalg.norm(p + m) / np.linalg.norm(p - m),
            "touched": 2.0,
        },
        rel=1e-5,
    )


def test_untouched_tensors_are_not_counted() -> None:
    plus = update()
    minus = WeightDelta({WRITES: plus.tensors[WRITES], READS: -plus.tensors[READS]})
    assert summary(geometry(signs(plus, minus), plus - minus, weak=torch.eye(6)[:, :3]))["touched"] == 1


def test_the_weak_readout_is_orthonormal_and_the_least_read(lm: LanguageModel) -> None:
    weak = weak_readout(lm)
    assert weak.shape == (64, 32)
    torch.testing.assert_close(weak.T @ weak, torch.eye(32), atol=1e-5, rtol=0)
    head = lm.model.get_output_embeddings().weight.double()
    values = torch.linalg.svdvals(head)
    read = (head @ weak.double()).square().sum().item()
    assert read == pytest.approx(values[32:].square().sum().item(), rel=1e-5)
    assert read < values[:32].square().sum().item()


def test_an_artifact_holds_the_geometry(lm: LanguageModel, store: Store) -> None:
    direction = Direction(adapter(), adapter(sign="minus"))
    plus, minus = (of_one(lm, one, store) for one in (direction.plus, direction.minus))
    expected = geometry(signs(plus, minus), plus - minus, weak=weak_readout(lm))
    pd.testing.assert_frame_equal(read_geometry(store, direction), expected)
    assert expected["weak_sq"].notna().sum() == 2 * len(LAYERS)
