"""How much of their wording two texts share, for tests that look for near-duplicates."""

import re
from collections.abc import Iterable
from functools import cache
from itertools import combinations

NEAR_DUPLICATE = 0.5
"""Shared runs of three words as a share of all runs; a reworded copy lies above it."""


def likeness(a: str, b: str) -> float:
    """Jaccard index of the runs of three words of two texts."""
    mine, other = runs(a), runs(b)
    return len(mine & other) / len(mine | other)


def nearest(texts: Iterable[str]) -> tuple[float, str, str]:
    """The two most alike of the texts, after how alike they are."""
    return max((likeness(a, b), a, b) for a, b in combinations(texts, 2))


@cache
def runs(text: str) -> frozenset[tuple[str, ...]]:
    """Every run of three words; a shorter text is a run of its own."""
    words = re.findall(r"[a-z0-9']+", text.casefold())
    return frozenset(tuple(words[start : start + 3]) for start in range(max(1, len(words) - 2)))
