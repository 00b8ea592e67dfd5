"""Code that no key covers: it cannot change a result."""

from functools import cache
from typing import Any

MACHINERY = frozenset(
    {"ws.store", "ws.code", "ws.errors", "ws.live", "ws.models.downloads", "ws.engine.loading:checked"}
)
"""Rooms, modules, and definitions (`module:name`) that cannot change a result.

They store results, report on them, fetch files of a known sha256, or choose between ways that differ only by rounding.
"""

TALK = "ws.store.progress"
"""The module whose functions print for people: text passed to them is only wording."""

WORDING = frozenset({"describe"})
"""Methods that only make text for people."""


@cache
def is_machinery(module: str, name: str = "") -> bool:
    """Whether a module, or a definition inside it, cannot change a result."""
    parts = module.split(".")
    above = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
    return not MACHINERY.isdisjoint(above) or f"{module}:{name}" in MACHINERY


def only_talks(value: Any) -> bool:
    """Whether a function only prints things for people."""
    return getattr(value, "__module__", None) == TALK
