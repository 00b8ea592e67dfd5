"""Who takes part in the contest, on which rows: balanced, held out from every choice, the same for all."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ws.behaviors.pool import read_pool
from ws.behaviors.prompts import prompts_for
from ws.contest import contest
from ws.contest.contest import A_SIDE, HUB_SET, RANKED, Contest, a_side, unseen
from ws.contest.rivals import RandomVectors
from ws.contest.vectors import ALL_BLOCKS, METHODS, block_choices
from ws.dilemmas import Published, of_split, read_own
from ws.errors import DataError, UnknownNameError
from ws.steering.interventions import Nothing, SystemPrompt
from ws.study.subject import Subject

CONTEST = Contest(Subject("smollm2-135m", behavior_name="honesty"))
TINY = Contest(Subject("tiny-random-qwen3", behavior_name="honesty"))


@pytest.mark.parametrize("contest", [CONTEST, TINY], ids=["real", "tiny"])
def test_held_out_rows_cancel_a_preference_for_yes_no_or_the_first_action(contest: Contest) -> None:
    signed = [question for question in contest.questions if question.sign]
    first = Counter(question.sign for question in signed if question.phrasing.endswith("first"))
    assert sum(question.sign for question in signed) == 0
    assert first[+1] == first[-1] == len(signed) / 4
    assert set(Counter(question.cluster for question in signed).values()) == {2}


def test_every_topic_of_dilemmas_is_asked_about_alike() -> None:
    topics = Counter(question.topic for question in CONTEST.questions if question.sign)
    assert set(topics) == {dilemma.topic for dilemma in read_own()}
    assert set(topics.values()) == {4 * A_SIDE}


def test_what_is_chosen_on_is_never_judged_on() -> None:
    held, chosen = (
        {question.cluster for question in rows} for rows in (CONTEST.questions, CONTEST.validation_questions)
    )
    assert chosen
    assert not held & chosen
    assert sum(question.sign for question in CONTEST.validation_questions) == 0
    places = Counter(question.phrasing.split("-")[1] for question in CONTEST.validation_questions if question.sign > 0)
    assert places["first"] == places["second"]


def test_a_side_takes_the_first_of_each_topic_and_side() -> None:
    held = of_split(read_own(), "heldout")
    kept = a_side(held, 1)
    assert Counter((dilemma.topic, dilemma.honest) for dilemma in kept) == Counter(
        {(dilemma.topic, dilemma.honest): 1 for dilemma in held}
    )
    assert [dilemma for dilemma in held if dilemma in kept] == list(kept)
    assert a_side(held, len(held)) == held


def test_axes_are_five_and_balanced() -> None:
    signs = Counter((question.topic, question.sign) for question in CONTEST.axis_questions)
    assert len(signs) == 10
    assert set(signs.values()) == {22}


def test_answers_are_read_of_messages_of_every_category_that_are_not_trained_on() -> None:
    categories = {entry.user_msg: entry.cat for entry in read_pool()}
    assert Counter(categories[message] for message in CONTEST.messages) == Counter(set(categories.values()))
    assert not set(CONTEST.messages) & {text for _, text in CONTEST.trained_on}
    every = replace(CONTEST, subject=replace(CONTEST.subject, messages=120))
    assert not set(CONTEST.messages) & {text for _, text in every.trained_on}


def test_a_pool_without_another_message_is_refused() -> None:
    with pytest.raises(DataError, match=r"all messages of .* are trained on, and none is left"):
        unseen(None, frozenset(entry.user_msg for entry in read_pool()))


def test_every_arm_is_asked_the_same_questions() -> None:
    steerers = [CONTEST.weights(family, seed=0) for family in RANKED]
    prompts = [CONTEST.prompt(prompt.name) for prompt in prompts_for("honesty") if prompt.text]
    blocks = block_choices(30)
    directions = [CONTEST.activations(method, blocks=blocks[ALL_BLOCKS], seed=0) for method in METHODS]
    asked = {CONTEST.rows(one, coeffs=(1.0,)).questions for one in (*steerers, *prompts, *directions)}
    assert asked == {CONTEST.questions} == {CONTEST.rows(Nothing(), coeffs=(0.0,)).questions}


def test_dw_of_the_other_behavior_differs_in_its_pairs() -> None:
    honest, other = (CONTEST.weights("lora", seed=0, trained=name) for name in ("honesty", "sycophancy"))
    assert other.direction == Subject("smollm2-135m").direction("lora", seed=0)
    assert honest.direction.plus.pairs.positive != other.direction.plus.pairs.positive


def test_a_prompt_has_the_words_of_its_name() -> None:
    texts = {prompt.name: prompt.text for prompt in prompts_for("honesty")}
    assert CONTEST.prompt("honest-engineer") == SystemPrompt(texts["honest-engineer"])
    with pytest.raises(UnknownNameError, match="unknown prompt 'none'; known: engineered-dishonest"):
        CONTEST.prompt("none")


def test_a_random_direction_is_like_the_method_s_in_the_same_blocks() -> None:
    real, random = (CONTEST.activations("pca", blocks=(3,), seed=0, random=choice) for choice in (False, True))
    assert random == replace(real, vectors=RandomVectors(real.vectors, 0))


def test_a_pool_of_one_s_own_reaches_every_part(tmp_path: Path) -> None:
    file = tmp_path / "pool.json"
    lines = [f'{{"cat": "fact", "suffix": "It is", "user_msg": "Question {n}?"}}' for n in range(30)]
    file.write_text(f"[{', '.join(lines)}]")
    mine = Contest(replace(CONTEST.subject, pool=file))
    assert mine.messages == ("Question 29?",)
    assert [text for _, text in mine.trained_on] == [f"Question {n}?" for n in range(22)]
    assert {prompt.user for prompt in mine.vectors("pca", seed=0).high.prompts} == {text for _, text in mine.trained_on}


def test_models_for_a_gpu_are_asked_about_the_published_dilemmas(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[tuple[str, str]] = []

    def read_hub(repo: str, *, revision: str) -> Published:
        fetched.append((repo, revision))
        return Published(read_own()[:3], ())

    monkeypatch.setattr(contest, "read_hub", read_hub)
    contest.asked.cache_clear()
    signed = [question for question in contest.asked("qwen3-0.6b") if question.sign]
    contest.asked.cache_clear()
    assert fetched == [HUB_SET]
    assert [question.cluster for question in signed] == [dilemma.id for dilemma in read_own()[:3] for _ in "ab"]
    assert all("Possible action: " in question.text for question in signed)
