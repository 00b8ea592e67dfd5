"""Activation directions are those of what steering moves; cuts along them sum to the writes, or say what they lack."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.delta.weight_delta import WeightDelta
from ws.errors import DataError, MismatchError, ShapeError, UnknownNameError, WsError
from ws.lenses import activations
from ws.lenses.activations import (
    MOST,
    ActivationBasis,
    ActivationCut,
    Contrast,
    bases_of,
    directions,
    fit_prompts,
    leading,
    persona_basis,
    read_directions,
    read_values,
    steered_basis,
    task_basis,
)
from ws.lenses.base import joined
from ws.lenses.modules import Modules, layer_of
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.scoring.rows import Rows, read_rows
from ws.steering.states import States, read_states
from ws.store import Store
from ws.tests.small import LAYERS, ON, SYCOPHANCY, adapter
from ws.training.direction import Direction, direction_delta

DIRECTION = Direction(adapter(sign="plus"), adapter(sign="minus"))
PROMPTS = fit_prompts(SYCOPHANCY)[:6]
BASIS = steered_basis(DIRECTION, PROMPTS)
ELSEWHERE = Placed(weights_of("smollm2-135m"))


@pytest.fixture(scope="module")
def writes(lm: LanguageModel, store: Store) -> WeightDelta:
    return Modules("writers").apply(direction_delta(DIRECTION, lm, store), lm)


def projector(basis: torch.Tensor) -> np.ndarray:
    return (basis @ basis.T).numpy()


def assert_same(one: WeightDelta, other: WeightDelta) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    for path, value in one.tensors.items():
        torch.testing.assert_close(value.dense(), other.tensors[path].dense(), atol=1e-6, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), length=st.floats(0.01, 100))
def test_directions_are_those_of_unit_samples_however_long_one_is(seed: int, length: float) -> None:
    samples = torch.randn(5, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    stretched = torch.cat([length * samples[:1], samples[1:]])
    spectrum = directions(stretched)
    unit = samples / samples.norm(dim=1, keepdim=True)
    _, values, right = np.linalg.svd(unit.numpy(), full_matrices=False)
    np.testing.assert_allclose(spectrum.values, values, atol=1e-9)
    np.testing.assert_allclose(np.abs(spectrum.right.numpy() @ right.T), np.eye(5), atol=1e-6)


def test_what_all_samples_share_is_a_direction() -> None:
    shared = torch.tensor([[3.0, 4.0, 0.0]], dtype=torch.float64).repeat(6, 1)
    spectrum = directions(shared)
    torch.testing.assert_close(spectrum.right.abs(), torch.tensor([[0.6, 0.8, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(spectrum.values.square().sum().item(), 6.0)


def test_a_sample_that_does_not_move_counts_for_nothing() -> None:
    samples = torch.eye(3, dtype=torch.float64)[:2]
    torch.testing.assert_close(
        directions(torch.cat([samples, torch.zeros_like(samples)])).values, directions(samples).values
    )


def test_there_are_as_many_directions_as_samples_have_rank_up_to_a_limit() -> None:
    generator = torch.Generator().manual_seed(0)
    thin = torch.randn(9, 2, generator=generator) @ torch.randn(2, 20, generator=generator)
    assert directions(thin).rank == len(directions(thin).values) == 2
    assert len(directions(torch.randn(MOST + 9, MOST + 9, generator=generator)).values) == MOST


def test_a_block_is_told_from_all_before_it() -> None:
    """Each block adds one unit vector of its own to a state that nothing moved below."""
    added = torch.eye(5, dtype=torch.float64)[:3]
    moved = torch.cat([torch.zeros(2, 5, dtype=torch.float64), added.cumsum(0)]).unsqueeze(1)
    found = bases_of(moved)
    assert sorted(found) == sorted(
        f"{scope}.{n}.{what}"
        for scope in ("block", "cumulative")
        for n in (1, 2, 3)
        for what in ("directions", "values")
    )
    for place, layer in enumerate((1, 2, 3)):
        torch.testing.assert_close(found[f"block.{layer}.directions"].abs().squeeze(), added[place])
        unit = added[: place + 1].sum(0) / (place + 1) ** 0.5
        torch.testing.assert_close(found[f"cumulative.{layer}.directions"].abs().squeeze(), unit)


def test_the_basis_is_of_what_steering_up_and_down_moves(store: Store) -> None:
    plus, base, minus = (
        read_states(store, States(ON, PROMPTS, *under)) for under in ((DIRECTION, 1.0), (), (DIRECTION, -1.0))
    )
    for scope in ("cumulative", "block"):
        found, values = read_directions(store, BASIS, scope), read_values(store, BASIS, scope)
        assert sorted(found) == sorted(values) == [*range(LAYERS.start, len(base) - 1)]
        for layer, basis in found.items():
            samples = torch.cat([(plus - base)[layer + 1], (base - minus)[layer + 1]])
            if scope == "block":
                samples = samples - torch.cat([(plus - base)[layer], (base - minus)[layer]])
            U = np.linalg.svd((samples / samples.norm(dim=1, keepdim=True)).double().T.numpy(), full_matrices=False)[0]
            np.testing.assert_allclose(projector(basis[:, :3]), U[:, :3] @ U[:, :3].T, atol=1e-3)
            np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-5)


def test_task_directions_are_of_the_first_half_of_the_prompts(store: Store) -> None:
    half = tuple(States(ON, PROMPTS[:3], DIRECTION, coeff) for coeff in (1.0, -1.0))
    mine = read_directions(store, task_basis(DIRECTION, PROMPTS), "cumulative")
    its = read_directions(store, ActivationBasis((Contrast(*half),)), "cumulative")
    for layer, basis in mine.items():
        np.testing.assert_allclose(projector(basis), projector(its[layer]), atol=1e-3)


def test_personas_of_opposite_signs_are_asked_the_same() -> None:
    ((high, low),) = persona_basis(ON, SYCOPHANCY, PROMPTS).contrasts
    assert [one.user for one in high.prompts] == [one.user for one in low.prompts] == [one.user for one in PROMPTS]
    pairs = list(zip(SYCOPHANCY.positive, SYCOPHANCY.negative, strict=True))
    asked = [(one.system, other.system) for one, other in zip(high.prompts, low.prompts, strict=True)]
    assert asked == [*pairs, pairs[0]]


def test_fit_prompts_are_whole_claims_and_none_of_the_judged_ones() -> None:
    prompts = fit_prompts(SYCOPHANCY)
    claims, ways = (*SYCOPHANCY.training, *SYCOPHANCY.validation), len(SYCOPHANCY.phrasings)
    assert len(set(prompts)) == len(claims) * ways
    assert all(claims[place // ways].text in prompt.user for place, prompt in enumerate(prompts))
    assert not {prompt.user for prompt in prompts} & {question.text for question in SYCOPHANCY.questions("heldout")}
    assert {prompt.prefill for prompt in prompts} == {SYCOPHANCY.prefill}


@pytest.mark.parametrize("scope", ["cumulative", "block"])
def test_inside_and_outside_are_all_writes(scope: str, lm: LanguageModel, store: Store, writes: WeightDelta) -> None:
    inside, outside = (ActivationCut(DIRECTION, BASIS, 3, scope, keep).delta(lm, store) for keep in (True, False))
    assert_same(joined(inside, outside), writes)
    assert 0 < inside.norm < writes.norm
    layers = read_directions(store, BASIS, scope)
    for path, value in inside.tensors.items():
        within = projector(layers[layer_of(path)][:, :3]) @ value.dense().numpy()
        np.testing.assert_allclose(within, value.dense(), atol=1e-6)


def test_a_matched_cut_has_the_norm_of_all_writes(lm: LanguageModel, store: Store, writes: WeightDelta) -> None:
    inside = ActivationCut(DIRECTION, BASIS, 2).delta(lm, store)
    matched = ActivationCut(DIRECTION, BASIS, 2, matched=True).delta(lm, store)
    assert matched.norm == pytest.approx(writes.norm, rel=1e-6)
    assert_same(matched, (writes.norm / inside.norm) * inside)


def test_as_many_directions_as_the_width_let_everything_through(
    lm: LanguageModel, store: Store, writes: WeightDelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = torch.linalg.qr(torch.randn(lm.d_model, lm.d_model, generator=torch.Generator().manual_seed(0))).Q
    monkeypatch.setattr(activations, "read_directions", lambda *_: dict.fromkeys(LAYERS, full))
    assert_same(ActivationCut(DIRECTION, BASIS, lm.d_model).delta(lm, store), writes)
    with pytest.raises(ShapeError, match=f"choose K from 1 to {lm.d_model}"):
        ActivationCut(DIRECTION, BASIS, lm.d_model + 1).delta(lm, store)


def test_states_that_change_along_few_directions_are_cut_to_all_of_them(
    lm: LanguageModel, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = BASIS.samples
    assert samples == sum(len(high.prompts) for high, _ in BASIS.contrasts) >= 3
    few = {layer: values[:, :2] for layer, values in read_directions(store, BASIS, "block").items()}
    monkeypatch.setattr(activations, "read_directions", lambda *_: few)
    two = ActivationCut(DIRECTION, BASIS, 2).delta(lm, store)
    assert_same(ActivationCut(DIRECTION, BASIS, samples).delta(lm, store), two)
    with pytest.raises(ShapeError, match=f"K = {samples + 1} .* choose K from 1 to 2, or read states of more prompts"):
        ActivationCut(DIRECTION, BASIS, samples + 1).delta(lm, store)


def test_rows_of_a_cut_are_scored_at_every_coefficient(lm: LanguageModel, store: Store) -> None:
    questions = SYCOPHANCY.questions("heldout")[:4]
    cut = ActivationCut(DIRECTION, BASIS, 2)
    rows = read_rows(store, Rows(ON, questions, SYCOPHANCY.prefill, cut, (0.5, 4.0)))
    for coeff in (0.5, 4.0):
        assert list(rows[rows["coeff"] == coeff]["question_id"]) == [question.id for question in questions]
    np.testing.assert_allclose(rows["norm"], cut.delta(lm, store).norm, rtol=1e-6)


def test_what_cannot_be_read_or_cut_is_refused(lm: LanguageModel, store: Store) -> None:
    still, found = States(ON, PROMPTS), read_directions(store, BASIS, "block")[LAYERS.start].shape[1]
    refused: list[tuple[Callable[[], object], type[WsError], str]] = [
        (
            lambda: fit_prompts(replace(SYCOPHANCY, training=("Why?",))),
            DataError,
            "add claims, or read states of prompts",
        ),
        (lambda: leading({2: torch.eye(4)}, 1, 1), MismatchError, r"layer 1 has no .* directions, layers \[2\] have"),
        (
            lambda: ActivationCut(DIRECTION, BASIS, found + 1).delta(lm, store),
            ShapeError,
            f"choose K from 1 to {found}, or read states of more prompts",
        ),
        (lambda: ActivationCut(DIRECTION, BASIS, 0), ShapeError, "choose 1 or more"),
        (lambda: ActivationCut(DIRECTION, BASIS, 2, "local"), UnknownNameError, "known: block, cumulative"),
        (lambda: read_directions(store, BASIS, "local"), UnknownNameError, "known: block, cumulative"),
        (
            lambda: ActivationCut(DIRECTION, persona_basis(ELSEWHERE, SYCOPHANCY, PROMPTS), 2),
            MismatchError,
            "the model that this dW was trained on",
        ),
        (
            lambda: ActivationBasis((Contrast(still, States(ELSEWHERE, PROMPTS)),)),
            MismatchError,
            "all read from one model",
        ),
        (
            lambda: ActivationBasis((Contrast(still, States(ON, PROMPTS[::-1])),)),
            MismatchError,
            "of different questions",
        ),
        (lambda: ActivationBasis(BASIS.contrasts, 0), ShapeError, "choose 1 or more of them"),
        (lambda: ActivationBasis(BASIS.contrasts, len(PROMPTS) + 1), ShapeError, "choose 1 or more of them"),
        (
            lambda: store.get(ActivationBasis((Contrast(still, still),))),
            ShapeError,
            "use a direction that is not zero",
        ),
    ]
    for ask, error, message in refused:
        with pytest.raises(error, match=message):
            ask()
