"""A GGUF file becomes a folder that computes what the file's model computes, or is refused."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from ws.models import tiny
from ws.models.gguf import files as gguf_files
from ws.tests import gguf_writing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@pytest.fixture(scope="module")
def tokenizer() -> "PreTrainedTokenizerFast":
    return tiny.tiny_tokenizer(["a stone floats on water"])


def test_a_quantised_file_becomes_a_plain_model_folder(
    tokenizer: "PreTrainedTokenizerFast",
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    said: list[str] = []
    monkeypatch.setattr(gguf_files, "say", said.append)
    model = gguf_writing.random_model("Llama", len(tokenizer), tie_word_embeddings=True)
    gguf_files.convert(gguf_writing.write(tmp_path / "model.gguf", model, tokenizer), tmp_path / "out")
    assert said == ["converting model.gguf to safetensors in float32, once"]
    assert capfd.readouterr().err == ""
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", use_safetensors=True).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == tiny.CHAT_TEMPLATE
