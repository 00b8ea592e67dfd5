"""Artifacts: a recipe names what takes long to compute, the store builds it once and never serves an outdated one."""

from ws.store.artifacts import BuiltArtifact, Store, StoreWarning, default_root
from ws.store.manifests import MANIFEST
from ws.store.origin import versions
from ws.store.recipes import Recipe

__all__ = ["MANIFEST", "BuiltArtifact", "Recipe", "Store", "StoreWarning", "default_root", "versions"]
