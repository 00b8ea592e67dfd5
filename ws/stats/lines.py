"""Lines that stay with a number through arithmetic: keys of its sources, notes and gates."""

from collections.abc import Iterable
from itertools import chain


def union(*lines: Iterable[str]) -> tuple[str, ...]:
    """All lines, each once, in the order in which they first appear."""
    return tuple(dict.fromkeys(chain(*lines)))


def in_order(*lines: Iterable[str]) -> tuple[str, ...]:
    """All lines, each once, sorted."""
    return tuple(sorted(union(*lines)))
