"""Activation directions come from the adapters' training messages, read where honest and dishonest answers differ."""

import pytest

from ws.behaviors.pool import read_pool
from ws.contest.vectors import ALL_BLOCKS, METHODS, block_choices, sides, vectors_by
from ws.errors import UnknownNameError
from ws.models.language import layer_range
from ws.study.subject import Subject

HONEST = Subject("smollm2-135m", behavior_name="honesty")


def test_an_unknown_way_to_find_a_direction_names_the_known() -> None:
    with pytest.raises(UnknownNameError, match="'lda'; known: mean-difference, pca, persona-vector"):
        vectors_by(HONEST, "lda", seed=0)


def test_persona_vectors_alone_have_a_seed() -> None:
    same = {method: vectors_by(HONEST, method, seed=0) == vectors_by(HONEST, method, seed=1) for method in METHODS}
    assert same == {"pca": True, "mean-difference": True, "persona-vector": False}


def test_directions_are_read_behind_the_suffixes_of_what_adapters_are_trained_on() -> None:
    vectors = vectors_by(HONEST, "mean-difference", seed=0)
    suffixes = {entry.user_msg: entry.suffix for entry in reversed(read_pool())}
    for states in (vectors.high, vectors.low):
        assert {prompt.user for prompt in states.prompts} == {text for _, text in HONEST.pairs(0).questions}
        assert all(prompt.prefill == suffixes[prompt.user] for prompt in states.prompts)
    assert {prompt.system for prompt in vectors.high.prompts} == set(HONEST.behavior.positive)
    assert {prompt.system for prompt in vectors.low.prompts} == set(HONEST.behavior.negative)


def test_a_behavior_without_a_pool_is_read_where_answers_begin() -> None:
    high, low = sides(Subject("smollm2-135m"))
    assert {prompt.prefill for prompt in (*high, *low)} == {""}


@pytest.mark.parametrize("depth", [6, 28, 30])
def test_blocks_to_choose_from_are_adapted_ones(depth: int) -> None:
    choices = block_choices(depth)
    assert choices.pop(ALL_BLOCKS) == tuple(layer_range(depth))
    assert all(blocks[0] in layer_range(depth) and name == f"block {blocks[0]}" for name, blocks in choices.items())
    assert len(choices) >= 2
