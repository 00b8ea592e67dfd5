"""Putting finished files in their place so that they are there after a loss of power, whole.

A rename is one step to everybody who looks, but it promises nothing of what the disk keeps: files and folders are
waited for first, and the folders that name them afterwards. WS_SYNC=0 leaves out the waiting, for stores that need not
last.
"""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR})
"""What the system says of a rename to where something else is."""


def move_into_place(
    new: Path, home: Path, *, stays: Callable[[Path], bool] = lambda home: False, lasting: bool = True
) -> None:
    """Rename a finished artifact to its home; one that was there before is removed only after that.

    stays: whether what is there is to stay, and the new one to be left where it is. Between the two renames of a
    replacement nothing is there for a moment, and a machine without our locks may be reading it.
    lasting: whether it must be there, whole, after a loss of power; what can be had again need not.
    """
    if lasting:
        settle(new)
    make_folder(home.parent)
    while not ((stays(home) or _replaced(new, home)) if os.path.lexists(home) else _placed(new, home)):
        pass  # a machine without our locks put one there, or took it away, at the same moment
    if lasting:
        _sync_folder(home.parent)


def _placed(new: Path, home: Path) -> bool:
    """Whether it is in its place, which was empty when somebody last looked."""
    try:
        os.replace(new, home)
    except OSError as error:
        if error.errno not in TAKEN:
            raise
        return False
    return True


def _replaced(new: Path, home: Path) -> bool:
    """Whether it is in the place of another, which is gone then."""
    old = new.with_name(f"{new.name}-old")
    try:
        os.replace(home, old)
    except FileNotFoundError:
        return False
    try:
        placed = _placed(new, home)
    except BaseException:
        os.replace(old, home)
        raise
    _remove(old)
    return placed


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def replace_file(new: Path, path: Path) -> None:
    """Rename a finished file to its path, in the place of one that is there."""
    settle(new)
    make_folder(path.parent)
    os.replace(new, path)
    _sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        _sync_folder(one.parent)


def settle(path: Path) -> None:
    """Wait until the disk has a file, or a folder with all that is in it."""
    if not path.is_dir():
        _sync(path)
        return
    for below in path.iterdir():
        settle(below)
    _sync_folder(path)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems and Windows have no such thing for folders
        _sync(folder)


def _sync(path: Path) -> None:
    if os.environ.get("WS_SYNC") == "0":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
