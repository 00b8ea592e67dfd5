"""Behaviors: what a weight direction is trained to show, and how showing it is measured."""

from ws.behaviors.base import Behavior, Claim, Fact, Phrasing, Question
from ws.behaviors.honesty import HONESTY
from ws.behaviors.sycophancy import SYCOPHANCY
from ws.errors import UnknownNameError

__all__ = ["BEHAVIORS", "Behavior", "Claim", "Fact", "Phrasing", "Question", "behavior"]

BEHAVIORS = {entry.name: entry for entry in (HONESTY, SYCOPHANCY)}


def behavior(name: str) -> Behavior:
    """A behavior by name.

    Raises: UnknownNameError listing the known behaviors.
    """
    if name not in BEHAVIORS:
        raise UnknownNameError("behavior", name, BEHAVIORS)
    return BEHAVIORS[name]
