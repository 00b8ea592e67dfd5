"""Behaviors: what a weight direction is trained to show, and how showing it is measured."""

from ws.behaviors.base import Behavior, Claim, Fact, Phrasing, Question
from ws.behaviors.table import BEHAVIORS, behavior

__all__ = ["BEHAVIORS", "Behavior", "Claim", "Fact", "Phrasing", "Question", "behavior"]
