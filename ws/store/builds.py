"""Which builds of artifacts a result was read from.

An artifact that is built again, elsewhere or with other libraries, has the same key and may differ in its last digits.
What its manifest says of its build goes with it, through evidence and other supplies, to every store.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ws.store.artifacts import Store
from ws.store.manifests import MANIFEST, read_manifest

OF_A_BUILD = ("key", "created", "seconds", "origin")
"""What tells one build from another: no two that take long are of one second and take as long."""


def builds_of(store: Store, keys: Iterable[str]) -> str:
    """A digest of the builds of artifacts that were asked for; empty for none, or if one of them is not known."""
    found = [_build(store.home(store.asked[key], key)) if key in store.asked else None for key in sorted(keys)]
    if not found or None in found:
        return ""
    return hashlib.sha256("\n".join(map(str, found)).encode()).hexdigest()[:32]


def _build(home: Path) -> str | None:
    try:
        return _told(home, (home / MANIFEST).stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=1 << 14)
def _told(home: Path, changed: int) -> str | None:
    manifest = read_manifest(home)
    return None if manifest is None else build_in(manifest.said)


def build_in(said: Mapping[str, Any]) -> str:
    """What tells a build from others of its key, in what a manifest says."""
    return json.dumps([said.get(name) for name in OF_A_BUILD], sort_keys=True)
