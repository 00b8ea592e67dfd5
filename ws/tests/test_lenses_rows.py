"""Rows of a cut are those of steering by the cut update, every cut has its own artifact, and misfits are refused."""

from dataclasses import replace

import pytest
import torch

from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ShapeError
from ws.lenses.base import RandomLike, Whole
from ws.lenses.cuts import Cut, LensCut, PartCut, SharedBasis, SharedCut, read_shared_basis, whole_delta
from ws.lenses.identity import Identity, largest_gap, read_gap
from ws.lenses.modules import Layers, Modules
from ws.lenses.names import LENSES, named
from ws.lenses.shared import shared_basis
from ws.lenses.spectrum import EqualSpectrum, SpectrumCrop
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.models.yesno import answer_tokens
from ws.scoring.guards import score_alone
from ws.scoring.rows import Rows, read_rows
from ws.store import Store
from ws.tests.small import ON, PAIRS, SYCOPHANCY, adapter, merged
from ws.training.direction import Direction, direction_delta

QUESTIONS = SYCOPHANCY.questions("validation")[:4]


def direction(family: str = "lora") -> Direction:
    return Direction(adapter(family), adapter(family, sign="minus"))


WHOLE = LensCut(direction(), Whole())


def rows(cut: Cut) -> Rows:
    return Rows(ON, QUESTIONS, SYCOPHANCY.prefill, cut)


def together(first: WeightDelta, second: WeightDelta) -> dict[str, torch.Tensor]:
    return {path: value.dense() + second.tensors[path].dense() for path, value in first.tensors.items()}


def test_rows_are_those_of_the_cut_update(lm: LanguageModel, store: Store) -> None:
    table = read_rows(store, rows(LensCut(direction(), named("residual_writes"))))
    update = Modules("writers").apply(direction_delta(direction(), lm, store), lm)
    prompts = [prompt_ids(lm.tokenizer, user=q.text, prefill=SYCOPHANCY.prefill) for q in QUESTIONS]
    expected = score_alone(replace(lm, model=merged(lm, update, coeff=1.0)), prompts, answer_tokens(lm.tokenizer))
    assert table["log_ratio"].to_list() == pytest.approx(expected.log_ratio.tolist(), abs=1e-4)
    assert table["norm"].to_list() == [update.norm] * len(QUESTIONS)


def test_the_whole_is_the_direction_itself(lm: LanguageModel, store: Store) -> None:
    delta = LensCut(direction(), Whole()).delta(lm, store)
    assert (delta - direction_delta(direction(), lm, store)).norm <= 1e-7 * delta.norm


@pytest.mark.parametrize(
    "changed",
    [
        LensCut(direction(), SpectrumCrop("top", 0.25)),
        LensCut(direction(), SpectrumCrop("top", 0.5, keep=False)),
        LensCut(direction(), SpectrumCrop("top", 0.5, by="energy")),
        LensCut(direction("pissa"), SpectrumCrop("top", 0.5)),
        LensCut(direction(), RandomLike(SpectrumCrop("top", 0.5), seed=0)),
        PartCut(direction(), "low_rank"),
    ],
    ids=["share", "keep", "by", "family", "control", "kind"],
)
def test_every_cut_is_an_artifact_of_its_own(store: Store, changed: Cut) -> None:
    assert store.key(rows(changed)) != store.key(rows(LensCut(direction(), SpectrumCrop("top", 0.5))))


def test_shared_directions_split_the_residual_writes(lm: LanguageModel, store: Store) -> None:
    basis = (direction("lora"), direction("dora"))
    kept, dropped = (SharedCut(direction(), basis, 4, keep).delta(lm, store) for keep in (True, False))
    writes = Modules("writers").apply(direction_delta(direction(), lm, store), lm)
    for path, value in together(kept, dropped).items():
        torch.testing.assert_close(value, writes.tensors[path].dense(), atol=1e-6, rtol=1e-4)
    assert {value.svd().rank for value in kept.tensors.values()} == {4}


def test_a_shared_basis_is_kept_whole_and_cut_short_later(lm: LanguageModel, store: Store) -> None:
    basis = (direction("lora"), direction("dora"))
    writes = [Modules("writers").apply(direction_delta(one, lm, store), lm) for one in basis]
    kept = read_shared_basis(store, SharedBasis(basis), writes[0], lm)
    for path, expected in shared_basis(writes, 6, per="layer", equal=True).items():
        torch.testing.assert_close(kept[path][:, :6] @ kept[path][:, :6].T, expected @ expected.T, atol=1e-4, rtol=0)
        assert kept[path].shape[1] > 6
    alien = WeightDelta({"model.layers.5.mlp.down_proj": next(iter(writes[0].tensors.values()))})
    with pytest.raises(MismatchError, match=r"layer 5 has no shared basis, layers \[1, 2, 3\] have one; share"):
        read_shared_basis(store, SharedBasis(basis), alien, lm)


def test_more_directions_than_the_width_cannot_be_shared(lm: LanguageModel, store: Store) -> None:
    basis = (direction("lora"), direction("dora"))
    with pytest.raises(ShapeError, match=r"K = 65 directions at .* have rank \d+ in a width of 64; choose K from 1 to"):
        SharedCut(direction(), basis, 65).delta(lm, store)


def test_a_basis_of_another_model_is_refused() -> None:
    elsewhere = replace(PAIRS, on=Placed(weights_of("smollm2-135m")))
    other = Direction(*(replace(one, pairs=elsewhere) for one in (direction().plus, direction().minus)))
    with pytest.raises(MismatchError, match="a basis of smollm2-135m for a direction on tiny-random-qwen3; share"):
        SharedCut(direction(), (direction(), other), 8)


def test_cuts_of_one_direction_read_it_once(lm: LanguageModel, store: Store) -> None:
    first, same = (LensCut(direction(), Whole()).delta(lm, store) for _ in range(2))
    assert first is same is whole_delta(direction(), lm, store)
    assert whole_delta(direction("pissa"), lm, store) is not first
    assert largest_gap(first, direction_delta(direction(), lm, store)) < 1e-6 * first.norm


def test_native_parts_split_the_direction(lm: LanguageModel, store: Store) -> None:
    kept, dropped = (PartCut(direction("dora"), "magnitude", keep).delta(lm, store) for keep in (True, False))
    whole = direction_delta(direction("dora"), lm, store)
    for path, value in together(kept, dropped).items():
        torch.testing.assert_close(value, whole.tensors[path].dense(), atol=1e-6, rtol=1e-4)


def test_keep_and_drop_are_the_direction(store: Store) -> None:
    for name in (name for name in LENSES if not name.startswith("drop_") and name != "whole"):
        parts = tuple(LensCut(direction(), named(lens)) for lens in (name, f"drop_{name}"))
        assert read_gap(store, Identity(parts, WHOLE)) < 1e-5, name


@pytest.mark.parametrize(
    "names",
    [("top_25", "middle_50", "bottom_25"), ("attention", "mlp"), ("early_layers", "middle_layers", "late_layers")],
    ids=" ".join,
)
def test_three_parts_are_the_direction_too(store: Store, names: tuple[str, ...]) -> None:
    parts = [LensCut(direction(), named(name)) for name in names]
    assert read_gap(store, Identity(tuple(parts), WHOLE)) < 1e-5
    twice = (*parts[1:], parts[1])
    assert read_gap(store, Identity(twice, WHOLE)) > 0.1


def test_a_gap_is_the_largest_of_any_tensor(lm: LanguageModel, store: Store) -> None:
    whole = direction_delta(direction(), lm, store)
    layer = Layers((1,)).apply(whole, lm)
    less = Layers((1,), keep=False).apply(whole, lm)
    assert largest_gap(less, whole) == pytest.approx(max(value.norm for value in layer.tensors.values()), rel=1e-5)
    assert largest_gap(whole, whole) < 1e-6 * whole.norm


def test_what_is_no_part_of_a_direction_has_no_identity_with_it() -> None:
    part = LensCut(direction(), named("attention"))
    with pytest.raises(MismatchError, match=r"1 cuts as parts of dW lora seed 0.*; expected two or more cuts of that"):
        Identity((part,), WHOLE)
    with pytest.raises(MismatchError, match="2 cuts as parts of dW lora seed 0"):
        Identity((part, LensCut(direction("pissa"), named("mlp"))), WHOLE)


def test_a_lens_without_meaning_for_a_family_is_refused() -> None:
    with pytest.raises(MismatchError, match=r"has no meaning here: the dW of ia3 has full rank.*; choose another"):
        LensCut(direction("ia3"), EqualSpectrum(seed=0))


def test_rows_on_another_model_are_refused() -> None:
    with pytest.raises(MismatchError, match="it was made for tiny-random-qwen3; make it anew"):
        replace(rows(LensCut(direction(), Whole())), on=Placed(weights_of("smollm2-135m")))
