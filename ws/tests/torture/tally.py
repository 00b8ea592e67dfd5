"""What was done to stores, and what became of the artifacts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

BAD = ("lost", "half", "twice", "wrong")
"""What must never be: an artifact that was there is gone; one in its place is not whole; one was built more often than
asked for; one has other bytes than it should."""


@dataclass
class Tally:
    """One part of the torture."""

    part: str
    done: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    """What else there is to count, by its name."""
    first: str = ""
    """The first bad thing, in words."""
    seconds: float = 0.0

    def blame(self, kind: str, what: str) -> None:
        """Count something that must not be."""
        self.bad[kind] += 1
        self.first = self.first or f"{kind}: {what}"

    @property
    def is_good(self) -> bool:
        return self.done > 0 and not self.bad.total()


def table(tallies: Sequence[Tally]) -> str:
    """A line for each part."""
    head = ("part", "done", *BAD, "seconds", "counted beside")
    rows = [
        (
            one.part,
            str(one.done),
            *(str(one.bad[kind]) for kind in BAD),
            f"{one.seconds:.0f}",
            ", ".join(f"{number} {name}" for name, number in sorted(one.said.items())),
        )
        for one in tallies
    ]
    widths = [max(map(len, column)) for column in zip(*[head, *rows], strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    ]
    return "\n".join([*lines, *(f"{one.part}: {one.first}" for one in tallies if one.first), ""])
