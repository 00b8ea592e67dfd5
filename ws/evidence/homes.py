"""Where the verdicts and the evidence on a model or a behavior of one's own lie: in its home, a folder of a store.

    HOME/snapshots/, HOME/evidence/                             of the claims of this project
    HOME/repositories/NAME@DIGEST/snapshots/, .../evidence/     of tests elsewhere, by the folder that they are in

Tests of two repositories may have one name, and are about different things.
"""

import hashlib
import os
import re
from pathlib import Path

import ws

FOLDER = "repositories"
OURS = Path(ws.__file__).resolve().parents[1] / "claims"
"""The tests of this project, where this is a clone of it."""


def home_of(tests: Path, home: Path) -> Path:
    """The part of a home that belongs to the tests of a folder, and to those of no other folder."""
    here = tests.resolve()
    if here == OURS:
        return home
    digest = hashlib.sha256(os.fsencode(here)).hexdigest()[:16]
    name = re.sub(r"[^\w.-]+", "-", f"{here.parent.name}-{here.name}", flags=re.ASCII).strip("-.")[-40:]
    return home / FOLDER / f"{name}@{digest}"
