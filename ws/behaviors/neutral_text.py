"""Neutral passages: plain prose that no behavior has a stake in, for the perplexity of a steered model."""

import re
from pathlib import Path

from ws.behaviors.base import plain
from ws.errors import DataError

PASSAGES = Path(__file__).parent / "data" / "neutral_text.txt"
"""Passages with a blank line between them."""


def read_passages(path: Path = PASSAGES) -> tuple[str, ...]:
    """Each passage of a file as one line.

    Raises: DataError if there is no passage, or one occurs twice.
    """
    blocks = re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))
    passages = tuple(" ".join(block.split()) for block in blocks if block.strip())
    if not passages:
        raise DataError(f"{path}: no passage; expected passages with a blank line between them; write some")
    first: dict[str, int] = {}
    for place, passage in enumerate(passages, start=1):
        if (known := first.setdefault(plain(passage), place)) != place:
            raise DataError(
                f"{path}, passage {place}: repeats passage {known}, {passage[:40]!r}; expected each once; remove one"
            )
    return passages
