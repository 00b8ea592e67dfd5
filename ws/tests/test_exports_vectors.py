"""A control vector is read by gguf, by repeng and by llama.cpp as what was to be added behind each block."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ws.errors import DataError, MismatchError
from ws.exports import control_vector, gguf_lora, llama_cpp
from ws.exports.base import EXACT_NATS, Limits
from ws.exports.command import share_off, travelled
from ws.tests import small
from ws.tests.exporting import in_llama_cpp, llama_file, of_delta, of_steps, random_prompts

pytestmark = pytest.mark.usefixtures("told")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf")


def drawn(*blocks: int) -> dict[int, Tensor]:
    """A vector for each block."""
    generator = torch.Generator().manual_seed(0)
    return {block: 0.3 * torch.randn(32, generator=generator) for block in blocks}


def test_it_comes_back_at_its_length(files: Path, tmp_path: Path) -> None:
    lm, _ = llama_file("Llama", files)
    what, place = of_steps(lm, drawn(1, 3), coeff=-2.0), tmp_path / "v.gguf"
    written = control_vector.write(place, what, Limits())
    trip = travelled(place, what, control_vector, written, random_prompts(lm))
    assert trip.off <= EXACT_NATS < trip.moved
    assert share_off(place, what, control_vector) is None
    assert written.holds.startswith("a vector behind block 1, 3, of length ")


def test_repeng_reads_the_vectors_behind_the_same_blocks(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # repeng 0.4.0 names a type in an annotation that numpy 2 lacks, and says so: it asks for numpy below 2.
    monkeypatch.setattr(np, "float_", np.float64, raising=False)
    repeng = pytest.importorskip("repeng", reason="repeng is not installed; it asks for numpy below 2")
    lm, _ = llama_file("Llama", files)
    steps = drawn(1, 3)
    control_vector.write(tmp_path / "v.gguf", of_steps(lm, steps), Limits())
    read = repeng.ControlVector.import_gguf(tmp_path / "v.gguf")
    assert read.model_type == "llama"
    assert {block: value.tolist() for block, value in read.directions.items()} == {
        block: value.tolist() for block, value in steps.items()
    }
    ids = torch.tensor([random_prompts(lm).prompts[-1]])
    with of_steps(lm, steps).ready.at(1.0):
        ours = lm.model(ids).logits
    controlled = repeng.ControlModel(lm.model, [1, 3])
    try:
        controlled.set_control(read, 1.0)
        theirs = controlled(ids).logits
    finally:
        controlled.unwrap()
    assert (theirs - ours).abs().max() <= EXACT_NATS


@in_llama_cpp
def test_llama_cpp_adds_the_vectors_behind_the_same_blocks(files: Path, tmp_path: Path) -> None:
    lm, file = llama_file("Qwen3", files)
    what, asked = of_steps(lm, drawn(1, 3)), random_prompts(lm)
    with llama_cpp.opened(file, longest=64, exactly=True) as model:
        plain = torch.stack(list(model.ends(asked.prompts)))
        steps = torch.zeros(3, 32)
        for block, step in what.steps.items():
            steps[block - 1] = step
        with model.with_vectors(steps):
            moved = torch.stack(list(model.ends(asked.prompts)))
        again = torch.stack(list(model.ends(asked.prompts)))
    with what.ready.at(1.0):
        ours = torch.stack([lm.model(torch.tensor([ids])).logits[0, -1] for ids in asked.prompts])
    assert (moved - ours).abs().max() <= EXACT_NATS
    assert (moved - plain).abs().max() > 0.1
    assert torch.equal(again, plain)


@pytest.mark.parametrize("block", [0, 4])
def test_a_block_that_llama_cpp_cannot_steer_is_refused(files: Path, tmp_path: Path, block: int) -> None:
    lm, _ = llama_file("Llama", files)
    with pytest.raises(DataError, match=f"behind the blocks 1 to 3 of tiny Llama.*none behind block {block}"):
        control_vector.write(tmp_path / "v.gguf", of_steps(lm, drawn(2, block)), Limits())


def test_each_kind_of_steering_has_its_own_formats(files: Path, tmp_path: Path) -> None:
    lm, _ = llama_file("Llama", files)
    with pytest.raises(DataError, match="given dW adds nothing to activations; name a direction with --activation"):
        control_vector.write(tmp_path / "v.gguf", of_delta(lm, small.random_update(lm)), Limits())
    with pytest.raises(DataError, match="given vectors changes no weights; export it with --to control-vector"):
        gguf_lora.write(tmp_path / "v.gguf", of_steps(lm, drawn(1)), Limits())


def test_a_file_of_something_else_is_refused(files: Path, tmp_path: Path) -> None:
    lm, file = llama_file("Llama", files)
    with pytest.raises(MismatchError, match="holds 'llama', expected a control vector"):
        control_vector.read_file(file, d_model=32)
    control_vector.write(tmp_path / "v.gguf", of_steps(lm, drawn(1)), Limits())
    with pytest.raises(MismatchError, match=r"has \(32,\) behind block 1, expected \(64,\)"):
        control_vector.read_file(tmp_path / "v.gguf", d_model=64)
