"""A store in which some artifacts are spoilt, and which builds nothing."""

from collections.abc import Mapping
from pathlib import Path

from ws.errors import StoreError
from ws.store import Recipe, Store


class Overlay(Store):
    """A store with other folders in place of some artifacts. The artifacts themselves are left alone."""

    def __init__(self, store: Store, spoilt: Mapping[str, Path] | None = None) -> None:
        """`spoilt` has a folder for each key that is answered with other files."""
        super().__init__(store.root)
        # Its keys and its checks of files are those of the store below, and take seconds to work out.
        vars(self).update(vars(store))
        self.asked: dict[str, Recipe] = {}
        self.spoilt = spoilt or {}
        self.unbuilt: list[str] = []

    def get(self, recipe: Recipe) -> Path:
        """The folder of the artifact, or the one in its place. Raises: StoreError if it would have to be built."""
        key = self.key(recipe)
        if key not in self.spoilt:
            return super().get(recipe)
        self.asked[key] = recipe
        return self.spoilt[key]

    def _build(self, recipe: Recipe, key: str, home: Path) -> None:
        """Raises: StoreError, always; `unbuilt` then has what was asked for."""
        self.unbuilt.append(recipe.describe())
        raise StoreError(
            f"{recipe.describe()} ({key[:6]}) is not in the store, and nothing is built while claims are falsified; "
            "run the claims once before"
        )
