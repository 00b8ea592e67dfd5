"""Where finished artifacts may be had that a store lacks, before it builds them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Supply(Protocol):
    """A place that hands out finished artifacts by their keys."""

    def has(self, key: str) -> bool:
        """Whether `bring` would bring it."""
        ...

    def bring(self, key: str, out: Path) -> Mapping[str, Any] | None:
        """Write the artifact's files into the empty folder `out`; None, and no file, if it is not here.

        Returns what its manifest says of how it was made: origin, created, seconds, notes, and `taken`.
        """
        ...
