"""Figures that were drawn before: thousands of estimates take longer than a reader waits.

They are kept in the store, under a digest of all that decides them: the evidence, which its index names by hash, our
code, and the versions of the libraries.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import ws
from ws.store.origin import versions

FOLDER = "report"
"""The folder of a store with what is kept."""

CODE = ("*.py", "*.j2")


def remembered(root: Path, model: str, index: Path, draw: Callable[[], Mapping[str, str]]) -> Mapping[str, str]:
    """What `draw` returns for a model, drawn only if evidence, code or libraries have changed since the last time."""
    kept = root / FOLDER / f"{model}-{digest(model, index)}.json"
    if kept.is_file():
        found: Mapping[str, str] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    made = draw()
    kept.parent.mkdir(parents=True, exist_ok=True)
    for earlier in kept.parent.glob(f"{model}-*.json"):
        earlier.unlink(missing_ok=True)
    whole = kept.with_suffix(f".{os.getpid()}")
    whole.write_text(json.dumps(made), encoding="utf-8")
    os.replace(whole, kept)
    return made


def digest(model: str, index: Path) -> str:
    """All that decides the figures of a model, as 16 hex digits."""
    found = hashlib.sha256(json.dumps([model, versions()], sort_keys=True).encode())
    found.update(index.read_bytes())
    root = Path(ws.__file__).parent
    for path in sorted(path for pattern in CODE for path in root.rglob(pattern) if "tests" not in path.parts):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]
