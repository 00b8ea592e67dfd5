"""Pairs are reproducible by seed, keep all answers that can be trained on, and report what was dropped."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig

from ws.errors import DataError
from ws.models import tiny
from ws.models.chat import turn_ends
from ws.models.language import LanguageModel, Placed
from ws.models.table import weights_of
from ws.tests.test_continuation import padded
from ws.tests.test_greedy import likeliest, prompts_of
from ws.training import pairs as generate
from ws.training.pairs import CUT_OFF, Pairs, answered, filtered, is_repetitive, sampled

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
STUCK = "no " * 9
QUESTIONS = (("q9", "Is water dry?"), ("q1", "Do stones float on the sea at night?"))
RECIPE = Pairs(
    Placed(weights_of("tiny-random-qwen3")),
    QUESTIONS,
    positive=("You agree.", "You flatter."),
    negative=("You object.", "You criticise everything."),
    seed=0,
    max_new_tokens=6,
)
ADVICE = {
    "top_k": 1,
    "top_p": 0.1,
    "min_p": 0.9,
    "typical_p": 0.1,
    "epsilon_cutoff": 0.9,
    "temperature": 0.1,
    "repetition_penalty": 50.0,
    "no_repeat_ngram_size": 1,
    "min_new_tokens": 6,
    "suppress_tokens": list(range(3, 40)),
    "bad_words_ids": [[token] for token in range(3, 40)],
    "forced_eos_token_id": 5,
    "num_beams": 3,
    "use_cache": False,
}
"""What a `generation_config.json` may ask for, each strong enough to change what is said."""
GREEDY = replace(RECIPE, top_p=1e-6)
"""Only the likeliest token is left to sample from, so an answer can be computed without sampling."""


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    tokenizer = tiny.tiny_tokenizer(["You are an honest person.", *(text for _, text in QUESTIONS)])
    model = tiny.tiny_model(tokenizer, seed=0).requires_grad_(False)
    return LanguageModel("tiny", model, tokenizer, weights_of("tiny-random-qwen3"))


def table(pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["plus", "minus"])


def good(n: int) -> list[tuple[str, str]]:
    return [(f"yes {i}", f"no {i}") for i in range(n)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positive": ("You agree.",)}, "1 positive with 2 negative personas over 2 questions"),
        ({"positive": (), "negative": ()}, "0 positive with 0 negative"),
        ({"questions": ()}, "2 positive with 2 negative personas over 0 questions"),
    ],
    ids=["unequal", "no-personas", "no-questions"],
)
def test_personas_that_do_not_pair_are_refused(changes: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(RECIPE, **changes)


# Filters


def test_a_flawed_pair_is_dropped_with_its_reason() -> None:
    flawed = {
        "empty": [("", "b"), ("a", ""), ("a", " \n"), ("", "")],
        "thought": [("<think>\nWell", "b"), ("a", "Well</think>b"), ("a", "<|channel|>analysis<|message|>Well")],
        "identical": [("same", "same"), ("same ", "\nsame"), (STUCK, STUCK)],
        "repeated token": [(STUCK, "b"), ("a", STUCK)],
    }
    for reason, pair in ((reason, pair) for reason, pairs in flawed.items() for pair in pairs):
        kept, report = filtered(table([*good(2), pair, *good(1)]))
        assert list(kept.itertuples(index=False, name=None)) == [*good(2), *good(1)]
        assert report == {"pairs": 4, "kept": 3, "share_filtered": 0.25, "filtered": {reason: 1}}


ANSWER = st.sampled_from(["", "a", "b", "c", STUCK])


@FEW
@given(st.lists(st.tuples(ANSWER, ANSWER), max_size=12))
def test_a_pair_is_kept_iff_it_has_no_flaw(pairs: list[tuple[str, str]]) -> None:
    kept, report = filtered(table([*pairs, *good(4)]))
    usable = [(a, b) for a, b in pairs if a in "abc" and b in "abc" and a and b and a != b]
    assert list(kept.itertuples(index=False, name=None)) == [*usable, *good(4)]
    assert report["kept"] == len(kept)
    assert report["pairs"] == len(kept) + sum(report["filtered"].values()) == len(pairs) + 4
    assert report["share_filtered"] == pytest.approx((len(pairs) - len(usable)) / (len(pairs) + 4))


def test_a_quarter_of_usable_pairs_is_enough_and_less_is_an_error() -> None:
    def mixed(usable: int, total: int) -> pd.DataFrame:
        return table([*good(usable), *[("a", "a")] * (total - usable)])

    for usable, total in ((1, 4), (2, 8), (2, 7), (1, 1)):
        assert len(filtered(mixed(usable, total))[0]) == usable
    for usable, total in ((0, 1), (1, 5), (24, 97)):
        dropped = rf"\(dropped: {{'identical': {total - usable}}}\)"
        with pytest.raises(DataError, match=rf"only {usable} of {total} pairs are usable {dropped}; the personas"):
            filtered(mixed(usable, total))


def test_a_model_that_thinks_all_the_same_is_told_apart() -> None:
    with pytest.raises(DataError, match=r"only 1 of 5 .*'thought': 4}\); the model thinks before it answers"):
        filtered(table([*good(1), *[("<think>\nWell", "b")] * 4]))


def test_an_answer_is_stuck_iff_over_half_of_its_words_repeat() -> None:
    stuck = "no " * 8, "no\n\nno\t" * 4, "a a a b b b c c"
    others = "", "no " * 7, "yes no " * 20, "a a b b c c d d", "a a a b b b c d", "No no " * 8
    assert [text for text in stuck if not is_repetitive(text)] == []
    assert [text for text in others if is_repetitive(text)] == []


@FEW
@given(st.lists(st.sampled_from("ab"), max_size=16))
def test_stuck_as_counted_word_by_word(words: list[str]) -> None:
    repeats = 0
    for place in range(1, len(words)):
        repeats += words[place] == words[place - 1]
    assert is_repetitive(" ".join(words)) == (len(words) > 7 and 2 * repeats > len(words))


# Answers


def without_end(lm: LanguageModel, prompts: Sequence[Sequence[int]], recipe: Pairs) -> list[list[int]]:
    """Stands in for sampling: an answer that repeats the words of its prompt."""
    return [[i for i in prompt if i not in lm.tokenizer.all_special_ids] for prompt in prompts]


def test_an_answer_belongs_to_its_question_persona_and_sign(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "sampled", without_end)
    rows = answered(lm, RECIPE)
    expected = [
        {"question_id": id, "question": text, "persona": i, "plus_end": CUT_OFF, "minus_end": CUT_OFF}
        | {sign: f"system\n{persona}\nuser\n{text}\nassistant" for sign, persona in (("plus", p), ("minus", m))}
        for id, text in QUESTIONS
        for i, (p, m) in enumerate(zip(RECIPE.positive, RECIPE.negative, strict=True))
    ]
    assert rows.to_dict("records") == expected


@pytest.mark.parametrize(
    ("spoken", "text", "end"),
    [
        ("Yes<|im_end|>", "Yes", 2),
        ("Yes", "Yes", CUT_OFF),
        ("<|im_end|>", "", 2),
        (" Yes\n<|im_end|>No<|endoftext|>", "Yes", 2),
        ("Yes<|endoftext|>No<|im_end|>", "Yes", 0),
        ("Yes<|im_start|>", "Yes", CUT_OFF),
        ("<think>\nYes<|im_end|>", "<think>\nYes", 2),
        ("Yes</think>", "Yes</think>", CUT_OFF),
    ],
)
def test_an_answer_ends_at_the_first_end_of_turn_which_is_kept(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch, spoken: str, text: str, end: int
) -> None:
    ids = lm.tokenizer.encode(spoken)
    monkeypatch.setattr(generate, "turn_ends", lambda lm: (0, 2))
    monkeypatch.setattr(generate, "sampled", lambda lm, prompts, recipe: [ids for _ in prompts])
    rows = answered(lm, RECIPE)
    said = rows[["plus", "plus_end", "minus", "minus_end"]].drop_duplicates()
    assert said.to_dict("records") == [{"plus": text, "plus_end": end, "minus": text, "minus_end": end}]


# Sampling


def test_each_prompt_is_answered_as_if_alone_and_in_the_order_given(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "BATCH", 3)
    prompts, stop = prompts_of(lm), turn_ends(lm)[0]
    assert sampled(lm, prompts, GREEDY) == [likeliest(lm, p, stop=stop, steps=6) for p in prompts]


def test_an_answer_stops_at_its_end_of_turn_and_the_others_go_on(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = prompts_of(lm)
    stop = likeliest(lm, prompts[0], stop=-1, steps=2)[-1]
    monkeypatch.setattr(generate, "turn_ends", lambda lm: (stop,))
    answers = sampled(lm, prompts, GREEDY)
    assert answers == [likeliest(lm, p, stop=stop, steps=6) for p in prompts]
    assert min(map(len, answers)) <= 2 < max(map(len, answers)) == 6


def by_the_library(lm: LanguageModel, prompts: list[list[int]], recipe: Pairs, *, batch: int) -> list[list[int]]:
    """What transformers' own top-p sampling draws of padded batches of like length."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    answers: dict[int, list[int]] = {}
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        for batched in (order[i : i + batch] for i in range(0, len(order), batch)):
            said = padded(
                lm,
                [prompts[i] for i in batched],
                stop=turn_ends(lm)[0],
                new_tokens=recipe.max_new_tokens,
                do_sample=True,
                temperature=recipe.temperature,
                top_p=recipe.top_p,
                top_k=0,
            )
            answers.update(zip(batched, said, strict=True))
    return [answers[i] for i in range(len(prompts))]


@pytest.mark.parametrize(
    ("seed", "batch", "changes"),
    [
        (0, 100, {}),
        (1, 3, {}),
        (0, 3, {"temperature": 0.3}),
        (1, 100, {"temperature": 1.0, "top_p": 0.5}),
        (0, 3, {"top_p": 1.0}),
    ],
    ids=str,
)
def test_a_seed_draws_what_the_librarys_own_sampling_draws(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch, seed: int, batch: int, changes: dict[str, float]
) -> None:
    monkeypatch.setattr(generate, "BATCH", batch)
    prompts, recipe = prompts_of(lm), replace(RECIPE, seed=seed, **changes)
    assert sampled(lm, prompts, recipe) == by_the_library(lm, prompts, recipe, batch=batch)


def test_what_a_model_says_of_sampling_is_not_heard(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sampled(lm, prompts_of(lm), RECIPE)
    for name, value in ADVICE.items():
        monkeypatch.setattr(lm.model, "generation_config", advised := GenerationConfig(**{name: value}))
        assert sampled(lm, prompts_of(lm), RECIPE) == expected, name
        assert lm.model.generation_config is advised


def test_the_same_seed_gives_the_same_pairs_whatever_was_drawn_before(lm: LanguageModel) -> None:
    first = answered(lm, RECIPE)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    pd.testing.assert_frame_equal(answered(lm, RECIPE), first)
    assert torch.equal(torch.get_rng_state(), before)
