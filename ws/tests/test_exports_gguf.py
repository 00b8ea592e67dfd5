"""llama.cpp, with an exported LoRA on its own file of a model, computes what the model computes here when steered."""

import tomllib
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from ws.delta.update import Dense
from ws.delta.weight_delta import WeightDelta
from ws.errors import MismatchError, ModelError, ModelFileError
from ws.exports import gguf_lora, llama_cpp
from ws.exports.base import EXACT_NATS, Limits
from ws.exports.command import export, share_off, travelled
from ws.tests import gguf_writing, small
from ws.tests.architectures import tiny_decoder
from ws.tests.documents import ROOT
from ws.tests.exporting import in_llama_cpp, llama_file, of_delta, random_prompts

pytestmark = pytest.mark.usefixtures("told")

every_architecture = pytest.mark.parametrize("architecture", ["Llama", "Qwen2", "Qwen3"])
ALL = Limits(energy=1.0)
"""Dense layers whole, so that layers have unequal ranks."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf")


def raw(file: Path) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    reader = gguf.GGUFReader(file)
    said = {name: field.contents() for name, field in reader.fields.items()}
    return said, {tensor.name: np.array(tensor.data) for tensor in reader.tensors}


@every_architecture
def test_it_comes_back_whole(files: Path, tmp_path: Path, architecture: str) -> None:
    lm, _ = llama_file(architecture, files)
    what, place = of_delta(lm, small.random_update(lm), coeff=-0.5), tmp_path / "dw.gguf"
    written = gguf_lora.write(place, what, ALL)
    trip = travelled(place, what, gguf_lora, written, random_prompts(lm))
    assert trip.off <= EXACT_NATS < trip.moved
    assert share_off(place, what, gguf_lora) <= 1e-5


def test_scale_and_order_are_those_of_the_file_of_the_model(files: Path, tmp_path: Path) -> None:
    lm, _ = llama_file("Llama", files)
    what, place = of_delta(lm, small.random_update(lm)), tmp_path / "dw.gguf"
    gguf_lora.write(place, what, ALL)
    said, tensors = raw(place)
    assert [said[f"{key}"] for key in ("general.type", "general.architecture", "adapter.type")] == [
        "adapter",
        "llama",
        "lora",
    ]
    assert {value.dtype for value in tensors.values()} == {np.dtype("float32")}
    ranks = {name: value.shape[0] for name, value in tensors.items() if name.endswith("lora_a")}
    assert len(set(ranks.values())) > 1
    assert said["adapter.lora.alpha"] == max(ranks.values())
    assert len(tensors) == 2 * len(what.delta.tensors)
    heads = {"attn_q": 4, "attn_k": 2}
    for block in small.LAYERS:
        for ours, theirs in (("self_attn.q", "attn_q"), ("self_attn.k", "attn_k"), ("self_attn.v", "attn_v")):
            a, b = (tensors[f"blk.{block}.{theirs}.weight.lora_{side}"] for side in "ab")
            added = torch.from_numpy(said["adapter.lora.alpha"] / a.shape[0] * b @ a)
            dense = what.delta.tensors[f"model.layers.{block}.{ours}_proj"].dense()
            meant = gguf_writing.interleaved(dense, heads[theirs]) if theirs in heads else dense
            torch.testing.assert_close(added, meant)


@in_llama_cpp
@every_architecture
def test_llama_cpp_is_steered_as_the_model_is_here(files: Path, tmp_path: Path, architecture: str) -> None:
    lm, file = llama_file(architecture, files)
    what, place, asked = of_delta(lm, small.random_update(lm)), tmp_path / "dw.gguf", random_prompts(lm)
    gguf_lora.write(place, what, ALL)
    with llama_cpp.opened(file, longest=64, exactly=True) as model:
        plain = torch.stack(list(model.ends(asked.prompts)))
        with model.with_lora(place):
            whole = torch.stack(list(model.ends(asked.prompts)))
        with model.with_lora(place, scale=-0.5):
            half = torch.stack(list(model.ends(asked.prompts)))
        again = torch.stack(list(model.ends(asked.prompts)))
    for coeff, theirs in ((0.0, plain), (1.0, whole), (-0.5, half)):
        with what.ready.at(coeff):
            ours = torch.stack([lm.model(torch.tensor([ids])).logits[0, -1] for ids in asked.prompts])
        assert (theirs - ours).abs().max() <= EXACT_NATS, coeff
    assert (whole - plain).abs().max() > 0.1
    assert torch.equal(again, plain)


@in_llama_cpp
def test_llama_cpp_says_why_it_refuses_a_file(files: Path, tmp_path: Path) -> None:
    (_, llama), (qwen, _) = llama_file("Llama", files), llama_file("Qwen3", files)
    gguf_lora.write(tmp_path / "dw.gguf", of_delta(qwen, small.random_update(qwen)), ALL)
    with (
        llama_cpp.opened(llama, longest=8) as model,
        pytest.raises(ModelFileError, match=r"llama.cpp refuses the adapter .*dw\.gguf: .*arch"),
        model.with_lora(tmp_path / "dw.gguf"),
    ):
        pass
    (tmp_path / "broken.gguf").write_bytes(llama.read_bytes()[:5000])
    with (
        pytest.raises(ModelFileError, match=r"llama.cpp cannot read .*broken\.gguf: "),
        llama_cpp.opened(tmp_path / "broken.gguf", longest=8),
    ):
        pass


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    lm = tiny_decoder("Gemma3", "Gemma3TextConfig", num_hidden_layers=4, layer_types=["full_attention"] * 4)
    with pytest.raises(ModelError, match=r"is a gemma3_text; the orders .* are known here for llama, qwen2, qwen3"):
        export(tmp_path / "dw.gguf", of_delta(lm, small.random_update(lm)), gguf_lora, ALL, random_prompts(lm))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["lm_head", "model.embed_tokens"])
def test_a_change_of_head_or_embedding_is_refused(files: Path, tmp_path: Path, path: str) -> None:
    lm, _ = llama_file("Llama", files)
    with pytest.raises(
        ModelError, match=rf"dW changes {path}, and llama.cpp's file of .* has no matrix for that layer"
    ):
        gguf_lora.tensor_names(lm, [path])


def test_a_file_of_another_model_is_refused(files: Path, tmp_path: Path) -> None:
    (llama, _), (qwen, _) = llama_file("Llama", files), llama_file("Qwen3", files)
    gguf_lora.write(tmp_path / "dw.gguf", of_delta(qwen, small.random_update(qwen)), ALL)
    with pytest.raises(MismatchError, match=r"is of 'qwen3' with alpha 32.0; expected a LoRA for a model of 'llama'"):
        gguf_lora.read_file(tmp_path / "dw.gguf", llama)
    deeper = WeightDelta({"model.layers.3.mlp.up_proj": Dense(torch.ones(48, 32))})
    gguf_lora.write(tmp_path / "deep.gguf", of_delta(qwen, deeper), ALL)
    shallow = tiny_decoder("Qwen3", num_hidden_layers=2)
    with pytest.raises(MismatchError, match=r"has blk.3.ffn_up.weight.lora_a, which Qwen3 has no layer for"):
        gguf_lora.read_file(tmp_path / "deep.gguf", shallow)


def test_the_releases_are_those_of_the_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = {f"{name}=={release}" for name, release in llama_cpp.RELEASES.items()}
    assert set(project["project"]["optional-dependencies"]["llama"]) == pins
    assert pins <= set(project["dependency-groups"]["dev"])
    assert pins <= set((ROOT / "constraints.txt").read_text(encoding="utf-8").split())


def test_another_release_of_llama_cpp_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cpp, "version", lambda name: "9.9")
    assert llama_cpp.why_absent() == (
        "llama.cpp needs xllamacpp 2026.10.11549, found 9.9; pip install 'weight-steering-claims[llama]'"
    )
