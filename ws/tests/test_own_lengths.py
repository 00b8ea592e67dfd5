"""A row that the model or the memory cannot take is refused with its line, before anything is trained or scored."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ws.bench.survey.judge import language_model
from ws.engine.depth import lower, upper
from ws.engine.packing import pack
from ws.errors import DataError
from ws.models.language import LanguageModel
from ws.scoring import own_lengths
from ws.scoring.own_lengths import check_lengths, positions, prompt_bytes
from ws.tests.architectures import random_model

ROWS = Path("rows.jsonl")
PROMPTS = [(1, [5] * 10), (4, [5] * 40), (7, [5] * 60)]
"""With their lines."""


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return random_model("Llama", kinds=["full_attention"] * 2, window=12)


def test_prompts_that_fit_pass(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert positions(lm) == 64
    monkeypatch.setattr(own_lengths, "available_bytes", lambda: prompt_bytes(lm, 60))
    check_lengths(ROWS, lm, PROMPTS)


def test_a_prompt_of_all_positions_passes(lm: LanguageModel) -> None:
    check_lengths(ROWS, lm, [(1, [5] * 64)])


def test_a_prompt_beyond_the_models_positions_is_refused(lm: LanguageModel) -> None:
    prompts = [*PROMPTS, (9, [5] * 65), (12, [5] * 1000)]
    with pytest.raises(
        DataError, match=r"(?s)rows.jsonl: 2 lines are refused\n  line 9: 65 tokens .*; Llama reads 64 at"
    ):
        check_lengths(ROWS, lm, prompts)


def test_a_prompt_with_a_token_that_the_model_does_not_embed_is_refused(lm: LanguageModel) -> None:
    rows = len(lm.model.get_input_embeddings().weight)
    check_lengths(ROWS, lm, [(1, [5, rows - 1])])
    with pytest.raises(DataError, match=rf"rows.jsonl, line 4: holds .*, number {rows} of the tokenizer; Llama embeds"):
        check_lengths(ROWS, lm, [(1, [5]), (4, [5, rows, 6])])


def test_a_prompt_beyond_the_memory_is_refused(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_lengths, "available_bytes", lambda: prompt_bytes(lm, 60) - 1)
    with pytest.raises(
        DataError, match=r"rows.jsonl, line 7: 60 tokens take \d+\.\d GB, and \d+\.\d GB are free: shorten"
    ):
        check_lengths(ROWS, lm, PROMPTS)


def test_a_system_that_tells_no_memory_and_a_config_without_positions_refuse_nothing(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_lengths, "available_bytes", lambda: None)
    monkeypatch.setattr(own_lengths, "positions", lambda lm: None)
    check_lengths(ROWS, lm, [(1, [5] * 10_000)])


@pytest.mark.parametrize(
    ("architecture", "pairs"),
    [("mamba", 0), ("gemma3n_text", 4), ("gemma4_text", 4), ("blt", 0)],
)
def test_a_config_without_heads_or_with_sizes_by_layer_is_understood(architecture: str, pairs: int) -> None:
    """Memory grows with pairs of tokens by the number of heads: doubling the tokens adds what is not linear in them."""
    lm = language_model(architecture)
    curved = prompt_bytes(lm, 2000) - 2 * prompt_bytes(lm, 1000)
    assert curved >= 2 * 1000**2 * pairs * 16
    assert prompt_bytes(lm, 1000) >= 8 * 64 * 4 * 1000


class Largest(torch.overrides.TorchFunctionMode):
    """The bytes of the largest tensor that is made within."""

    bytes = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, Tensor):
                self.bytes = max(self.bytes, tensor.nbytes)
        return made


@pytest.mark.parametrize("architecture", ["Llama", "Qwen3"])
@pytest.mark.parametrize("tokens", [256, 512])
def test_what_is_foreseen_holds_three_of_the_largest_tensors_and_not_many_more(architecture: str, tokens: int) -> None:
    """Scores, their sum with the mask and the weights are alive at once, beside keys, values and the mask."""
    lm = random_model(architecture, kinds=["full_attention"], window=12)
    [packed] = pack([[5 + place % 7 for place in range(tokens)]])
    with Largest() as largest:
        upper(lm, packed, lower(lm, packed, stop=0), start=0, read=packed.last)
    assert lm.model.config.num_attention_heads * tokens**2 * 4 <= largest.bytes
    assert 3 * largest.bytes <= prompt_bytes(lm, tokens) <= 12 * largest.bytes
