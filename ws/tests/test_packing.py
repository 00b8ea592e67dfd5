"""A packed sequence holds each distinct prefix once, and a node sees only what came before it in its prompts."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ws.engine.packing import BLOCK, Packed, block_size, blocks_of, pack
from ws.errors import DataError

Prompts = Sequence[Sequence[int]]

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Four tokens, so that random prompts often begin alike, contain each other or are equal.
PROMPT = st.lists(st.integers(0, 3), min_size=1, max_size=7).map(tuple)
PROMPTS = st.lists(PROMPT, min_size=1, max_size=12)
BUDGETS = st.integers(1, 24)

FORKED = ((7, 8, 9), (7, 8), (7, 8, 5, 6), (3,), (7, 8, 9))
"""A prompt inside another, a fork, a stranger and a twin."""


def prefixes(packed: Packed, prompts: Prompts) -> list[set[tuple[int, ...]]]:
    """For each column, the prefixes whose last token the prompts say is there."""
    found: list[set[tuple[int, ...]]] = [set() for _ in packed.ids]
    for place, path in packed.paths.items():
        for depth, column in enumerate(path.tolist()):
            found[column].add(tuple(prompts[place][: depth + 1]))
    return found


def only(packed: Packed, prompts: Prompts) -> list[tuple[int, ...]]:
    """The one prefix of each column."""
    return [prefix for [prefix] in prefixes(packed, prompts)]


@FEW
@given(PROMPTS, BUDGETS)
def test_the_paths_spell_the_prompts(prompts: Prompts, budget: int) -> None:
    spelled = {
        place: tuple(packed.ids[path].tolist())
        for packed in pack(prompts, budget=budget)
        for place, path in packed.paths.items()
    }
    assert spelled == dict(enumerate(prompts))


@FEW
@given(PROMPTS, BUDGETS)
def test_each_prompt_is_in_one_sequence(prompts: Prompts, budget: int) -> None:
    places = [place for packed in pack(prompts, budget=budget) for place in packed.prompts.tolist()]
    assert sorted(places) == list(range(len(prompts)))


@FEW
@given(PROMPTS, BUDGETS)
def test_each_distinct_prefix_is_one_node(prompts: Prompts, budget: int) -> None:
    for packed in pack(prompts, budget=budget):
        columns = only(packed, prompts)
        assert len(set(columns)) == len(columns)


@FEW
@given(PROMPTS, BUDGETS)
def test_a_position_is_the_depth_and_a_parent_the_token_before(prompts: Prompts, budget: int) -> None:
    for packed in pack(prompts, budget=budget):
        columns = only(packed, prompts)
        assert packed.positions.tolist() == [len(prefix) - 1 for prefix in columns]
        assert packed.parents.tolist() == [columns.index(p[:-1]) if len(p) > 1 else -1 for p in columns]


@FEW
@given(PROMPTS, st.integers(1, 90))
def test_a_node_sees_its_ancestors_and_itself_in_blocks_of_any_size(prompts: Prompts, size: int) -> None:
    [packed] = pack(prompts, budget=84)
    columns, depth = only(packed, prompts), 0
    blocks = blocks_of(packed.parents.numpy(), packed.positions.numpy(), size=size)
    assert blocks.sees.shape == (-(-len(columns) // size), size, blocks.before.shape[1] + size)
    depth = blocks.before.shape[1]
    for node, prefix in enumerate(columns):
        block, row = divmod(node, size)
        keys = [*blocks.before[block].tolist(), *range(block * size, (block + 1) * size)]
        seen = [key for key, sees in zip(keys, blocks.sees[block, row].tolist(), strict=True) if sees]
        assert sorted(seen) == [i for i, other in enumerate(columns) if prefix[: len(other)] == other]
    assert (blocks.sees[-1, (len(columns) - 1) % size + 1 :].sum(dim=-1) == 1).all()
    assert depth == max(len(columns[first]) - 1 for first in range(0, len(columns), size))


def test_blocks_are_about_as_long_as_they_should_be_and_fill_up_little() -> None:
    for nodes in (1, 5, 63, 64, 65, 309, 1000, 5702):
        size = block_size(nodes)
        assert min(nodes, BLOCK * 3 // 4) <= size <= min(nodes, BLOCK * 5 // 4)
        assert -nodes % size <= min(-nodes % BLOCK, 3) if nodes >= BLOCK else size == nodes


@FEW
@given(PROMPTS, BUDGETS)
def test_a_sequence_exceeds_the_budget_only_for_one_prompt_alone(prompts: Prompts, budget: int) -> None:
    for packed in pack(prompts, budget=budget):
        lengths = [len(path) for path in packed.paths.values()]
        assert len(packed.ids) <= budget or [len(packed.ids)] == lengths


@pytest.mark.parametrize(
    ("budget", "together"),
    [
        (6, [[3, 1, 2, 0, 4]]),
        (5, [[3, 1, 2], [0, 4]]),
        (4, [[3, 1], [2], [0, 4]]),
        (1, [[3], [1], [2], [0], [4]]),
    ],
)
def test_sequences_are_filled_in_lexicographic_order(budget: int, together: list[list[int]]) -> None:
    assert [packed.prompts.tolist() for packed in pack(FORKED, budget=budget)] == together


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_mask_is_zero_where_a_node_may_look(dtype: torch.dtype) -> None:
    [packed] = pack(FORKED)
    mask = packed.blocks.mask(dtype=dtype, device="cpu")[:, 0]
    assert mask.dtype == dtype
    assert torch.equal(mask == 0, packed.blocks.sees)
    assert torch.equal(mask == torch.finfo(dtype).min, ~packed.blocks.sees)


@pytest.mark.parametrize("prompts", [[], [[]], [[1, 2], []]], ids=["none", "one-empty", "one-of-two-empty"])
def test_nothing_to_pack_is_an_error(prompts: Prompts) -> None:
    with pytest.raises(DataError, match=rf"cannot pack {len(prompts)} prompts: need at least one, each with"):
        pack(prompts)
