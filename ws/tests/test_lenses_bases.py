"""The bases agree with their formulas, and energies in them with the exact chance for this dW."""

import numpy as np
import pandas as pd
import pytest
import torch

from ws.delta.update import Dense, LowRank
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ShapeError
from ws.lenses.bases import (
    Bases,
    churn,
    lm_head_read,
    principal,
    read_bases,
    state_bases,
    static_bases,
    suppressed,
    weakly_read,
    write,
    write_not_read,
    writes_not_read,
)
from ws.lenses.energy import BasisEnergy, block_energies, energies, read_energy, state_energies
from ws.lenses.modules import Modules
from ws.lenses.overlap import overlap
from ws.lenses.readout import moved
from ws.lenses.spectrum import orthonormal
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.steering.states import Prompt, States, read_states
from ws.store import Store
from ws.tests.small import LAYERS, ON, SYCOPHANCY, adapter, random_update
from ws.training.direction import Direction, direction_delta, weak_readout

K = 4
DOWN, OUT = "model.layers.1.mlp.down_proj", "model.layers.1.self_attn.o_proj"
QUESTIONS = SYCOPHANCY.questions("heldout")[:10]
PROMPTS = tuple(Prompt(question.text, prefill=SYCOPHANCY.prefill) for question in QUESTIONS)
KEPT = Bases(States(ON, PROMPTS), (0.3, 0.8), K)
DIRECTION = Direction(adapter(sign="plus"), adapter(sign="minus"))
MOVED = moved(DIRECTION, QUESTIONS, SYCOPHANCY.prefill)


@pytest.fixture(scope="module")
def states() -> torch.Tensor:
    return torch.randn(6, 9, 64, generator=torch.Generator().manual_seed(0))


def weight(lm: LanguageModel, layer: int, name: str) -> np.ndarray:
    return lm.model.get_submodule(f"model.layers.{layer}.{name}").weight.double().numpy()


def projection(basis: torch.Tensor | np.ndarray) -> np.ndarray:
    return np.asarray(basis) @ np.asarray(basis).T


def test_every_basis_is_orthonormal_at_every_layer(lm: LanguageModel, states: torch.Tensor) -> None:
    bases = static_bases(lm, LAYERS, K) | state_bases(states, LAYERS, K)
    assert list(bases) == ["write", "lm_head_read", "weak_readout", "write_not_read", "random", "suppressed", "churn"]
    for layers in bases.values():
        assert list(layers) == list(LAYERS)
        for basis in layers.values():
            torch.testing.assert_close(basis.T @ basis, torch.eye(K), atol=1e-4, rtol=0)


def test_a_layer_writes_what_its_two_writers_write(lm: LanguageModel) -> None:
    side_by_side = np.concatenate([weight(lm, 2, "self_attn.o_proj"), weight(lm, 2, "mlp.down_proj")], axis=1)
    U = np.linalg.svd(side_by_side, full_matrices=False)[0]
    np.testing.assert_allclose(projection(write(lm, 2, K)), projection(U[:, :K]), atol=1e-4)


def test_the_unembedding_reads_its_first_directions_most_and_its_last_least(lm: LanguageModel) -> None:
    head = lm.model.get_output_embeddings().weight.double().numpy()
    Vh = np.linalg.svd(head, full_matrices=False)[2]
    np.testing.assert_allclose(projection(lm_head_read(lm, K)), projection(Vh[:K].T), atol=1e-3)
    np.testing.assert_allclose(projection(weakly_read(lm, K)), projection(Vh[-K:].T), atol=1e-3)
    assert overlap(weakly_read(lm, 32), weak_readout(lm)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("layer", [1, 5])
def test_what_is_written_and_not_read_avoids_what_later_readers_read_most(lm: LanguageModel, layer: int) -> None:
    readers = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.up_proj", "mlp.gate_proj")
    rows = [weight(lm, later, name) for later in range(layer + 1, lm.n_layers) for name in readers]
    read = np.concatenate([*rows, lm.model.get_output_embeddings().weight.double().numpy()])
    top = np.linalg.svd(read, full_matrices=False)[2][: 64 // 16].T
    written = np.concatenate([weight(lm, layer, "self_attn.o_proj"), weight(lm, layer, "mlp.down_proj")], axis=1)
    U = np.linalg.svd(written - projection(top) @ written, full_matrices=False)[0]
    basis = write_not_read(lm, layer, K)
    np.testing.assert_allclose(projection(basis), projection(U[:, :K]), atol=1e-3)
    np.testing.assert_allclose(top.T @ np.asarray(basis), 0, atol=1e-4)


def test_what_rises_and_falls_is_suppressed_and_what_only_rises_is_not() -> None:
    turns = torch.zeros(5, 8, 10)
    sizes = torch.linspace(1, 2, 8) ** 2
    turns[2, :, 3] = sizes
    turns[:, :, 7] = 9 * torch.arange(5.0)[:, None] * sizes.flip(0)
    assert suppressed(turns, 1)[:, 0].abs().argmax() == 3
    assert suppressed(-turns, 1)[3, 0].abs() == pytest.approx(1)


def test_churn_is_what_the_next_block_changes(states: torch.Tensor) -> None:
    change = (states[3] - states[2]).double().numpy()
    Vh = np.linalg.svd(change - change.mean(0), full_matrices=False)[2]
    np.testing.assert_allclose(projection(churn(states, 2, K)), projection(Vh[:K].T), atol=1e-4)
    constant = states + 5 * torch.arange(6.0)[:, None, None]
    np.testing.assert_allclose(projection(churn(constant, 2, K)), projection(churn(states, 2, K)), atol=1e-4)


def test_bases_that_do_not_fit_are_refused(lm: LanguageModel, states: torch.Tensor) -> None:
    for made in (lambda: write(lm, 1, 65), lambda: lm_head_read(lm, 65), lambda: write_not_read(lm, 1, 65)):
        with pytest.raises(ShapeError, match="K = 65 directions where there are 64; choose K from 1 to 64"):
            made()
    with pytest.raises(ShapeError, match="K = 33 directions where there are 32"):
        weakly_read(lm, 33)
    with pytest.raises(ShapeError, match="K = 9 directions where there are 8"):
        principal(states[0], 9)
    with pytest.raises(ShapeError, match="no block after layer 5 in states of 6; choose 0 to 4"):
        churn(states, 5, K)


def test_an_update_in_a_basis_is_found_there(lm: LanguageModel) -> None:
    bases = static_bases(lm, LAYERS, K)
    generator = torch.Generator().manual_seed(0)
    inside = LowRank(bases["write"][1], torch.randn(K, 128, generator=generator))
    table = energies(WeightDelta({DOWN: inside}), lm, bases).set_index("basis")
    assert table.loc["write", "share"] == pytest.approx(1, rel=1e-4)
    assert table.loc["write", "ratio"] == pytest.approx(64 / K, rel=1e-4)
    assert table.loc["write", "z"] > 10
    assert table.loc["write", ["tensor", "layer", "kind", "k", "width"]].to_list() == [DOWN, 1, "down", K, 64]
    assert abs(table.loc["random", "z"]) < 4


def test_energies_are_of_residual_writers_in_every_basis(lm: LanguageModel) -> None:
    delta, bases = random_update(lm), static_bases(lm, LAYERS, K)
    table = energies(delta, lm, bases)
    assert len(table) == len(bases) * 2 * len(LAYERS)
    assert set(table["kind"]) == {"o", "down"}
    row = table.query("basis == 'lm_head_read' and tensor == @OUT").iloc[0]
    dense = delta.tensors[OUT].dense().double().numpy()
    basis = bases["lm_head_read"][1].double().numpy()
    assert row["share"] == pytest.approx(((basis.T @ dense) ** 2).sum() / (dense**2).sum(), rel=1e-4)
    assert row["null"] == pytest.approx(K / 64)
    assert row["z"] == pytest.approx((row["share"] - row["null"]) / row["null_sd"])


def test_the_null_is_what_random_bases_hold(lm: LanguageModel) -> None:
    delta = random_update(lm).select(lambda path: path in (DOWN, OUT))
    generator = torch.Generator().manual_seed(0)
    drawn = {str(i): {1: orthonormal(64, K, generator)} for i in range(400)}
    table = energies(delta, lm, drawn).groupby("tensor")
    shares, nulls, spreads = (table[column] for column in ("share", "null", "null_sd"))
    np.testing.assert_allclose(shares.mean(), nulls.first(), rtol=0.1)
    np.testing.assert_allclose(shares.std(), spreads.first(), rtol=0.15)
    assert spreads.first()[DOWN] > 2 * spreads.first()[OUT]


@pytest.mark.parametrize("path", ["mlp.down_proj", "self_attn.q_proj", "self_attn.k_proj"])
def test_a_block_is_between_the_top_directions_of_its_weight(lm: LanguageModel, path: str) -> None:
    delta, path = random_update(lm), f"model.layers.1.{path}"
    U, _, Vh = np.linalg.svd(lm.model.get_submodule(path).weight.double().numpy(), full_matrices=False)
    row = block_energies(delta, lm, share=0.25).set_index("tensor").loc[path]
    k = min(delta.tensors[path].shape) // 4
    dense = delta.tensors[path].dense().double().numpy()
    assert row["k"] == k
    assert row["share"] == pytest.approx(((U[:, :k].T @ dense @ Vh[:k].T) ** 2).sum() / (dense**2).sum(), rel=1e-3)
    assert row["null"] == pytest.approx(k**2 / dense.size)
    own = WeightDelta({path: LowRank(torch.tensor(U[:, :2]).float(), torch.tensor(Vh[:2]).float())})
    assert block_energies(own, lm, share=0.25)["share"].item() == pytest.approx(1, rel=1e-4)


def test_what_has_no_energy_in_the_stream_is_refused(lm: LanguageModel) -> None:
    delta, bases = random_update(lm), static_bases(lm, [1, 2], K)
    with pytest.raises(MismatchError, match="dW has no writers tensor, it has gate_proj, k_proj, q_proj"):
        energies(Modules("readers").apply(delta, lm), lm, bases)
    with pytest.raises(MismatchError, match=r"write has no basis at layer 3 of .*; it has \[1, 2\]: make one there"):
        energies(delta, lm, bases)
    short = {"write": {layer: basis[:32] for layer, basis in static_bases(lm, LAYERS, K)["write"].items()}}
    with pytest.raises(MismatchError, match=r"write has directions of width 32, .* writes to width 64"):
        energies(delta, lm, short)
    with pytest.raises(ShapeError, match=r"the update of model\.layers\.1\.mlp\.down_proj is zero and lies nowhere"):
        energies(WeightDelta({DOWN: Dense(torch.zeros(64, 128))}), lm, bases)
    with pytest.raises(MismatchError, match="has no such layer"):
        block_energies(WeightDelta({"model.layers.7.mlp.down_proj": delta.tensors[DOWN]}), lm)


def test_layers_written_together_are_each_layer_alone(lm: LanguageModel) -> None:
    together = writes_not_read(lm, [3, 1], K)
    assert list(together) == [3, 1]
    for layer, basis in together.items():
        assert overlap(basis, write_not_read(lm, layer, K)) == pytest.approx(1, abs=1e-5)


def test_kept_bases_are_those_of_the_model_and_of_states_after_each_block(store: Store, lm: LanguageModel) -> None:
    kept = read_bases(store, KEPT, seed=1)
    after = read_states(store, KEPT.texts)[1:]
    made = static_bases(lm, LAYERS, K, seed=1) | state_bases(after, LAYERS, K)
    assert set(kept) == set(made)
    for name, layers in made.items():
        assert list(kept[name]) == list(LAYERS)
        for layer, basis in layers.items():
            torch.testing.assert_close(kept[name][layer], basis)


def test_dh_in_a_basis_is_found_there(states: torch.Tensor) -> None:
    bases = state_bases(states, [2], K)
    inside = torch.zeros(6, 9, 64)
    inside[2] = states[1] @ bases["churn"][2] @ bases["churn"][2].T
    table = state_energies(inside, bases).set_index("basis")
    assert table.loc["churn", "share"] == pytest.approx(1, rel=1e-5)
    assert table.loc["churn", "z"] > 5
    assert table.loc["suppressed", "share"] < 0.5
    with pytest.raises(ShapeError, match="dh is zero after layer 1; expected bases from the lowest layer with dW up"):
        state_energies(inside, {"churn": {1: bases["churn"][2]}})


def test_random_bases_hold_the_chance_of_dh(states: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    stretched = states * torch.linspace(0.1, 5, 9)[:, None]
    table = state_energies(stretched, {str(i): {2: orthonormal(64, K, generator)} for i in range(400)})
    assert table["share"].mean() == pytest.approx(K / 64, rel=0.1)
    assert table["share"].std() == pytest.approx(table["null_sd"][0], rel=0.1)


def test_energies_are_kept_of_dw_and_of_dh(store: Store, lm: LanguageModel) -> None:
    recipe = BasisEnergy(MOVED, KEPT, random_seed=1)
    bases, delta = read_bases(store, KEPT, seed=1), direction_delta(DIRECTION, lm, store)
    made = {
        "writes": energies(delta, lm, bases),
        "blocks": block_energies(delta, lm),
        "states": state_energies(MOVED.change(store), bases),
    }
    for what, table in made.items():
        pd.testing.assert_frame_equal(read_energy(store, recipe, what), table)


def test_bases_of_another_or_of_a_steered_model_are_refused() -> None:
    alien = Bases(States(Placed(weights_of("smollm2-135m")), PROMPTS), (0.3, 0.8), K)
    with pytest.raises(MismatchError, match="take its own model's"):
        BasisEnergy(MOVED, alien)
    with pytest.raises(MismatchError, match="expected states of the unchanged model"):
        Bases(MOVED.plus, (0.3, 0.8), K)
