"""Finding the artifact or snapshot that a person means by a key, the start of a key, or the id of a test."""

import glob
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ws.errors import StoreError
from ws.files.notation import read_json
from ws.store.manifests import Manifest, read_manifest
from ws.upkeep.standing import homes_in

START = re.compile(r"[0-9a-f]{4,32}", re.ASCII)
SNAPSHOTS = "__snapshots__"


@dataclass(frozen=True)
class Snapshot:
    """The recorded verdict of one case."""

    path: Path
    said: dict[str, Any]

    @property
    def keys(self) -> list[str]:
        """The keys of everything its numbers were computed from."""
        return self.said["keys"]


def is_test(asked: str) -> bool:
    """Whether a text is the id of a test rather than a key."""
    return "::" in asked


def manifest_of(root: Path, start: str) -> Manifest:
    """The manifest of the artifact whose key begins with `start`.

    Raises: StoreError if `start` cannot begin a key, or no artifact or several have such a key.
    """
    if not START.fullmatch(start):
        raise StoreError(
            f"{start!r} is no key; give its first 4 to 32 hex digits, or the id of a test (FILE::TEST[CASE])"
        )
    homes = [home for home in homes_in(root) if home.name.startswith(start)]
    if len(homes) > 1:
        named = ", ".join(f"{home.parent.name}/{home.name[:12]}" for home in homes[:5])
        raise StoreError(f"{len(homes)} keys in {root} begin with {start}: {named}; give more digits")
    found = read_manifest(homes[0]) if homes else None
    if found is None:
        what = f"the manifest of {homes[0]} cannot be read" if homes else f"{root} has no artifact {start}"
        raise StoreError(f"{what}; `ws store` lists what a store has, and --store PATH names another")
    return found


def snapshots_of(test_id: str, *, own: Iterable[Path] = ()) -> list[Snapshot]:
    """The snapshots of a test's case, one a model unless the id names the model.

    `own` are the folders of snapshots of models and behaviors of one's own, which lie with them.
    Raises: StoreError if there is none.
    """
    file, _, rest = test_id.partition("::")
    test, _, case = rest.rpartition("::")[2].removesuffix("]").partition("[")
    pattern = f"{glob.escape(test)}*.json"
    paths = [
        *(Path(file).parent / SNAPSHOTS).glob(f"*/{pattern}"),
        *(path for folder in own for path in folder.glob(pattern)),
    ]
    of_test = [read_snapshot(path) for path in sorted(paths)]
    of_test = [one for one in of_test if one.said.get("test") == test]
    found = [one for one in of_test if case in _cases(one)]
    if not found:
        near = ", ".join(sorted({one.said["case"] or "(one case)" for one in of_test})[:6])
        known = f"its recorded cases are {near}" if near else f"nothing is recorded of {test} in {Path(file).parent}"
        raise StoreError(f"no snapshot of {test_id}; {known}")
    return found


def keys_in(path: Path) -> list[str]:
    """The keys that a recorded verdict names. Raises: StoreError if the file is none."""
    return read_snapshot(path).keys


def read_snapshot(path: Path) -> Snapshot:
    """The recorded verdict in a file. Raises: StoreError if it is none."""
    said = read_json(path, what="a recorded verdict", refuse=StoreError, advice="record it anew")
    keys = said.get("keys") if isinstance(said, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise StoreError(f"{path} has no list of keys; expected a recorded verdict; record it anew")
    return Snapshot(path, said)


def _cases(snapshot: Snapshot) -> set[str]:
    """The names of a case in test ids: with its model and without."""
    case, model = snapshot.said["case"], snapshot.said["model"].partition("@")[0]
    return {case, "-".join(filter(None, [model, case]))}
