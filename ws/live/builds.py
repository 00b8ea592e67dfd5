"""How many artifacts this process has built, and how many of those that were expected."""

import time
from collections.abc import Callable, Iterable

SECONDS_BETWEEN_LINES = 10.0
PATIENCE = 30
"""If so many artifacts are built and none of them was expected, then the expectation is of other code."""


class Builds:
    """The artifacts of a run: counted as they are built, with a line about them now and then."""

    def __init__(self) -> None:
        self.begin()

    def begin(self, expected: Iterable[str] = (), *, rest: Callable[[], float] | None = None) -> None:
        """Count from zero; `expected` are the keys of artifacts that will be built, as far as they are known.

        `rest` says how many seconds they will still take, if somebody knows better than to count them.
        """
        self._started = time.monotonic()
        self._expected = frozenset(expected)
        self._left = set(self._expected)
        self._rest = rest
        self._built = self._said = 0
        self._said_at = float("-inf")

    def count(self, key: str) -> None:
        """Another artifact was built."""
        self._built += 1
        self._left.discard(key)

    @property
    def is_time_to_say(self) -> bool:
        """Whether the last line is long ago."""
        return time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES

    def news(self, name: str) -> str:
        """What was built since this was last asked, `name` last."""
        since, self._said, self._said_at = self._built - self._said, self._built, time.monotonic()
        return name if since == 1 else f"{since} artifacts, the last {name}"

    @property
    def place(self) -> str:
        """Which artifact is under way, and of the expected ones how many are done and how long the rest will take."""
        total, done = len(self._expected), len(self._expected) - len(self._left)
        if not total or (not done and self._built >= PATIENCE):
            return f"artifact {self._built + 1}"
        if not self._left or not (done or self._rest):
            return f"artifact {done} of {total}"
        rest = self._rest() if self._rest else (time.monotonic() - self._started) / done * len(self._left)
        return f"artifact {done} of {total}, {clock(rest)} left"


def clock(seconds: float) -> str:
    """A duration as m:ss, or h:mm:ss from one hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
