"""The state of each artifact under today's code: its recipe has the same key, another key, or does not exist."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ws.store import Recipe, Store
from ws.store.manifests import Manifest, read_manifest
from ws.store.progress import track
from ws.upkeep.recall import RecipeGone, recalled

KEY = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True)
class Standing:
    """An artifact and its key under today's code."""

    manifest: Manifest
    recipe: Recipe | None
    key: str | None
    """Today's key; None if no recipe of today makes it."""
    why: str = ""
    """Why today's code has no recipe for the artifact."""

    @property
    def is_reached(self) -> bool:
        """Whether its recipe has the same key today."""
        return self.key == self.manifest.key

    @property
    def is_ours(self) -> bool:
        """Whether its recipe was of this package; others may keep artifacts in the same store."""
        return self.manifest.said["class"].startswith("ws.") or self.recipe is not None


def homes_in(root: Path) -> Iterator[Path]:
    """The folder of each artifact of a store."""
    for home in sorted(root.glob("*/*")):
        if KEY.fullmatch(home.name) and home.is_dir() and not home.is_symlink():
            yield home


def manifests_in(root: Path) -> list[Manifest]:
    """The manifests of a store's artifacts that can be read."""
    return [found for home in homes_in(root) if (found := read_manifest(home)) is not None]


def standings(store: Store) -> list[Standing]:
    """The standing of each artifact; shows progress, since computing thousands of keys takes a while."""
    return [standing(store, manifest) for manifest in track(manifests_in(store.root), "computing keys of today")]


def standing(store: Store, manifest: Manifest) -> Standing:
    """The standing of one artifact."""
    try:
        recipe = recalled(manifest.said)
    except RecipeGone as gone:
        return Standing(manifest, None, None, str(gone))
    return Standing(manifest, recipe, store.key(recipe))
