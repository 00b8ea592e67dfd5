"""Many prompts in one row, every shared prefix computed once.

A causal model's state at a token depends on the tokens before it and on nothing else. Prompts that begin alike
therefore share states up to where they part, so a set of prompts is a forest: one node per distinct prefix. A packed
row lists the nodes of a tree in depth-first order; a node attends to its ancestors and itself, and its rotary position
is its depth. Scores read at a prompt's last node equal those of the prompt alone, whatever else is in the row, and no
padding is ever read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ws.errors import DataError


@dataclass(frozen=True)
class Packed:
    """A batch of packed rows and where each prompt's tokens lie in it."""

    ids: Int[Tensor, "batch seq"]
    positions: Int[Tensor, "batch seq"]
    """Depth of each node in its tree, which is its rotary position."""
    sees: Bool[Tensor, "batch seq seq"]
    """True where the query node (second axis) may attend to the key node (third axis)."""
    rows: Int[Tensor, " prompts"]
    """The row that holds each prompt, in the order the prompts were given."""
    paths: tuple[Int[Tensor, "_"], ...]
    """Each prompt's nodes, first token to last, as columns of its row."""

    @property
    def last(self) -> Int[Tensor, " prompts"]:
        """The column of each prompt's last real token."""
        return torch.stack([path[-1] for path in self.paths])

    def row(self, row: int) -> "Packed":
        """One row of the batch, as a batch; `rows` and `paths` stay those of all prompts."""
        one = slice(row, row + 1)
        return replace(self, ids=self.ids[one], positions=self.positions[one], sees=self.sees[one])

    def mask(self, *, dtype: torch.dtype, device: torch.device | str) -> Float[Tensor, "batch 1 seq seq"]:
        """The additive attention mask: 0 where a node may look, the lowest finite number elsewhere."""
        lowest = torch.finfo(dtype).min
        blocked = torch.zeros(self.sees.shape, dtype=dtype).masked_fill_(~self.sees, lowest)
        return blocked[:, None].to(device)

    def to(self, device: torch.device | str) -> "Packed":
        """The same batch with its index tensors on `device`."""
        return Packed(
            ids=self.ids.to(device),
            positions=self.positions.to(device),
            sees=self.sees,
            rows=self.rows.to(device),
            paths=tuple(path.to(device) for path in self.paths),
        )


def pack(prompts: Sequence[Sequence[int]], *, budget: int = 384) -> Packed:
    """All prompts in rows of at most `budget` nodes each (more only where one prompt alone is longer).

    Prompts are laid out in lexicographic order, which puts shared prefixes side by side; `rows` and `paths` keep the
    order given. Raises: DataError if there is no prompt or one is empty.
    """
    if not prompts or min(len(prompt) for prompt in prompts) == 0:
        raise DataError(f"cannot pack {len(prompts)} prompts: need at least one, each with at least one token")
    trees: list[_Tree] = [_Tree()]
    homes: dict[int, tuple[int, list[int]]] = {}
    for index in sorted(range(len(prompts)), key=lambda i: tuple(prompts[i])):
        if trees[-1].size and trees[-1].size + trees[-1].missing(prompts[index]) > budget:
            trees.append(_Tree())
        homes[index] = (len(trees) - 1, trees[-1].insert(prompts[index]))
    width = max(tree.size for tree in trees)
    ids, positions, sees = (np.stack(parts) for parts in zip(*(tree.arrays(width) for tree in trees), strict=True))
    return Packed(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        sees=torch.from_numpy(sees),
        rows=torch.tensor([homes[i][0] for i in range(len(prompts))]),
        paths=tuple(torch.tensor(homes[i][1]) for i in range(len(prompts))),
    )


def stacked(batches: Sequence[Packed]) -> Packed:
    """Batches of one row each as one batch, padded on the right by nodes that see only themselves."""
    width = max(one.ids.shape[1] for one in batches)
    sees = torch.eye(width, dtype=torch.bool).repeat(len(batches), 1, 1)
    for row, one in enumerate(batches):
        n = one.ids.shape[1]
        sees[row, :n, :n] = one.sees[0]
    return Packed(
        ids=torch.cat([_widened(one.ids, width) for one in batches]),
        positions=torch.cat([_widened(one.positions, width) for one in batches]),
        sees=sees,
        rows=torch.cat([torch.full((len(one.paths),), row) for row, one in enumerate(batches)]),
        paths=tuple(path for one in batches for path in one.paths),
    )


def _widened(rows: Int[Tensor, "batch seq"], width: int) -> Int[Tensor, "batch width"]:
    return nn.functional.pad(rows, (0, width - rows.shape[1]))


class _Tree:
    """A growing prefix tree; nodes are numbered in order of insertion."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.children: dict[tuple[int, int], int] = {}

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

    def insert(self, prompt: Sequence[int]) -> list[int]:
        """The nodes of `prompt`, made where they are missing."""
        path = [-1]
        for token in prompt:
            edge = (path[-1], token)
            if edge not in self.children:
                self.children[edge] = self.size
                self.tokens.append(token)
                self.parents.append(path[-1])
            path.append(self.children[edge])
        return path[1:]

    def arrays(self, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ids, depths and the ancestor-or-self matrix, padded to `width` by nodes that see only themselves."""
        ids = np.zeros(width, dtype=np.int64)
        ids[: self.size] = self.tokens
        sees = np.eye(width, dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                sees[node] |= sees[parent]
        depths = sees.sum(axis=1) - 1
        return ids, depths, sees
