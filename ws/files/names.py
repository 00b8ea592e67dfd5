"""Names of files that somebody else wrote down, and the files of somebody else's folder."""

import re
from pathlib import Path

from ws.files.opening import Refuse, check_plain

_NAME = re.compile(r"(?!.*\.\.)\w[\w. +=@-]*")
"""Letters, digits and what else cannot lead elsewhere: no slash of either kind, no drive, no dots in a row."""

MOST_LETTERS = 200

_SNAPSHOT = re.compile(r"models--[^/]+")
"""A repository in the cache of the Hugging Face hub, whose snapshots are links to the blobs beside them."""


def is_name(text: object) -> bool:
    """Whether a value is the name of a file, and no path to one elsewhere."""
    return isinstance(text, str) and len(text) <= MOST_LETTERS and _NAME.fullmatch(text) is not None


def check_in_folder(path: Path, *, what: str, refuse: Refuse) -> int:
    """The size of a plain file that lies in its folder, or is a link to one that does.

    Raises: `refuse` if it is no plain file, or a link that leads out of the folder.
    """
    size = check_plain(path, what=what, refuse=refuse)
    home, there = path.parent.resolve(), path.resolve()
    if not there.is_relative_to(home) and not _in_cache(home, there):
        raise refuse(
            f"{path} is a link to {there}, outside of its folder; expected {what} itself; where you trust it, put a "
            "copy there (cp -L)"
        )
    return size


def _in_cache(home: Path, there: Path) -> bool:
    """Whether a folder is a snapshot of the hub's cache, and the file one of that repository's blobs."""
    snapshots, repository = home.parent, home.parent.parent
    is_snapshot = snapshots.name == "snapshots" and _SNAPSHOT.fullmatch(repository.name) is not None
    return is_snapshot and there.parent == repository / "blobs"
