"""Every spelling of an answer counts and nothing else does, in fp32, whatever a prompt's place in a batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from ws.engine.depth import PackedBatch, lower
from ws.engine.packing import Packed, pack
from ws.errors import ChatError
from ws.models import tiny
from ws.models.language import LanguageModel
from ws.models.table import weights_of
from ws.models.yesno import A_B, AnswerTokens, Scores, answer_start, answer_tokens, scores
from ws.scoring import guards
from ws.scoring.guards import score_right_padded
from ws.scoring.rows import score
from ws.store import Store
from ws.tests.small import ON, SYCOPHANCY

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
VOCAB = 50
ANSWERS = AnswerTokens(yes=(3, 10, 11), no=(0, 49))

SPELLINGS = {
    "yes": ["Yes", "yes", "YES", " Yes", " yes", " YES", "yEs", "  yes", "yes "],
    "no": ["No", "no", "NO", " No", " no", " NO", "nO"],
    "": ["yesterday", " Yesterday", "Yes.", "y", "es", " ", "not", " Nothing", "know", "**No", "n o", "№"],
}
WORDS = [(word, answer) for answer, words in SPELLINGS.items() for word in words]
SPECIAL = "<YES>"


def speaking(words: Sequence[str], *, space: str = " ", end: str = SPECIAL) -> "PreTrainedTokenizerFast":
    """A tokenizer with one token a word, that writes a space within a token as `space`; `end` is special."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocab = {word.replace(" ", space): i for i, word in enumerate([*words, end])}
    whole = Tokenizer(models.WordLevel(vocab, unk_token=end))
    whole.decoder = decoders.Replace(space, " ")
    return PreTrainedTokenizerFast(tokenizer_object=whole, eos_token=end, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("space", [" ", "Ġ", "▁"], ids=["plain", "bytes", "pieces"])
def test_a_token_answers_iff_it_reads_yes_or_no(space: str) -> None:
    found = answer_tokens(speaking([word for word, _ in WORDS], space=space))
    read = {"yes": found.yes, "no": found.no}
    assert read == {x: tuple(i for i, (_, answer) in enumerate(WORDS) if answer == x) for x in read}


def test_a_special_token_is_no_answer() -> None:
    assert answer_tokens(speaking(["Yes", "No"], end="yes")) == AnswerTokens(yes=(0,), no=(1,))


@pytest.mark.parametrize(("words", "missing"), [(["no", "yesterday"], "yes"), (["Yes", "not"], "no")])
def test_a_vocabulary_without_one_answer_is_refused(words: list[str], missing: str) -> None:
    with pytest.raises(ChatError, match=rf"no single token of .* reads '{missing}' in any spelling"):
        answer_tokens(speaking(words))


# Letters

LETTERS = {
    "A": ["A", " A", "(A", " (A", "(A)", "A)", "  A"],
    "B": ["B", " B", "(B", "(B)"],
    "": ["a", " a", "b", "An", "AA", "A.", "(C", "Ä", "("],
}


def test_a_token_is_a_letter_iff_it_reads_so_without_brackets() -> None:
    words = [(word, letter) for letter, spelled in LETTERS.items() for word in spelled]
    found = answer_tokens(speaking([word for word, _ in words]), A_B)
    read = {"A": found.yes, "B": found.no}
    assert read == {x: tuple(i for i, (_, letter) in enumerate(words) if letter == x) for x in "AB"}


def split_into(*pieces: str) -> "PreTrainedTokenizerFast":
    """A byte-level tokenizer that joins characters to the pieces given, shorter ones first, and to nothing else."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    spelled = [piece.replace(" ", "Ġ") for piece in pieces]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys([*alphabet, *spelled]))}
    bpe = Tokenizer(models.BPE(vocab, [(piece[:-1], piece[-1]) for piece in spelled]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bpe)


@pytest.mark.parametrize(
    ("pieces", "prefill", "start"),
    [
        ((), "", "("),
        ((), "I say", "I say ("),
        ((), "I say ", "I say ("),
        ((), "I say (", "I say ("),
        (("(A", "(B"), "", ""),
        ((" (", " (A", " (B"), "I say", "I say"),
        (("(A", "(B", "(A)", "(B)"), "", ""),
    ],
)
def test_an_answer_begins_with_what_both_letters_share(pieces: tuple[str, ...], prefill: str, start: str) -> None:
    tokenizer = split_into(*pieces)
    assert answer_start(tokenizer, prefill, A_B) == start
    begun = tokenizer.encode(start)
    tokens = answer_tokens(tokenizer, A_B)
    gap = "" if prefill in ("", "I say ", "I say (") else " "
    for letter, ids in (("A", tokens.yes), ("B", tokens.no)):
        whole = tokenizer.encode(f"{prefill.removesuffix('(')}{gap}({letter})")
        assert whole[: len(begun)] == begun
        assert whole[len(begun)] in ids


def test_a_tokenizer_without_letters_is_refused() -> None:
    with pytest.raises(ChatError, match=r"no single token of .* reads 'B' .*; \(A\) or \(B\) scoring needs both"):
        answer_tokens(speaking(["A", "(A"]), A_B)
    with pytest.raises(ChatError, match=r"writes \(A\) and \(B\) with the same tokens"):
        answer_start(speaking(["Yes", "No"]), "", A_B)


# Scores


def drawn(seed: int, scale: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(4, VOCAB, generator=generator)


def naive(logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """P(yes) and P(no) by a plain softmax in float64."""
    weights = np.exp(logits.double().numpy())
    p = weights / weights.sum(axis=1, keepdims=True)
    return p[:, ANSWERS.yes].sum(axis=1), p[:, ANSWERS.no].sum(axis=1)


SEEDS, SCALES = st.integers(0, 2**31), st.floats(0.0, 20.0)


@FEW
@given(seed=SEEDS, scale=SCALES)
def test_scores_are_those_of_a_plain_softmax_in_float64(seed: int, scale: float) -> None:
    logits = drawn(seed, scale)
    scored, (yes, no) = scores(logits, ANSWERS), naive(logits)
    np.testing.assert_allclose(scored.log_yes, np.log(yes), atol=1e-4)
    np.testing.assert_allclose(scored.log_no, np.log(no), atol=1e-4)
    np.testing.assert_allclose(scored.log_ratio, np.log(yes) - np.log(no), atol=1e-4)
    np.testing.assert_allclose(scored.pmass, yes + no, atol=1e-4)


@FEW
@given(seed=SEEDS, scale=SCALES)
def test_swapping_the_answers_turns_the_log_ratio_around(seed: int, scale: float) -> None:
    logits = drawn(seed, scale)
    swapped = scores(logits, AnswerTokens(yes=ANSWERS.no, no=ANSWERS.yes))
    assert torch.equal(swapped.log_ratio, -scores(logits, ANSWERS).log_ratio)
    assert torch.equal(swapped.pmass, scores(logits, ANSWERS).pmass)


def test_bf16_logits_are_scored_in_fp32() -> None:
    rounded = drawn(0, 5.0).bfloat16()
    scored, (yes, no) = scores(rounded, ANSWERS), naive(rounded)
    assert scored.log_ratio.dtype == torch.float32
    np.testing.assert_allclose(scored.log_ratio, np.log(yes) - np.log(no), atol=1e-5)
    in_bf16 = rounded.log_softmax(-1)[:, list(ANSWERS.yes)].logsumexp(-1)
    assert np.abs(in_bf16.float().numpy() - np.log(yes)).max() > 1e-3


# Padding

PROMPTS = ((5, 6, 7, 8), (5, 6, 7, 9, 10, 11, 12, 13), (40, 41), (5, 6), (30, 31, 32, 33, 34, 35, 36, 37, 38))


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    tokenizer = tiny.tiny_tokenizer(["a stone floats on water"])
    model = tiny.tiny_model(tokenizer, seed=0).requires_grad_(False)
    return LanguageModel("tiny", model, tokenizer, weights_of("tiny-random-qwen3"))


@pytest.fixture(scope="module")
def alone(lm: LanguageModel) -> Scores:
    """Each prompt in a batch of its own, so that there is nothing to pad."""
    logits = [lm.model(torch.tensor([prompt])).logits[0, -1] for prompt in PROMPTS]
    return scores(torch.stack(logits), answer_tokens(lm.tokenizer))


def packed_scores(lm: LanguageModel, sequences: Sequence[Packed]) -> Scores:
    batch = PackedBatch(tuple(sequences), tuple(lower(lm, packed, stop=2) for packed in sequences), 2)
    return score(lm, batch, answer_tokens(lm.tokenizer))


def assert_same(left: Scores, right: Scores) -> None:
    torch.testing.assert_close(left.log_yes, right.log_yes, rtol=0, atol=1e-4)
    torch.testing.assert_close(left.log_no, right.log_no, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("budget", "count"), [(100, 1), (9, 3), (1, len(PROMPTS))])
def test_packed_prompts_score_as_alone(lm: LanguageModel, alone: Scores, budget: int, count: int) -> None:
    sequences = pack(PROMPTS, budget=budget)
    assert len(sequences) == count
    assert_same(packed_scores(lm, sequences), alone)


def test_the_last_column_of_a_right_padded_batch_is_the_wrong_place(lm: LanguageModel, alone: Scores) -> None:
    wrong = score_right_padded(lm, PROMPTS, answer_tokens(lm.tokenizer))
    off = (wrong.log_ratio - alone.log_ratio).abs() > 1e-2
    assert off.tolist() == [len(prompt) < max(map(len, PROMPTS)) for prompt in PROMPTS]


def test_the_distance_of_two_ways_of_scoring_is_paired_by_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [("packed", "a", 1.0), ("packed", "b", 2.0), ("alone", "b", 2.5), ("alone", "a", 1.0), ("text", "a", 9.0)]
    table = pd.DataFrame(rows, columns=["way", "question_id", "log_ratio"]).assign(cluster="c")
    monkeypatch.setattr(guards, "read_guards", lambda *_: table)
    recipe = guards.Guards(ON, SYCOPHANCY.questions("heldout")[:2], "", "")
    found = guards.distance(Store(tmp_path), recipe, "packed", "alone")
    assert found.value == 0.25
    assert found.sources == (Store(tmp_path).key(recipe),)
