"""From numbers to places on an axis, in percent of its length."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

REACH, HALVES = 1.5, 2.0
"""How far an axis goes beyond the values for the sake of intervals: in widths of the values, or in half widths of the
median interval, whichever is more. One interval that is far wider than its neighbours must not squeeze them to dots."""

MARGIN = 0.05
"""The share of the axis that is left free at each end."""

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
MOST_TICKS = 4


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float

    def percent(self, value: float) -> float:
        """Where a value lies, from 0 to 100; what lies beyond an end is at that end."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 1)

    def holds(self, value: float) -> bool:
        """Whether a value lies on the axis."""
        return self.low <= value <= self.high

    @property
    def ticks(self) -> tuple[float, ...]:
        """Round numbers on the axis, four at most."""
        return ticks(self.low, self.high)


def scale(values: Iterable[float], intervals: Iterable[tuple[float, float]] = ()) -> Scale:
    """The axis that shows all values, and intervals as far as they are within reach of the values."""
    core, around = list(values), list(intervals)
    low, high = min(core), max(core)
    half = median((end - start) / 2 for start, end in around) if around else 0.0
    reach = max(REACH * (high - low), HALVES * half)
    low = min([low, *(max(start, low - reach) for start, _ in around)])
    high = max([high, *(min(end, high + reach) for _, end in around)])
    width = (high - low) or abs(high) or 1.0
    return Scale(low - MARGIN * width, high + MARGIN * width)


def ticks(low: float, high: float) -> tuple[float, ...]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten from `low` to `high`: as many as fit, and four at most."""
    magnitude = 10.0 ** math.floor(math.log10((high - low) / MOST_TICKS))
    for step in (magnitude * one for one in STEPS):
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first < MOST_TICKS:
            # Rounded, so that 3 * 0.1 is 0.3; a step has two digits at most.
            digits = 1 - math.floor(math.log10(step))
            return tuple(round(place * step, digits) + 0.0 for place in range(first, last + 1))
    return ()
