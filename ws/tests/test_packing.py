"""A packed row holds each distinct prefix once, and a node sees only what came before it in its prompts."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ws.errors import DataError
from ws.packing import Packed, pack, stacked

Prompts = Sequence[Sequence[int]]

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Four tokens, so that random prompts often begin alike, contain each other or are equal.
PROMPT = st.lists(st.integers(0, 3), min_size=1, max_size=7).map(tuple)
PROMPTS = st.lists(PROMPT, min_size=1, max_size=12)
SETS = st.lists(st.lists(PROMPT, min_size=1, max_size=5), min_size=1, max_size=4)
BUDGETS = st.integers(1, 24)

FORKED = ((7, 8, 9), (7, 8), (7, 8, 5, 6), (3,), (7, 8, 9))
"""A prompt inside another, a fork, a stranger and a twin."""


def spelled(packed: Packed) -> list[tuple[int, ...]]:
    return [tuple(packed.ids[row, path].tolist()) for row, path in zip(packed.rows, packed.paths, strict=True)]


def nodes(packed: Packed, prompts: Prompts) -> list[set[tuple[tuple[int, ...], int]]]:
    """For each row, all (prefix, column) that its prompts walk through."""
    rows: list[set[tuple[tuple[int, ...], int]]] = [set() for _ in range(len(packed.ids))]
    for row, path, prompt in zip(packed.rows.tolist(), packed.paths, prompts, strict=True):
        rows[row] |= {(tuple(prompt[: i + 1]), column) for i, column in enumerate(path.tolist())}
    return rows


def seen(packed: Packed, prompts: Prompts) -> torch.Tensor:
    """Who sees whom by comparing prefixes; a column that no prompt walks through sees itself."""
    expected = torch.eye(packed.ids.shape[1], dtype=torch.bool).repeat(len(packed.ids), 1, 1)
    for row, walked in enumerate(nodes(packed, prompts)):
        for prefix, column in walked:
            for other, there in walked:
                expected[row, column, there] = prefix[: len(other)] == other
    return expected


@FEW
@given(PROMPTS, BUDGETS)
def test_the_paths_spell_the_prompts_in_the_order_given(prompts: Prompts, budget: int) -> None:
    assert spelled(pack(prompts, budget=budget)) == prompts


@FEW
@given(PROMPTS, BUDGETS)
def test_each_distinct_prefix_is_one_node_of_its_row(prompts: Prompts, budget: int) -> None:
    packed = pack(prompts, budget=budget)
    sizes = [(len({prefix for prefix, _ in row}), len({c for _, c in row}), len(row)) for row in nodes(packed, prompts)]
    assert all(prefixes == columns == pairs for prefixes, columns, pairs in sizes)


@FEW
@given(PROMPTS)
def test_with_room_for_all_there_is_one_row_without_padding(prompts: Prompts) -> None:
    prefixes = {prompt[:n] for prompt in prompts for n in range(1, len(prompt) + 1)}
    assert pack(prompts, budget=84).ids.shape == (1, len(prefixes))


@FEW
@given(PROMPTS, BUDGETS)
def test_a_node_sees_its_ancestors_and_itself(prompts: Prompts, budget: int) -> None:
    packed = pack(prompts, budget=budget)
    assert torch.equal(packed.sees, seen(packed, prompts))


@FEW
@given(PROMPTS, BUDGETS)
def test_a_position_is_the_depth_in_the_prompt(prompts: Prompts, budget: int) -> None:
    packed = pack(prompts, budget=budget)
    read = [packed.positions[row, path].tolist() for row, path in zip(packed.rows, packed.paths, strict=True)]
    assert read == [list(range(len(prompt))) for prompt in prompts]


@FEW
@given(PROMPTS, BUDGETS)
def test_a_row_exceeds_the_budget_only_for_one_prompt_alone(prompts: Prompts, budget: int) -> None:
    packed = pack(prompts, budget=budget)
    lengths = [
        [len(p) for p, at in zip(prompts, packed.rows, strict=True) if at == row] for row in range(len(packed.ids))
    ]
    sizes = [len(row) for row in nodes(packed, prompts)]
    assert all(size <= budget or [size] == held for size, held in zip(sizes, lengths, strict=True))


@FEW
@given(PROMPTS, BUDGETS)
def test_no_row_is_empty_and_the_widest_has_no_padding(prompts: Prompts, budget: int) -> None:
    packed = pack(prompts, budget=budget)
    sizes = [len(row) for row in nodes(packed, prompts)]
    assert min(sizes) > 0
    assert max(sizes) == packed.ids.shape[1]


@pytest.mark.parametrize(
    ("budget", "rows"),
    [(6, [0, 0, 0, 0, 0]), (5, [1, 0, 0, 0, 1]), (4, [2, 0, 1, 0, 2]), (1, [3, 1, 2, 0, 4])],
)
def test_rows_are_filled_in_lexicographic_order(budget: int, rows: list[int]) -> None:
    assert pack(FORKED, budget=budget).rows.tolist() == rows


def test_last_is_where_each_prompt_ends() -> None:
    packed = pack(FORKED)
    assert packed.ids[packed.rows, packed.last].tolist() == [prompt[-1] for prompt in FORKED]
    assert packed.positions[packed.rows, packed.last].tolist() == [len(prompt) - 1 for prompt in FORKED]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_mask_is_zero_where_a_node_may_look(dtype: torch.dtype) -> None:
    packed = pack(FORKED, budget=4)
    mask = packed.mask(dtype=dtype, device="cpu")[:, 0]
    assert mask.dtype == dtype
    assert torch.equal(mask == 0, packed.sees)
    assert torch.equal(mask == torch.finfo(dtype).min, ~packed.sees)


@FEW
@given(SETS)
def test_stacked_rows_keep_their_prompts_and_their_sight(sets: list[Prompts]) -> None:
    batch, prompts = stacked([pack(prompts) for prompts in sets]), [p for prompts in sets for p in prompts]
    assert spelled(batch) == prompts
    assert batch.rows.tolist() == [row for row, prompts in enumerate(sets) for _ in prompts]
    assert torch.equal(batch.sees, seen(batch, prompts))


@FEW
@given(SETS)
def test_stacking_keeps_the_positions_and_adds_nothing_to_the_widest(sets: list[Prompts]) -> None:
    rows = [pack(prompts) for prompts in sets]
    batch = stacked(rows)
    read = [batch.positions[row, : one.ids.shape[1]].tolist() for row, one in enumerate(rows)]
    assert read == [one.positions[0].tolist() for one in rows]
    assert batch.ids.shape == (len(rows), max(one.ids.shape[1] for one in rows))


@pytest.mark.parametrize("prompts", [[], [[]], [[1, 2], []]], ids=["none", "one-empty", "one-of-two-empty"])
def test_nothing_to_pack_is_an_error(prompts: Prompts) -> None:
    with pytest.raises(DataError, match=rf"cannot pack {len(prompts)} prompts: need at least one, each with"):
        pack(prompts)
