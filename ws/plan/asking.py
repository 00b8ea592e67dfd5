"""A store that builds nothing: it writes down what is asked for, and answers with files of made-up numbers.

So a test goes through all that it asks for before anything is built. What it computes means nothing. Where numbers
decide what is asked for next (`Store.needs`), the test stops: the rest shows once these numbers are there.
"""

import shutil
import tempfile
from pathlib import Path

from ws.errors import StoreError
from ws.plan.standins import stand_in
from ws.store import Recipe, Store


class UnfoldsLater(StoreError):
    """What is asked for next shows only once an artifact is there."""


class AskingStore(Store):
    """A store in which a missing artifact is noted, and a stand-in is given in its place."""

    def __init__(self, store: Store, folder: Path) -> None:
        """`folder` is an empty one, where stand-ins are written."""
        super().__init__(store.root)
        # Its keys and its checks of files are those of the store below, and take seconds to work out.
        vars(self).update(vars(store))
        self.asked: dict[str, Recipe] = {}
        self.missing: dict[str, Recipe] = {}
        """By key, what was asked for and is not there, in the order in which it was asked for."""
        self._folder = folder

    def get(self, recipe: Recipe) -> Path:
        """The folder of the artifact, or of its stand-in.

        Raises: UnfoldsLater if the artifact is missing and nothing can stand in for it.
        """
        if not self._misses(recipe):
            return super().get(recipe)
        home = self._folder / self.key(recipe)
        if not home.exists():
            self._make_up(recipe, home)
        return home

    def needs(self, *recipes: Recipe) -> None:
        """Raises: UnfoldsLater if one of these is missing; all that are, are noted."""
        missing = [recipe for recipe in recipes if self._misses(recipe)]
        if missing:
            raise _later(missing[0])

    def _misses(self, recipe: Recipe) -> bool:
        """Whether an artifact is missing; then it is noted."""
        key = self.key(recipe)
        if key not in self.missing and not self.has(recipe):
            self.missing[key] = recipe
        return key in self.missing

    def _make_up(self, recipe: Recipe, home: Path) -> None:
        made = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            if not stand_in(recipe, made, key=home.name):
                raise _later(recipe)
            made.rename(home)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _later(recipe: Recipe) -> UnfoldsLater:
    return UnfoldsLater(f"{recipe.describe()} is not there, and what is asked for after it may depend on it; build it")
