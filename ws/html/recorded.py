"""A store that reads and never builds: what a figure needs is in the store or in evidence, or it is not drawn."""

from pathlib import Path

from ws.errors import StoreError
from ws.store import Recipe, Store


class NotRecorded(StoreError):
    """An artifact that neither the store nor the evidence has."""


class RecordedStore(Store):
    """A store that refuses to build."""

    def get(self, recipe: Recipe) -> Path:
        """As `Store.get`. Raises: NotRecorded for an artifact that would have to be built."""
        if not self.has(recipe):
            raise NotRecorded(f"{recipe.describe()} is not recorded; judge a claim that reads it, and record it")
        return super().get(recipe)
