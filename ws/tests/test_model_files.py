"""Code among a model's files is never read, and a model that cannot be steered is refused before it is loaded."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from ws.errors import ModelError
from ws.models import model_files
from ws.models.model_files import (
    INDEX,
    SMALL,
    WEIGHTS,
    check_memory,
    fp32_bytes,
    read_config,
    small_files,
    weight_files,
)

NAMES = ["config.json", "tokenizer.json", WEIGHTS]


def config(folder: Path, **fields: object) -> Path:
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"} | fields))
    return folder


@given(others=st.lists(st.text() | st.sampled_from(["model.py", "pytorch_model.bin", "x/config.json", "vocab.txt"])))
def test_nothing_is_read_that_is_not_on_the_list(others: list[str]) -> None:
    read = small_files([*NAMES, *others], of="it")
    assert set(read) <= SMALL
    assert set(read) >= {"config.json", "tokenizer.json"}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["tokenizer.json", WEIGHTS], "it has no config.json; expected the folder of one model"),
        (["adapter_config.json", "adapter_model.safetensors"], "an adapter of PEFT.*--plus FOLDER --minus FOLDER"),
        (["README.md", "q4.gguf", "q8.gguf"], "name the file in it that is meant: q4.gguf, q8.gguf"),
        (["config.json", WEIGHTS], "it has no tokenizer; expected one of .*tokenizer.json"),
        (["config.json", "tokenizer.json"], f"it has neither {WEIGHTS} nor {INDEX}; expected safetensors"),
        (["config.json", "vocab.json", "pytorch_model.bin"], "pytorch_model.bin can run code when read and stay"),
    ],
)
def test_what_is_no_model_is_refused_with_what_it_is_instead(names: list[str], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        small_files(names, of="it")


def test_one_file_wins_over_an_index_as_in_transformers() -> None:
    assert weight_files([*NAMES, INDEX], pytest.fail, of="it") == (WEIGHTS,)
    assert INDEX not in small_files([*NAMES, INDEX], of="it")


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read.*weight_map"),
        ('{"weight_map": {}}', "lists no files"),
        ('{"weight_map": {"a": "../secret.safetensors"}}', r"lists \['../secret.safetensors'\]"),
        ('{"weight_map": {"a": "weights.bin"}}', r"lists \['weights.bin'\]"),
        ('{"weight_map": {"a": 3}}', r"lists \[3\]"),
        ('{"weight_map": {"a": "gone.safetensors"}}', "lacks gone.safetensors, which model.safetensors.index.json"),
    ],
)
def test_an_index_that_leads_elsewhere_is_refused(index: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        weight_files(["config.json", INDEX], lambda: index, of="it")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON that can be read: Expecting"),
        ("[]", "holds a list; expected an object with model_type"),
        ('{"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}', r"are quantised \('gptq'\)"),
        ('{"model_type": "novel"}', "says model_type 'novel', which transformers .* does not have; use a model"),
        (
            '{"model_type": "t5"}',
            "says model_type 't5', which transformers .* does not read as a causal language model",
        ),
        ('{"auto_map": {"AutoConfig": "x.Y"}}', "brings code of its own, which is never run"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=said):
        read_config(tmp_path)


def test_the_memory_of_weights_is_that_of_float32_whatever_they_are_stored_in(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(3, 5, dtype=torch.bfloat16), "b": torch.zeros((), dtype=torch.float64)}
    for name in ("one", "two"):
        save_file(tensors, tmp_path / f"{name}.safetensors")
    assert fp32_bytes(tmp_path.glob("*.safetensors")) == 2 * 4 * (15 + 1)


@pytest.mark.parametrize(("name", "kind"), [("model.safetensors", "safetensors"), ("model.gguf", "GGUF")])
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ModelError, match=rf"{name} only points to a file of Git LFS; .*a {kind} file itself"):
        fp32_bytes(tmp_path.iterdir())
    (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(ModelError, match=rf"{name} .*; expected a {kind} file.*; .*fetch"):
        fp32_bytes(tmp_path.iterdir())


def test_weights_must_fit_into_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "available_bytes", lambda: 2_000_000_000)
    check_memory(2_000_000_000, name="it", device="cpu")
    said = r"weights of it take 2.3 GB in float32, but 2.0 GB of memory are free; free some, use a larger machine, or"
    with pytest.raises(ModelError, match=said):
        check_memory(2_300_000_000, name="it", device="cpu")
    monkeypatch.setattr(model_files, "available_bytes", lambda: None)
    check_memory(2_300_000_000, name="it", device="cpu")


def test_on_a_gpu_the_weights_must_fit_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "available_bytes", lambda: 9_000_000_000)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1_000_000_000, 8_000_000_000))
    with pytest.raises(ModelError, match=r"2.0 GB in float32, but 1.0 GB on the GPU are free"):
        check_memory(2_000_000_000, name="it", device="cuda")
