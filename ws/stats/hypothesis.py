"""Hypotheses: comparisons of estimates, joined by `&`, for `ws.stats.verdict.judge` to decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ws.errors import EstimateError
from ws.stats.lines import in_order, union
from ws.stats.noise import Leaf

if TYPE_CHECKING:
    from ws.stats.estimate import Estimate


@dataclass(frozen=True, eq=False)
class Part:
    """One comparison: it is true when every one of its sides is above 0."""

    shown: Estimate
    """The number for the reader: the difference of two estimates, or the estimate that is compared with a number."""
    sides: tuple[Estimate, ...]
    """Estimates that must be above 0: one for a one-sided comparison, two for a margin."""
    threshold: float | None
    """The number that `shown` is compared with; None if that is an estimate."""
    relation: str
    """The comparison in signs, such as `> 0`."""
    short: Estimate | None = None
    """What must be above 0 for a difference that matters: the part is refuted by its being below. None: by a side."""

    @property
    def gates(self) -> tuple[str, ...]:
        """The gates of all estimates compared."""
        return in_order(*(estimate.gates for estimate in self.estimates))

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """All estimates compared: the one shown, the sides, and what a difference that matters is short of."""
        return self.shown, *self.sides, *self.refuting

    @property
    def matters(self) -> float | None:
        """The smallest difference that matters, in units of the number shown; None if a side refutes."""
        return None if self.short is None else self.sides[0].value - self.short.value

    @property
    def refuting(self) -> tuple[Estimate, ...]:
        """What refutes in place of the sides."""
        return () if self.short is None else (self.short,)


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A statement about estimates, which holds if all of its parts do."""

    parts: tuple[Part, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """The keys of everything that any part was computed from."""
        return union(*(estimate.sources for part in self.parts for estimate in part.estimates))

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The means of the tables that any part was computed from, with their noise, in order of first use."""
        return tuple(
            dict.fromkeys(one for part in self.parts for estimate in part.estimates for one in estimate.leaves)
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """The lines of every part, each once."""
        return union(*(estimate.notes for part in self.parts for estimate in part.estimates))

    def __and__(self, other: Hypothesis) -> Hypothesis:
        """The hypothesis that both are true."""
        return Hypothesis(self.parts + other.parts) if isinstance(other, Hypothesis) else NotImplemented

    def __bool__(self) -> bool:
        """Raises: EstimateError, always: `and`, `a < b < c`, `max` and `assert` would silently drop a comparison."""
        relations = " & ".join(part.relation for part in self.parts)
        raise EstimateError(
            f"the hypothesis '{relations}' was used as true or false; join with & and decide with judge(...)"
        )
