"""Artifacts: a recipe names what is dear to make, the store builds it once and serves no stale one."""

from ws.store.artifacts import MANIFEST, BuiltArtifact, Recipe, Store, StoreWarning, default_root, readable, versions

__all__ = ["MANIFEST", "BuiltArtifact", "Recipe", "Store", "StoreWarning", "default_root", "readable", "versions"]
