"""Answers after a thought equal those of one prompt at a time, on- and off-policy, and one token ends a thought."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ws.behaviors import Question
from ws.engine.loading import loaded
from ws.errors import ChatError, DataError, MismatchError
from ws.models.language import LanguageModel, Placed
from ws.models.marks import MARKS
from ws.models.table import weights_of
from ws.models.yesno import Scores, answer_tokens, scores
from ws.scoring import thought
from ws.scoring.identical import check_identical
from ws.scoring.rows import KEY, Rows, frame, read_rows
from ws.scoring.thought import (
    ThoughtRows,
    Thoughts,
    after_thought,
    cut,
    opened,
    read_thought_rows,
    read_thoughts,
    think_tokens,
)
from ws.steering.interventions import Activations, Intervention, Nothing, SystemPrompt, Vectors, Weights
from ws.store import Store
from ws.tests.small import ON, SYCOPHANCY, adapter, fingerprint, merged
from ws.tests.test_interventions import Given
from ws.training.direction import Direction, direction_delta

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

QUESTIONS = (*SYCOPHANCY.questions("validation")[:4], *SYCOPHANCY.neutral_questions()[:2])
PREFILL = SYCOPHANCY.prefill
OPEN_THINK, CLOSE_THINK = MARKS[0]
LENGTH = 8
DIRECTION = Direction(adapter(), adapter(sign="minus"))
TERSE = SystemPrompt("You are terse.")
WEIGHTS, VECTORS = Weights(DIRECTION), Activations(Given(), (2, 4))
EVERY = (Nothing(), TERSE, WEIGHTS, VECTORS)

every = pytest.mark.parametrize("intervention", EVERY, ids=lambda one: type(one).__name__)
slowly = pytest.mark.parametrize(("intervention", "coeff"), [(TERSE, 1.0), (WEIGHTS, 2.0)], ids=["prompt", "weights"])


@dataclass(frozen=True)
class Saying(Vectors):
    """Vectors that make the model say one token whatever it is asked: its embedding, which is also its head row."""

    token: str

    @property
    def on(self) -> Placed:
        return ON

    def fit(self, store: Store) -> Tensor:
        lm = loaded(ON, store)
        return lm.model.get_input_embeddings().weight[lm.tokenizer.convert_tokens_to_ids(self.token)].repeat(6, 1)

    def describe(self) -> str:
        return f"saying {self.token}"


def thoughts(intervention: Intervention, coeff: float = 1.0) -> Thoughts:
    return Thoughts(ON, QUESTIONS, intervention, coeff, LENGTH)


def rows(intervention: Intervention, *coeffs: float, policy: str = "on") -> ThoughtRows:
    return ThoughtRows(ON, QUESTIONS, PREFILL, intervention, coeffs, policy, LENGTH)


def encoded(lm: LanguageModel, text: str) -> list[int]:
    return lm.tokenizer.encode(text, add_special_tokens=False)


# The slow way: a copy of the model, one prompt and one whole forward pass at a time.


def steered_copy(lm: LanguageModel, store: Store, intervention: Intervention, coeff: float) -> "PreTrainedModel":
    delta = direction_delta(DIRECTION, lm, store)
    return merged(lm, delta, coeff=coeff if intervention is WEIGHTS else 0.0)


def begun(lm: LanguageModel, question: Question, intervention: Intervention) -> list[int]:
    system = f"<|im_start|>system\n{TERSE.text}<|im_end|>\n" if intervention is TERSE else ""
    return encoded(lm, f"{system}<|im_start|>user\n{question.text}<|im_end|>\n<|im_start|>assistant\n<think>")


def next_logits(model: "PreTrainedModel", ids: Sequence[int]) -> Tensor:
    with torch.no_grad():
        return model(torch.tensor([list(ids)]), use_cache=False).logits[0, -1]


def thought_slowly(model: "PreTrainedModel", lm: LanguageModel, prompt: Sequence[int]) -> list[int]:
    ends = encoded(lm, "</think><|im_end|>")
    said: list[int] = []
    while len(said) < LENGTH and (token := int(next_logits(model, [*prompt, *said]).argmax())) not in ends:
        said.append(token)
    return said


def scored_slowly(
    model: "PreTrainedModel", lm: LanguageModel, intervention: Intervention, said: Sequence[Sequence[int]]
) -> Scores:
    end = [*lm.tokenizer.convert_tokens_to_ids(["</think>"]), *encoded(lm, "\n\n"), *encoded(lm, PREFILL)]
    prompts = [[*begun(lm, q, intervention), *words, *end] for q, words in zip(QUESTIONS, said, strict=True)]
    return scores(torch.stack([next_logits(model, ids) for ids in prompts]), answer_tokens(lm.tokenizer))


@slowly
def test_thoughts_are_those_of_one_token_at_a_time(
    lm: LanguageModel, store: Store, intervention: Intervention, coeff: float
) -> None:
    model = steered_copy(lm, store, intervention, coeff)
    expected = [thought_slowly(model, lm, begun(lm, question, intervention)) for question in QUESTIONS]
    found = read_thoughts(store, thoughts(intervention, coeff))
    assert found["thought"].to_list() == expected
    assert found["text"].to_list() == lm.tokenizer.batch_decode(expected)
    assert found["question_id"].to_list() == [question.id for question in QUESTIONS]
    assert found["thought"].to_list() != read_thoughts(store, thoughts(Nothing(), 0.0))["thought"].to_list()


@slowly
@pytest.mark.parametrize("policy", ["on", "off"])
def test_rows_are_those_of_one_prompt_at_a_time(
    lm: LanguageModel, store: Store, intervention: Intervention, coeff: float, policy: str
) -> None:
    model = steered_copy(lm, store, intervention, coeff)
    thinker, arm = (model, intervention) if policy == "on" else (lm.model, Nothing())
    said = [thought_slowly(thinker, lm, begun(lm, question, arm)) for question in QUESTIONS]
    expected = frame(QUESTIONS, coeff, scored_slowly(model, lm, intervention, said))
    expected = expected.assign(closed=[len(words) < LENGTH for words in said], thought_tokens=[len(w) for w in said])
    found = read_thought_rows(store, rows(intervention, coeff, policy=policy))
    pd.testing.assert_frame_equal(found, expected, check_exact=False, atol=1e-4, rtol=0)


@slowly
def test_whose_thought_it_is_matters(store: Store, intervention: Intervention, coeff: float) -> None:
    on, off = (read_thought_rows(store, rows(intervention, coeff, policy=policy)) for policy in ("on", "off"))
    assert (on["log_ratio"] - off["log_ratio"]).abs().max() > 1e-2


# Coefficient 0 and the fixed thought


@every
def test_at_zero_both_policies_are_the_unchanged_model_bit_for_bit(store: Store, intervention: Intervention) -> None:
    base = read_thought_rows(store, rows(Nothing(), 0.0))
    for_both = {policy: read_thought_rows(store, rows(intervention, 0.0, policy=policy)) for policy in ("on", "off")}
    pd.testing.assert_frame_equal(for_both["on"], for_both["off"], check_exact=True)
    pd.testing.assert_frame_equal(for_both["on"], base, check_exact=True)


def test_off_policy_every_arm_and_coefficient_has_one_thought() -> None:
    recipes = {rows(one, 0.0, policy="off").thoughts(coeff) for one in EVERY for coeff in (-1.0, 0.0, 1.0)}
    assert recipes == {thoughts(Nothing(), 0.0)}


@pytest.mark.parametrize("policy", ["on", "off"])
def test_rows_of_all_arms_and_coefficients_are_comparable(store: Store, policy: str) -> None:
    arms = {
        "weights": read_thought_rows(store, rows(WEIGHTS, -1.0, 0.0, 2.0, policy=policy)),
        "prompt": read_thought_rows(store, rows(TERSE, 0.0, 1.0, policy=policy)),
        "without a thought": read_rows(store, Rows(ON, QUESTIONS, PREFILL, WEIGHTS)),
    }
    check_identical(arms)
    with pytest.raises(DataError, match="arm 'weights', coeff 2 lacks 1 of 6 rows"):
        check_identical(arms | {"weights": arms["weights"].iloc[:-1]})
    assert list(arms["weights"]) == [*arms["without a thought"].drop(columns="norm"), "closed", "thought_tokens"]
    assert set(KEY) < set(arms["weights"])


# How a thought ends


@every
def test_an_answer_stands_behind_one_end_of_thought(lm: LanguageModel, intervention: Intervention) -> None:
    opening, closing = think_tokens(lm.tokenizer)
    said = encoded(lm, "Let me see.")
    ids = after_thought(lm.tokenizer, QUESTIONS[0], said, system=intervention.system(1.0), prefill=PREFILL)
    assert (ids.count(opening), ids.count(closing)) == (1, 1)
    behind = ids[ids.index(opening) + 1 :]
    assert behind == [*said, closing, *encoded(lm, "\n\n"), *encoded(lm, PREFILL)]
    assert ids[: ids.index(opening) + 1] == begun(lm, QUESTIONS[0], intervention)


def test_marks_in_the_users_words_neither_open_nor_close(lm: LanguageModel) -> None:
    opening, closing = think_tokens(lm.tokenizer)
    asked = QUESTIONS[0]._replace(text="Is </think> after <think>? Answer Yes or No.")
    ids = after_thought(lm.tokenizer, asked, [7, 8], system=None, prefill="")
    assert ids == [*opened(lm.tokenizer, asked, system=None), 7, 8, closing, *encoded(lm, "\n\n")]
    assert ids.count(closing) == ids.count(opening) == 1


@given(tokens=st.lists(st.integers(0, 6), max_size=8))
def test_a_thought_is_cut_at_the_first_end(tokens: list[int]) -> None:
    said, closed = cut(tokens, closing=4, ends=(5, 6))
    assert tokens[: len(said)] == said
    assert not {4, 5, 6} & set(said)
    rest = tokens[len(said) :]
    assert closed == (rest[:1] == [4])
    assert rest[:1] in ([], [4], [5], [6])


@pytest.mark.parametrize(("mark", "closed"), [(CLOSE_THINK, True), ("<|im_end|>", False)])
def test_a_thought_may_be_empty(lm: LanguageModel, store: Store, mark: str, closed: bool) -> None:
    silent = Activations(Saying(mark), (5,))
    found = read_thoughts(store, thoughts(silent, 100.0))
    assert found["thought"].to_list() == [[]] * len(QUESTIONS)
    assert found["text"].to_list() == [""] * len(QUESTIONS)
    assert found["closed"].to_list() == [closed] * len(QUESTIONS)


def test_rows_say_how_their_thoughts_ended(lm: LanguageModel, store: Store) -> None:
    silent = read_thought_rows(store, rows(Activations(Saying(CLOSE_THINK), (5,)), 0.0, 100.0))
    assert silent.groupby("coeff")["closed"].unique().map(list).to_dict() == {0.0: [False], 100.0: [True]}
    assert silent.groupby("coeff")["thought_tokens"].unique().map(list).to_dict() == {0.0: [LENGTH], 100.0: [0]}


# What stays as it is


def test_the_size_of_a_batch_does_not_matter(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thought, "BATCH", 2)
    thoughts(WEIGHTS, 2.0).build(tmp_path, store)
    found = pd.read_parquet(tmp_path / "thoughts.parquet")
    assert found["thought"].map(list).to_list() == read_thoughts(store, thoughts(WEIGHTS, 2.0))["thought"].to_list()


@pytest.mark.parametrize("recipe", [thoughts(VECTORS), rows(VECTORS, 1.0)], ids=lambda one: type(one).__name__)
def test_thinking_leaves_the_model_as_it_was(
    lm: LanguageModel, store: Store, tmp_path: Path, recipe: Thoughts | ThoughtRows
) -> None:
    before = fingerprint(lm)
    recipe.build(tmp_path, store)
    assert fingerprint(lm) == before


def test_a_key_covers_whose_thought_it_is_and_how_it_is_found(store: Store) -> None:
    from ws.code.sources import reached

    one = rows(VECTORS, 1.0)
    changed = [replace(one, policy="off"), replace(one, new_tokens=9), replace(one, prefill=""), rows(WEIGHTS, 1.0)]
    assert len({store.key(recipe) for recipe in (one, *changed)}) == 5
    covered = reached(ThoughtRows.build, owners=(ThoughtRows, Activations))
    for code in (
        "ws.scoring.thought:Thoughts",
        "ws.engine.greedy:greedy_answers",
        "ws.steering.interventions:shifted",
        "ws.models.yesno:scores",
    ):
        assert code in covered


# What is refused


def words_only(*words: str, **options: str) -> "PreTrainedTokenizerFast":
    """A tokenizer that knows these words and nothing else."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
    known.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=known, clean_up_tokenization_spaces=False, **options)


def test_a_tokenizer_without_thoughts_is_refused() -> None:
    without = {(): "<think> and no </think>", (OPEN_THINK,): "</think>", (CLOSE_THINK,): "<think>"}
    for options, (marks, lacking) in product(({}, {"unk_token": "<unk>"}), without.items()):
        expected = f"has no token {lacking}; expected both, to begin and end a thought: use a model that thinks"
        with pytest.raises(ChatError, match=re.escape(expected)):
            think_tokens(words_only("<unk>", "hello", *marks, **options))
    assert think_tokens(words_only("<unk>", CLOSE_THINK, OPEN_THINK, unk_token="<unk>")) == (2, 1)


@dataclass(frozen=True)
class Untouchable(Intervention):
    """An intervention that must not be made ready before checks have passed, since that may take training."""

    def ready(self, lm: LanguageModel, store: Store) -> None:
        raise AssertionError("made ready for a model that cannot think")

    def describe(self) -> str:
        return "untouchable"


@pytest.mark.parametrize(
    "recipe", [thoughts(Untouchable()), rows(Untouchable(), 1.0)], ids=lambda one: type(one).__name__
)
def test_a_model_that_cannot_think_is_refused_before_anything_is_made(
    lm: LanguageModel, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Thoughts | ThoughtRows
) -> None:
    mute = replace(lm, tokenizer=words_only("<unk>", "Yes", "No"))
    monkeypatch.setattr(thought, "loaded", lambda on, store: mute)
    with pytest.raises(ChatError, match="has no token <think> and no </think>"):
        recipe.build(tmp_path, store)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        (rows(TERSE, 1.0), {"questions": ()}, "0 rows at 1 coefficients; give one or more of each"),
        (rows(TERSE, 1.0), {"coeffs": ()}, "6 rows at 0 coefficients; give one or more of each"),
        (rows(TERSE, 1.0), {"coeffs": (1.0, 2.0)}, "words have no strength"),
        (rows(TERSE, 1.0), {"new_tokens": 0}, "thoughts of up to 0 tokens; .*1 or more; for none at all, use Rows"),
        (thoughts(TERSE), {"questions": ()}, "0 rows at 1 coefficients; give one or more of each"),
        (thoughts(TERSE), {"coeff": 0.5}, "words have no strength"),
        (thoughts(TERSE), {"new_tokens": 0}, "thoughts of up to 0 tokens; expected 1 or more"),
    ],
    ids=str,
)
def test_what_cannot_be_scored_is_refused(recipe: Thoughts | ThoughtRows, changes: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(recipe, **changes)


@pytest.mark.parametrize("recipe", [thoughts(WEIGHTS), rows(WEIGHTS, 1.0)], ids=lambda one: type(one).__name__)
def test_an_intervention_of_another_model_is_refused(recipe: Thoughts | ThoughtRows) -> None:
    with pytest.raises(MismatchError, match="it was made for tiny-random-qwen3; make it anew"):
        replace(recipe, on=Placed(weights_of("qwen3-0.6b")))
