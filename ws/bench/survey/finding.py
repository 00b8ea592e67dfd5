"""The result of the survey for one architecture."""

from dataclasses import dataclass
from typing import Literal, get_args

Outcome = Literal["packed", "plain", "wrong", "refused", "exception", "not built", "not stored"]
"""Packed sequences are right; only the model's own forward pass is right; numbers differ from that pass, or from those
before the model was saved; an error of `ws.errors`; any other error; transformers cannot build it; transformers cannot
save it, or does not read back what it saved."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

TOLERANCE_NATS = 1e-3
"""Rounding stays below a tenth of this on every architecture; a wrong mask, scale or rotation gives ten times this."""


@dataclass(frozen=True)
class Finding:
    """The result for one architecture."""

    architecture: str
    outcome: Outcome
    off_nats: float | None = None
    """Largest difference of a log-probability from the plain forward pass."""
    moved_nats: float | None = None
    """Largest change of a log-probability by dW, to compare `off_nats` with."""
    note: str = ""
    """Why; of one that is right, the steps (`ws.bench.survey.steps`) that are refused by name."""

    @property
    def right(self) -> bool:
        return self.outcome in ("packed", "plain")


def told(raised: Exception) -> str:
    """An exception in one line."""
    return f"{type(raised).__name__}: {' '.join(str(raised).split())}"
