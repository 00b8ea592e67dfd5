"""Many prompts in one sequence, every shared prefix computed once.

A causal model's state at a token depends on the tokens before it and on nothing else. Prompts that begin alike
therefore share states up to where they part, so a set of prompts is a forest: one node per distinct prefix. A packed
sequence lists the nodes depth first; a node attends to its ancestors and itself, and its rotary position is its depth.
Scores read at a prompt's last node equal those of the prompt alone, whatever else is packed with it, and there is no
padding.

Attention is computed for blocks of consecutive nodes. Depth first, every ancestor that a node has before its block is
also an ancestor of the block's first node. So a block needs only its own keys and those of its first node's ancestors,
not those of the whole sequence (`Blocks`, `ws.engine.attention`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ws.errors import DataError

BUDGET = 4096
"""Nodes of a sequence: enough for 200 questions, and few enough that the outputs of all layers stay below 1 GB."""
BLOCK = 64
"""About how many nodes attend together: a longer block computes more masked scores, a shorter one copies more keys."""


@dataclass(frozen=True)
class Blocks:
    """Who sees whom, by blocks of equal length of consecutive nodes; the last block is filled up."""

    before: Int[Tensor, "blocks depth"]
    """Columns of the ancestors of each block's first node, first token first; filled up with column 0."""
    sees: Bool[Tensor, "blocks block depth_and_block"]
    """True where a node may attend; along the last axis first the ancestors in `before`, then the block's own nodes."""

    def mask(self, *, dtype: torch.dtype, device: torch.device | str) -> Float[Tensor, "blocks 1 block keys"]:
        """The additive attention mask: 0 where a node may look, the lowest finite number elsewhere."""
        lowest = torch.finfo(dtype).min
        return torch.zeros(self.sees.shape, dtype=dtype).masked_fill_(~self.sees, lowest)[:, None].to(device)


@dataclass(frozen=True)
class Packed:
    """A packed sequence, and where each prompt's tokens lie in it."""

    ids: Int[Tensor, " nodes"]
    positions: Int[Tensor, " nodes"]
    """Depth of each node in its tree, which is its rotary position."""
    parents: Int[Tensor, " nodes"]
    """Column of the token before each node, -1 before a first token."""
    paths: Mapping[int, Int[Tensor, "_"]]
    """For each prompt's place among all that were packed: the columns of its nodes, first token to last."""

    @property
    def prompts(self) -> Int[Tensor, " prompts"]:
        """The places, among all that were packed, of the prompts in this sequence."""
        return torch.tensor(list(self.paths))

    @property
    def last(self) -> Int[Tensor, " prompts"]:
        """The column of the last token of each of `prompts`."""
        return torch.stack([path[-1] for path in self.paths.values()])

    @cached_property
    def blocks(self) -> Blocks:
        """The blocks of about `BLOCK` nodes in which attention is computed."""
        return blocks_of(self.parents.numpy(), self.positions.numpy(), size=block_size(len(self.ids)))


def pack(prompts: Sequence[Sequence[int]], *, budget: int = BUDGET) -> tuple[Packed, ...]:
    """All prompts in sequences of at most `budget` nodes each (more only where one prompt alone is longer).

    Prompts are laid out in lexicographic order, which puts shared prefixes side by side; `paths` name them by their
    places in the order given. Raises: DataError if there is no prompt or one is empty.
    """
    if not prompts or min(len(prompt) for prompt in prompts) == 0:
        raise DataError(f"cannot pack {len(prompts)} prompts: need at least one, each with at least one token")
    trees: list[_Tree] = [_Tree()]
    for place in sorted(range(len(prompts)), key=lambda i: tuple(prompts[i])):
        if trees[-1].size and trees[-1].size + trees[-1].missing(prompts[place]) > budget:
            trees.append(_Tree())
        trees[-1].insert(place, prompts[place])
    return tuple(tree.packed() for tree in trees)


def block_size(nodes: int) -> int:
    """The block length near `BLOCK` that leaves the fewest empty columns behind the last node."""
    sizes = range(min(nodes, BLOCK * 3 // 4), min(nodes, BLOCK * 5 // 4) + 1)
    return min(sizes, key=lambda size: (-nodes % size, abs(size - BLOCK)))


def blocks_of(parents: Int[np.ndarray, " nodes"], depths: Int[np.ndarray, " nodes"], *, size: int) -> Blocks:
    """The blocks of `size` nodes of a forest that is listed depth first."""
    firsts = range(0, len(parents), size)
    deepest = int(depths[::size].max())
    before = np.zeros((len(firsts), deepest), dtype=np.int64)
    sees = np.zeros((len(firsts), size, deepest + size), dtype=bool)
    for block, first in enumerate(firsts):
        above = depths[first]
        node = parents[first]
        for depth in reversed(range(above)):
            before[block, depth] = node
            node = parents[node]
        rows = sees[block]
        rows[np.arange(size), deepest + np.arange(size)] = True
        for row, node in enumerate(range(first, min(first + size, len(parents)))):
            parent = parents[node]
            if parent >= first:
                rows[row] |= rows[parent - first]
            elif parent >= 0:
                rows[row, : depths[parent] + 1] = True
    return Blocks(torch.from_numpy(before), torch.from_numpy(sees))


class _Tree:
    """A growing forest of prefixes; nodes are numbered in order of insertion."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self.children: dict[tuple[int, int], int] = {}
        self.paths: dict[int, list[int]] = {}

    @property
    def size(self) -> int:
        return len(self.tokens)

    def missing(self, prompt: Sequence[int]) -> int:
        """How many nodes inserting `prompt` would add."""
        node = -1
        for depth, token in enumerate(prompt):
            if (node, token) not in self.children:
                return len(prompt) - depth
            node = self.children[node, token]
        return 0

    def insert(self, place: int, prompt: Sequence[int]) -> None:
        """Add the nodes of `prompt` that are missing, and remember its path."""
        path = [-1]
        for depth, token in enumerate(prompt):
            edge = (path[-1], token)
            if edge not in self.children:
                self.children[edge] = self.size
                self.tokens.append(token)
                self.parents.append(path[-1])
                self.depths.append(depth)
            path.append(self.children[edge])
        self.paths[place] = path[1:]

    def packed(self) -> Packed:
        ids, depths, parents = (torch.tensor(column) for column in (self.tokens, self.depths, self.parents))
        return Packed(ids, depths, parents, {place: torch.tensor(path) for place, path in self.paths.items()})
