"""The behaviors that this process knows by name: ours, and those of one's own that it has been told of."""

from dataclasses import dataclass
from pathlib import Path

from ws.behaviors.base import Behavior
from ws.behaviors.brought import OwnBehavior
from ws.behaviors.honesty import HONESTY
from ws.behaviors.sycophancy import SYCOPHANCY
from ws.errors import UnknownNameError

BEHAVIORS = {entry.name: entry for entry in (HONESTY, SYCOPHANCY)}


@dataclass(frozen=True)
class Kept:
    """A behavior of one's own and where it is kept."""

    behavior: OwnBehavior
    """Its name has a hash of its contents."""
    home: Path
    """The folder of the store with all that is found out about it."""
    typed: str
    """How it was named on the command line."""

    @property
    def short(self) -> str:
        """Its name without the hash, in whose digits "-k c05" might find a claim."""
        return self.behavior.name.partition("@")[0]


OWN_BEHAVIORS: dict[str, Kept] = {}
"""The behaviors of one's own that this process has been told of, by name."""


def behavior(name: str) -> Behavior:
    """A behavior by name: one of ours, or one of one's own that this process has been told of.

    Raises: UnknownNameError listing the known behaviors.
    """
    if name in OWN_BEHAVIORS:
        return OWN_BEHAVIORS[name].behavior
    if name not in BEHAVIORS:
        raise UnknownNameError("behavior", name, [*BEHAVIORS, *OWN_BEHAVIORS])
    return BEHAVIORS[name]
