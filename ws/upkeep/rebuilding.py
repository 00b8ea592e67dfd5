"""Building artifacts of a sample anew, from inputs as they are stored."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ws.errors import StoreError
from ws.store import Recipe, Store
from ws.upkeep.sampling import Move


class _Inputs(Store):
    """A store that already serves, under their new keys, the artifacts that are about to be carried."""

    def __init__(self, store: Store, homes: Mapping[str, Path]) -> None:
        super().__init__(store.root)
        self._store, self._homes = store, homes

    def key(self, recipe: Recipe) -> str:
        return self._store.key(recipe)

    def has(self, recipe: Recipe) -> bool:
        return self.key(recipe) in self._homes or super().has(recipe)

    def get(self, recipe: Recipe) -> Path:
        old = self._homes.get(self.key(recipe))
        return super().get(recipe) if old is None else old


@dataclass(frozen=True)
class Rebuild:
    """Builds artifacts anew, for an audit to compare; it can be sent to another process."""

    root: Path
    """The folder of the store."""
    homes: Mapping[str, Path]
    """By their keys of today, where the artifacts are that are about to be carried."""

    @cached_property
    def _inputs(self) -> Store:
        return _Inputs(Store(self.root), self.homes)

    def __call__(self, move: Move) -> None:
        """Raises: StoreError if today's code cannot build it."""
        built = rebuilt(self.root, move)
        half = built.with_name(f"{built.name}.unfinished")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        try:
            move.recipe.build(half, self._inputs)
        except Exception as error:
            raise StoreError(
                f"nothing was carried: {move.recipe.describe()} cannot be built with today's code ({error}); what an "
                "audit cannot build it cannot compare"
            ) from error
        os.replace(half, built)


def rebuilt(root: Path, move: Move) -> Path:
    """Where an audit keeps what it built anew: by the key of today, which any other audit of this code shares."""
    return root / "carry" / move.key
