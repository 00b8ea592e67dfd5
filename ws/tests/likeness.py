"""How much of their wording two texts share, for tests that look for near-duplicates."""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache

NEAR_DUPLICATE = 0.5
"""Largest allowed share of runs of three words that two texts have in common; a reworded copy has more."""


def likeness(a: str, b: str) -> float:
    """Jaccard index of the runs of three words of two texts."""
    mine, other = runs(a), runs(b)
    return len(mine & other) / len(mine | other)


def near_duplicates(texts: Iterable[str]) -> list[tuple[str, str]]:
    """The pairs of texts that are too like each other; only those with a run in common need a look."""
    having: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for text in texts:
        for run in runs(text):
            having[run].append(text)
    sharing = {(a, b) for found in having.values() for i, a in enumerate(found) for b in found[:i]}
    return sorted(pair for pair in sharing if likeness(*pair) >= NEAR_DUPLICATE)


@cache
def runs(text: str) -> frozenset[tuple[str, ...]]:
    """Every run of three words; a shorter text is a run of its own."""
    words = re.findall(r"[a-z0-9']+", text.casefold())
    return frozenset(tuple(words[start : start + 3]) for start in range(max(1, len(words) - 2)))
