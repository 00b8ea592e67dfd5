"""What came of one architecture."""

from dataclasses import dataclass
from typing import Literal, get_args

Outcome = Literal["packed", "plain", "wrong", "refused", "exception", "not built"]
"""Right by packed sequences; right by the model's own forward pass; other numbers than that pass; an error of
`ws.errors`; any other error; not even made by transformers."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Finding:
    """What came of one architecture."""

    architecture: str
    outcome: Outcome
    off_nats: float | None = None
    """Largest difference of a log-probability from the plain forward pass."""
    moved_nats: float | None = None
    """Largest change of one that dW makes: what a difference is small against."""
    note: str = ""

    @property
    def right(self) -> bool:
        return self.outcome in ("packed", "plain")
