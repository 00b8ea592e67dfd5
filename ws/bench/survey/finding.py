"""The result of the survey for one architecture."""

from dataclasses import dataclass
from typing import Literal, get_args

Outcome = Literal["packed", "plain", "wrong", "refused", "exception", "not built"]
"""Packed sequences are right; only the model's own forward pass is right; numbers differ from that pass; an error of
`ws.errors`; any other error; transformers cannot build it."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


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

    @property
    def right(self) -> bool:
        return self.outcome in ("packed", "plain")
