"""Artifacts while they are made: `<root>/tmp/<key>-<machine>-<pid>`, and what killed processes leave there.

A leftover goes once nobody builds its key, which the key's lock says, and it is of this machine, where that lock is
sure, or nothing in it has changed for a day. What was finished, and only not yet in its place, is put there.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ws.store import locks, manifests, owners
from ws.store.placing import make_folder, move_into_place

FOLDER = "tmp"
SECONDS_UNTIL_ABANDONED = 24 * 3600.0
NAME = re.compile(r"(?P<what>[0-9a-z]+)(-(?P<machine>[0-9a-f]{12}))?-(?P<pid>\d{1,10})(?P<old>-old)?(\.\w+)?", re.ASCII)
KEY = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass
class Cleared:
    """What became of the leftovers of killed processes."""

    taken_over: list[str] = field(default_factory=list)
    """The keys of what was finished, which is in its place now."""
    removed: list[str] = field(default_factory=list)
    """The keys of what was not, and the names of what has no key."""
    bytes: int = 0
    """How much was removed."""


def path_for(root: Path, what: str) -> Path:
    """Where this process makes something that is named by a key, or by a word."""
    return root / FOLDER / f"{what}-{owners.this_machine()}-{os.getpid()}"


@contextmanager
def folder_for(root: Path, key: str) -> Iterator[Path]:
    """An empty folder for the files of an artifact, for the holder of its lock."""
    out = path_for(root, key)
    for left in sorted(out.parent.glob(f"{key}-*")):
        if _may_go(left):
            _remove(left)
    make_folder(out.parent)
    out.mkdir()
    try:
        yield out
    finally:
        shutil.rmtree(out, ignore_errors=True)


def clear_away(root: Path) -> Cleared:
    """Remove what killed processes have left of artifacts, or put it in its place; and the files of free locks."""
    cleared = Cleared()
    for path in _entries(root / FOLDER):
        name = NAME.fullmatch(path.name)
        if name is None or not KEY.fullmatch(name["what"]):
            if _may_go_unlocked(path):
                _clear(path, path.name, cleared)
            continue
        with locks.held_if_free(root, name["what"]) as is_free:
            if is_free and _may_go(path) and not _took_over(root, path, name["what"], cleared):
                _clear(path, name["what"], cleared)
    for path in _entries(root / locks.FOLDER):
        if KEY.fullmatch(path.stem):
            with locks.held_if_free(root, path.stem):
                pass
    return cleared


def _took_over(root: Path, path: Path, key: str, cleared: Cleared) -> bool:
    """Whether a leftover was a finished artifact that its home lacked."""
    if not path.is_dir() or manifests.damage(path, key) is not None:
        return False
    home = root / manifests.kind_in(path) / key
    if os.path.lexists(home):
        return False
    move_into_place(path, home)
    cleared.taken_over.append(key)
    return True


def _clear(path: Path, name: str, cleared: Cleared) -> None:
    cleared.bytes += sum(one.lstat().st_size for one in (path, *path.rglob("*")) if one.is_file())
    _remove(path)
    if not path.name.endswith("-old"):
        cleared.removed.append(name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _may_go(path: Path) -> bool:
    """Whether a leftover may go if nobody on this machine builds its key.

    Older versions did not name the machine; they had all locks from one kernel or server.
    """
    name = NAME.fullmatch(path.name)
    is_local = name is not None and name["machine"] in (None, owners.this_machine())
    return is_local or _is_abandoned(path)


def _may_go_unlocked(path: Path) -> bool:
    """Whether something that no lock belongs to may go."""
    name = NAME.fullmatch(path.name)
    if name is not None and name["machine"] == owners.this_machine():
        return not owners.is_alive(int(name["pid"]))
    return _is_abandoned(path)


def _is_abandoned(path: Path) -> bool:
    """Whether nothing in it has changed for a day, by the clock of the disk that it is on."""
    try:
        changed = max(one.lstat().st_mtime for one in (path, *path.rglob("*")))
    except FileNotFoundError:  # somebody works there
        return False
    return _disk_time(path.parent) - changed > SECONDS_UNTIL_ABANDONED


def _disk_time(folder: Path) -> float:
    """What time a file gets that is written now: the clock of another machine, where that has the disk."""
    probe = folder / f"clock-{owners.this_machine()}-{os.getpid()}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
