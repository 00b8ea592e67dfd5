"""A model read from a GGUF file computes what the model that was written does, or the file is refused."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ws.errors import ModelFileError
from ws.models import tiny
from ws.models.gguf import files as gguf_files
from ws.models.gguf import model as gguf_model
from ws.tests import gguf_writing

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

LINEAR = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def tokenizer() -> "PreTrainedTokenizerFast":
    return tiny.tiny_tokenizer(["a stone floats on water"])


@pytest.fixture(scope="module")
def llama(tokenizer: "PreTrainedTokenizerFast") -> "PreTrainedModel":
    return gguf_writing.random_model("Llama", len(tokenizer))


@pytest.fixture
def written(tokenizer: "PreTrainedTokenizerFast", tmp_path: Path):
    """Write a model as a file and read it back."""

    def read_back(model: "PreTrainedModel", **options: object) -> "PreTrainedModel":
        path = gguf_writing.write(tmp_path / "model.gguf", model, tokenizer, pre="qwen2", **options)
        return gguf_model.read(*gguf_files.opened(path))

    return read_back


def logits(model: "PreTrainedModel") -> torch.Tensor:
    """Logits after 320 tokens, where a wrong rotation per position has added up to a large error."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.vocab_size, (1, 320), generator=generator)
    with torch.no_grad():
        return model(input_ids=ids).logits[0]


def agree(model: "PreTrainedModel", other: "PreTrainedModel") -> bool:
    return torch.allclose(logits(model), logits(other), rtol=0, atol=TOLERANCE * logits(other).abs().max().item())


def unscaled(model: "PreTrainedModel") -> "PreTrainedModel":
    """The same weights, positions turning as if nothing scaled them."""
    config = copy.deepcopy(model.config)
    config.rope_parameters = {"rope_type": "default", "rope_theta": config.rope_parameters["rope_theta"]}
    plain = type(model)(config).eval()
    plain.load_state_dict(model.state_dict())
    return plain


def divisors(model: "PreTrainedModel") -> dict[str, torch.Tensor]:
    """By how much each frequency is divided, as llama.cpp's converter writes Llama 3's scaling."""
    return {"rope_freqs.weight": unscaled(model).model.rotary_emb.inv_freq / model.model.rotary_emb.inv_freq}


# Weights


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("Llama", {"tie_word_embeddings": True, "num_key_value_heads": 4}),
        ("Llama", {"attention_bias": True, "mlp_bias": True}),
        ("Llama", {"head_dim": 16, "rms_norm_eps": 1e-3}),
        ("Qwen2", {"tie_word_embeddings": False}),
        ("Qwen3", {"head_dim": 16, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
        ("Qwen3", {"head_dim": 8, "attention_bias": True}),
    ],
)
def test_a_file_computes_what_its_model_does(
    architecture: str, config: dict[str, object], tokenizer: "PreTrainedTokenizerFast", written
) -> None:
    model = gguf_writing.random_model(architecture, len(tokenizer), **config)
    with torch.no_grad():
        for path, value in model.named_parameters():
            if path.endswith(("bias", "norm.weight")):  # 0 or 1 at the start: an order that is lost would not show
                value.normal_(generator=torch.Generator().manual_seed(len(path)))
    read = written(model)
    assert agree(read, model)
    assert all(torch.equal(read.state_dict()[path], value) for path, value in model.state_dict().items())


def test_an_output_matrix_of_its_own_is_loaded_saved_and_loaded_again(
    tokenizer: "PreTrainedTokenizerFast", tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    tied = gguf_writing.random_model("Qwen2", len(tokenizer), tie_word_embeddings=True)
    head = torch.randn(len(tokenizer), 32, generator=torch.Generator().manual_seed(1))
    path = gguf_writing.write(tmp_path / "in.gguf", tied, tokenizer, pre="qwen2", tensors={"output.weight": head})
    gguf_files.convert(path, tmp_path / "out")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(loaded.lm_head.weight, head)
    assert torch.equal(loaded.model.embed_tokens.weight, tied.model.embed_tokens.weight)
    assert not torch.allclose(logits(loaded), logits(tied), atol=1.0)


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_1", "Q5_0"])
def test_unpacking_in_pieces_is_unpacking(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_model, "CHUNK", 100)
    quantisation = gguf.GGMLQuantizationType[kind]
    packed = gguf.quantize(np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32), quantisation)
    writer = gguf.GGUFWriter(tmp_path / "one.gguf", "llama")
    writer.add_tensor("w", packed, raw_dtype=quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    [tensor] = gguf_files.opened(tmp_path / "one.gguf")[0].tensors
    assert torch.equal(gguf_model.unpacked(tensor), torch.from_numpy(gguf.dequantize(packed, quantisation)))


@given(heads=st.integers(1, 4), pairs=st.integers(1, 4), columns=st.integers(1, 3))
def test_halves_undo_the_order_of_the_file(heads: int, pairs: int, columns: int) -> None:
    weight = torch.arange(heads * 2 * pairs * columns, dtype=torch.float64).reshape(-1, columns)
    assert torch.equal(gguf_model.halves(gguf_writing.interleaved(weight, heads), heads), weight)


# Positions


@pytest.mark.parametrize("architecture", ["Llama", "Qwen2", "Qwen3"])
@pytest.mark.parametrize("rope", [{"rope_type": "linear", "factor": 4.0}, YARN], ids=["linear", "yarn"])
def test_scaled_positions_are_read(
    architecture: str, rope: dict[str, object], tokenizer: "PreTrainedTokenizerFast", written
) -> None:
    rope = {**rope, "rope_theta": 5_000.0}
    model = gguf_writing.random_model(architecture, len(tokenizer), rope_parameters=rope, head_dim=8)
    words = {
        "type": rope["rope_type"],
        "factor": rope["factor"],
        "original_context_length": rope.get("original_max_position_embeddings"),
    }
    arch = model.config.model_type
    assert agree(written(model, says={f"{arch}.rope.scaling.{key}": value for key, value in words.items()}), model)
    assert not agree(unscaled(model), model)


def test_the_scaling_of_llama_3_is_read_from_its_divisors(tokenizer: "PreTrainedTokenizerFast", written) -> None:
    rope = {**LLAMA3, "rope_theta": 10_000.0}
    model = gguf_writing.random_model("Llama", len(tokenizer), rope_parameters=rope)
    assert agree(written(model, tensors=divisors(model)), model)
    assert not agree(unscaled(model), model)


def test_divisors_and_a_factor_multiply(llama: "PreTrainedModel", written) -> None:
    twice = {"rope_freqs.weight": torch.full((4,), 2.0)}
    half = {**LINEAR, "llama.rope.scaling.factor": 2.0}
    assert agree(written(llama, says=half, tensors=twice), written(llama, says=LINEAR))


@pytest.mark.parametrize(
    "says",
    [
        {"llama.rope.scaling.factor": 4.0},
        {"llama.rope.scale_linear": 4.0},
        {**LINEAR, "llama.rope.scaling.attn_factor": 1.0, "llama.rope.scaling.finetuned": False},
    ],
)
def test_a_factor_alone_is_linear(says: dict[str, object], llama: "PreTrainedModel", written) -> None:
    assert agree(written(llama, says=says), written(llama, says=LINEAR))


@pytest.mark.parametrize(
    "says",
    [
        {"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0},
        {"llama.rope.scale_linear": 0.0},
        {"llama.expert_count": 0},
        {"llama.attention.causal": True},
    ],
)
def test_keys_that_change_nothing_are_accepted(says: dict[str, object], llama: "PreTrainedModel", written) -> None:
    assert agree(written(llama, says=says), llama)


def test_a_file_without_a_base_turns_by_ten_thousand(tokenizer: "PreTrainedTokenizerFast", written) -> None:
    rope = {"rope_type": "default", "rope_theta": 10_000.0}
    model = gguf_writing.random_model("Qwen2", len(tokenizer), rope_parameters=rope)
    assert agree(written(model, says={"qwen2.rope.freq_base": None}), model)


# What is refused


@pytest.mark.parametrize(
    ("says", "seen"),
    [
        ({"llama.rope.scaling.type": "longrope"}, "rope.scaling.type = 'longrope', which is not known here"),
        ({**LINEAR, "llama.rope.scaling.attn_factor": 1.5}, "rope.scaling.attn_factor = 1.5, which is not known"),
        ({"llama.rope.scaling.alpha": 2.0}, "llama.rope.scaling.alpha = 2.0, which is not known here"),
        ({"llama.attn_logit_softcapping": 50.0}, "llama.attn_logit_softcapping = 50.0, which is not known here"),
        ({"llama.attention.sliding_window": 128}, "llama.attention.sliding_window = 128, which is not known here"),
        ({"llama.expert_count": 8}, "llama.expert_count = 8, which is not known here"),
        ({"llama.rope.dimension_count": 4}, "llama.rope.dimension_count = 4, expected 8, the width of a head"),
        ({"llama.attention.value_length": 4}, "llama.attention.value_length = 4, expected 8, the width of a head"),
        ({"llama.attention.head_count_kv": [2, 1]}, r"head_count_kv = \[2, 1\], different in different blocks"),
        ({"llama.context_length": None}, "it does not say llama.context_length"),
        ({"general.type": "adapter"}, "it holds adapter, expected a whole model in one file"),
        ({"split.count": 3}, "it holds 1 of 3 parts of a model, expected a whole model in one file"),
        ({"general.architecture": "mamba"}, "architecture is 'mamba', expected one of llama, qwen2, qwen3; .*original"),
    ],
    ids=str,
)
def test_what_would_be_read_otherwise_is_refused(
    says: dict[str, object], seen: str, llama: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", tmp_path: Path
) -> None:
    file, said = gguf_files.opened(gguf_writing.write(tmp_path / "model.gguf", llama, tokenizer))
    said = {key: value for key, value in {**said, **says}.items() if value is not None}
    with pytest.raises(ModelFileError, match=seen):
        gguf_model.read(file, said)


@pytest.mark.parametrize(
    ("tensors", "seen"),
    [
        ({"blk.1.attn_q.bias": torch.zeros(32)}, r"\[\] are missing, \['blk.1.attn_q.bias'\] have no place"),
        ({"blk.0.attn_q.bias": torch.zeros(32)}, r"\['model.layers.0.self_attn.k_proj.bias', .*\] are missing"),
        ({"output_norm.weight": torch.ones(31)}, r"its tensor output_norm.weight has shape \[31\], expected \[32\]"),
    ],
    ids=["unread", "missing", "shape"],
)
def test_tensors_without_a_place_are_refused(
    tensors: dict[str, torch.Tensor], seen: str, llama: "PreTrainedModel", written
) -> None:
    with pytest.raises(ModelFileError, match=seen):
        written(llama, tensors=tensors)


def test_yarn_beside_divisors_is_refused(llama: "PreTrainedModel", written) -> None:
    with pytest.raises(ModelFileError, match=r"'yarn' beside rope_freqs.weight, which is not known here"):
        written(llama, says={"llama.rope.scaling.type": "yarn"}, tensors={"rope_freqs.weight": torch.ones(4)})


# What ends an answer


@pytest.mark.parametrize(
    ("eot", "ends"), [({}, 2), ({"tokenizer.ggml.eot_token_id": 2}, 2), ({"tokenizer.ggml.eot_token_id": 4}, [2, 4])]
)
def test_every_end_that_the_file_names_ends_an_answer(
    eot: dict[str, int],
    ends: int | list[int],
    llama: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    tmp_path: Path,
) -> None:
    from transformers import GenerationConfig

    gguf_files.convert(gguf_writing.write(tmp_path / "in.gguf", llama, tokenizer, says=eot), tmp_path / "out")
    assert GenerationConfig.from_pretrained(tmp_path / "out").eos_token_id == ends
