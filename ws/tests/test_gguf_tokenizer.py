"""The tokenizer of a GGUF file splits text as the model it was made for does, or the file is refused."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.errors import ModelFileError
from ws.models import tiny
from ws.models.gguf import files as gguf_files
from ws.models.gguf import tokenizer as gguf_tokenizer
from ws.models.gguf.tokenizer import SPLITTINGS
from ws.tests import gguf_writing

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

every_name = pytest.mark.parametrize("name", SPLITTINGS)

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="module")
def tokenizer() -> "PreTrainedTokenizerFast":
    """Knows two newlines as one token: they end a text that it learned from."""
    return tiny.tiny_tokenizer(["a stone floats on water", *["one\n\n"] * 100])


@pytest.fixture(scope="module")
def model(tokenizer: "PreTrainedTokenizerFast") -> "PreTrainedModel":
    return gguf_writing.random_model("Llama", len(tokenizer), num_hidden_layers=1)


def words(name: str, text: str) -> list[str]:
    return [word for word, _ in SPLITTINGS[name].pre_tokenizer().pre_tokenize_str(text)]


def steps(backend: "Tokenizer") -> tuple[object, object]:
    """How a tokenizer prepares text and cuts it, as data."""
    said = json.loads(backend.to_str())
    return said["normalizer"], said["pre_tokenizer"]


def applied(name: str, tokenizer: "PreTrainedTokenizerFast") -> "Tokenizer":
    from transformers import PreTrainedTokenizerFast

    own = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    SPLITTINGS[name].apply(own)
    return own.backend_tokenizer


# What the names stand for


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-2", ["Ċ", "Ċ", "12", "Ġit", "'", "S"]),
        ("smollm", ["ĊĊ", "1", "2", "Ġit", "'", "S"]),
        ("llama-bpe", ["ĊĊ", "12", "Ġit", "'S"]),
        ("qwen2", ["ĊĊ", "1", "2", "Ġit", "'S"]),
        ("tekken", ["ĊĊ", "1", "2", "Ġit", "'S"]),
    ],
)
def test_numbers_newlines_and_contractions(name: str, expected: list[str]) -> None:
    assert words(name, "\n\n12 it'S") == expected


@pytest.mark.parametrize(
    ("name", "class_name"),
    [("gpt-2", "GPT2Tokenizer"), ("qwen2", "Qwen2Tokenizer"), ("command-r", "CohereTokenizer")],
)
def test_a_name_means_what_the_models_own_class_does(
    name: str, class_name: str, tokenizer: "PreTrainedTokenizerFast"
) -> None:
    import transformers

    assert steps(applied(name, tokenizer)) == steps(getattr(transformers, class_name)().backend_tokenizer)


@pytest.mark.parametrize("name", ["llama-bpe", "tekken", "qwen2"])
def test_patterns_are_those_that_transformers_knows(name: str) -> None:
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    assert SPLITTINGS[name].pattern == GGUF_PRE_TOKENIZER_SPLITS[name]


@every_name
@given(text=st.text())
def test_nothing_is_lost_in_splitting(name: str, text: str) -> None:
    from tokenizers import decoders

    assert decoders.ByteLevel().decode(words(name, text)) == text


@pytest.mark.parametrize(("name", "tokens"), [("llama-bpe", 1), ("qwen2", 3)])
def test_a_word_that_no_merge_leads_to_stays_whole_where_the_model_keeps_it(name: str, tokens: int) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "c": 2, "abc": 3}, merges=[]))
    backend = applied(name, PreTrainedTokenizerFast(tokenizer_object=bpe))
    assert len(backend.encode("abc").ids) == tokens


# Files


@pytest.mark.parametrize(
    ("architecture", "name"), [("Llama", "smollm"), ("Llama", "llama-bpe"), ("Qwen2", "qwen2"), ("Qwen3", "qwen2")]
)
def test_the_saved_tokenizer_splits_as_the_file_says(
    architecture: str, name: str, tokenizer: "PreTrainedTokenizerFast", tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    model = gguf_writing.random_model(architecture, len(tokenizer), num_hidden_layers=1)
    gguf_files.convert(gguf_writing.write(tmp_path / "in.gguf", model, tokenizer, pre=name), tmp_path / "out")
    assert steps(AutoTokenizer.from_pretrained(tmp_path / "out").backend_tokenizer) == steps(applied(name, tokenizer))


def test_two_newlines_before_a_digit_are_one_token_where_digits_are_split_off(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", tmp_path: Path
) -> None:
    lengths = {}
    for name in ("smollm", "gpt-2"):
        path = gguf_writing.write(tmp_path / f"{name}.gguf", model, tokenizer, pre=name)
        lengths[name] = len(gguf_tokenizer.read(path, gguf_files.opened(path)[1]).encode("\n\n1"))
    assert lengths == {"smollm": 2, "gpt-2": 3}


def test_a_tokenizer_that_transformers_would_replace_is_refused(
    tokenizer: "PreTrainedTokenizerFast", tmp_path: Path
) -> None:
    model = gguf_writing.random_model("Qwen2", len(tokenizer), num_hidden_layers=1)
    path = gguf_writing.write(tmp_path / "in.gguf", model, tokenizer, pre="smollm")
    with pytest.raises(ModelFileError, match=r"in.gguf: transformers makes another tokenizer, Qwen2Tokenizer"):
        gguf_files.convert(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("pre", "seen"),
    [
        ("deepseek-v3", "it splits text as 'deepseek-v3' does"),
        ("default", "it does not say how it splits text"),
        (None, "it does not say how it splits text"),
    ],
)
def test_a_file_whose_splitting_is_not_known_is_refused(pre: str | None, seen: str) -> None:
    said = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre}
    expected = rf"{seen} \(tokenizer.ggml.pre\), expected one of command-r, gpt-2, .*original folder.*--pre-tokenizer"
    with pytest.raises(ModelFileError, match=expected):
        gguf_tokenizer.splitting(said)


@pytest.mark.parametrize("kind", ["llama", "t5", None])
def test_a_vocabulary_that_is_not_byte_level_is_refused(kind: str | None) -> None:
    expected = rf"its vocabulary is of type {kind!r} \(tokenizer.ggml.model\), expected 'gpt2'.*original folder"
    with pytest.raises(ModelFileError, match=expected):
        gguf_tokenizer.splitting({"tokenizer.ggml.model": kind, "tokenizer.ggml.pre": "default"})


def test_a_control_token_that_would_be_taken_apart_is_refused(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", tmp_path: Path
) -> None:
    vocab = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    turn = vocab.index("<|im_start|>")
    vocab[turn] = "<▁turn▁>"
    path = gguf_writing.write(tmp_path / "in.gguf", model, tokenizer, says={"tokenizer.ggml.tokens": vocab})
    with pytest.raises(ModelFileError, match=r"in.gguf: the tokens \['<▁turn▁>'\] are control tokens"):
        gguf_files.convert(path, tmp_path / "out")
