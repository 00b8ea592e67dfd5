"""The tiny model has the same bytes everywhere and every part of a chat model that the pipeline uses."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from ws.errors import ChatError
from ws.models import tiny

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

TEXT = ("a stone floats on water", "do you agree with me?")
CHAT = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
OPENED = "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def tokenizer() -> "PreTrainedTokenizerFast":
    return tiny.tiny_tokenizer(TEXT)


@pytest.fixture(scope="module")
def model(tokenizer: "PreTrainedTokenizerFast") -> "Qwen3ForCausalLM":
    return tiny.tiny_model(tokenizer, seed=0)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_same_seed_and_text_give_the_same_bytes(tmp_path: Path) -> None:
    tiny.save(tmp_path / "first", seed=0, text=TEXT)
    torch.manual_seed(1)
    tiny.save(tmp_path / "second", seed=0, text=TEXT)
    assert digests(tmp_path / "first") == digests(tmp_path / "second")


def test_its_logits_are_neither_flat_nor_certain(
    tokenizer: "PreTrainedTokenizerFast", model: "Qwen3ForCausalLM"
) -> None:
    ids = tokenizer("a stone floats on water", return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(ids).logits[0, -1]
    assert 1 < logits.std() < 4
    assert logits.softmax(-1).max() < 0.5


@pytest.fixture(
    scope="module",
    params=[(), TEXT, [sha256(bytes([word])).hexdigest()[:16] for word in range(256)] * 20],
    ids=["none", "some", "too-much"],
)
def trained_on(request: pytest.FixtureRequest) -> "PreTrainedTokenizerFast":
    """A tokenizer of no text, of some, and of more different words than the vocabulary has room for."""
    return tiny.tiny_tokenizer(request.param)


def test_the_answers_are_six_single_tokens_whatever_the_text(trained_on: "PreTrainedTokenizerFast") -> None:
    assert len({tuple(trained_on.encode(answer)) for answer in tiny.ANSWERS}) == 6
    assert [answer for answer in tiny.ANSWERS if len(trained_on.encode(answer)) != 1] == []


def test_an_answer_after_the_prefill_keeps_its_token(tokenizer: "PreTrainedTokenizerFast") -> None:
    assert tokenizer.encode("My answer: **Yes")[-1:] == tokenizer.encode("Yes")


def test_split_answers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "VOCAB_SIZE", 262)
    with pytest.raises(ChatError, match=r"each answer must be one token.*raise VOCAB_SIZE"):
        tiny.tiny_tokenizer(TEXT)


@pytest.mark.parametrize(
    ("options", "prompt"),
    [
        ({"add_generation_prompt": False}, OPENED.removesuffix("<|im_start|>assistant\n")),
        ({}, OPENED),
        ({"enable_thinking": True}, OPENED),
        ({"enable_thinking": False}, OPENED + "<think>\n\n</think>\n\n"),
        ({"open_think": True}, OPENED + "<think>\n"),
    ],
)
def test_chat_layout(tokenizer: "PreTrainedTokenizerFast", options: dict[str, bool], prompt: str) -> None:
    options = {"add_generation_prompt": True} | options
    assert tokenizer.apply_chat_template(CHAT, tokenize=False, **options) == prompt
