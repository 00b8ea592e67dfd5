"""The bytes of a file that somebody else wrote: a plain one, no larger than it may be.

A FIFO would be waited for without end, a device may never end, and a file of a terabyte need not have a byte on the
disk. All of these are refused by name, before anything of them is read.
"""

import difflib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ws.errors import WsError

Refuse = Callable[[str], WsError]
"""Makes an error of a message: one of the classes of `ws.errors`, that which the reader of the file refuses it by."""

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO (named pipe)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

HOLES = 64 << 20
"""Bytes that a file may have without any being written: programs that copy leave out zeros, such as padded rows."""

POINTER = b"version https://git-lfs.github.com/spec/"
"""How a file begins that Git LFS has not fetched yet."""

STRETCHES = 10_000
"""So many written stretches of a file are looked for; one that is more scattered counts as written up to its end."""


def content(path: Path, *, most: int, what: str, refuse: Refuse) -> bytes:
    """All bytes of a plain file of `most` bytes or fewer; `what` says what is expected there, such as `a JSON file`.

    Raises: `refuse` if there is no such file, or it is no plain one, too large, or may not be read.
    """
    with opened(path, what=what, refuse=refuse) as file:
        # A file may grow while it is read, so its size alone decides nothing.
        found = file.read(most + 1) if size_of(file) <= most else None
        if found is not None and len(found) <= most:
            return found
        size = max(size_of(file), most + 1)
    raise refuse(f"{path} has {size:,} bytes; expected {what}, of {most:,} bytes at most; leave out what is not needed")


@contextmanager
def opened(path: Path, *, what: str, refuse: Refuse) -> Iterator[BinaryIO]:
    """A plain file, open to be read.

    Raises: `refuse` if there is none, it is something else, or it may not be read.
    """
    check_plain(path, what=what, refuse=refuse)
    try:
        # Should it have become a FIFO by now, this waits for nobody who writes into it.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise refuse(_unread(path, error, what)) from error
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise refuse(f"{path} is no plain file any more; expected {what}; save it as one")
        try:
            yield file
        except OSError as error:
            if isinstance(error, WsError):
                raise
            raise refuse(_unread(path, error, what)) from error


def check_plain(path: Path, *, what: str, refuse: Refuse) -> int:
    """The size of a plain file, where `path` names one or is a link to one. Raises: `refuse` if it does not."""
    try:
        seen = os.stat(path)
    except FileNotFoundError as error:
        raise refuse(f"no file {path}; expected {what}; {_meant(path)}") from error
    except (OSError, ValueError) as error:
        raise refuse(_unread(path, error, what)) from error
    if not stat.S_ISREG(seen.st_mode):
        kind = next((name for is_kind, name in KINDS if is_kind(seen.st_mode)), "no plain file")
        advice = "name a file in it" if stat.S_ISDIR(seen.st_mode) else "save what it gives as a plain file"
        raise refuse(f"{path} is {kind}; expected {what}; {advice}")
    return seen.st_size


def check_written(file: BinaryIO, path: Path, *, what: str, refuse: Refuse) -> None:
    """Look at an open file, which is read from its start afterwards.

    Raises: `refuse` if it only points to one that is elsewhere, or most of it was never written.
    """
    file.seek(0)
    if file.read(len(POINTER)) == POINTER:
        raise refuse(f"{path} only points to a file of Git LFS; expected {what} itself; run `git lfs pull`")
    size = size_of(file)
    if (missing := _unwritten(file, size)) > max(HOLES, size // 2):
        raise refuse(
            f"{path} has {size:,} bytes, of which {missing:,} were never written (it is a sparse file); expected "
            f"{what}; copy or fetch it anew"
        )
    file.seek(0)


def size_of(file: BinaryIO) -> int:
    """The size of an open file."""
    return os.fstat(file.fileno()).st_size


def _unwritten(file: BinaryIO, size: int) -> int:
    """Bytes of a file that are on no disk; 0 where the system keeps no account of them."""
    if not hasattr(os, "SEEK_HOLE"):
        return 0
    # Python's own reader does not know that the place is moved beneath it.
    number = file.fileno()
    before = os.lseek(number, 0, os.SEEK_CUR)
    try:
        return _in_holes(number, size)
    finally:
        os.lseek(number, before, os.SEEK_SET)


def _in_holes(number: int, size: int) -> int:
    """Bytes in the holes of an open file."""
    missing = at = 0
    for _ in range(STRETCHES):
        try:
            start = os.lseek(number, at, os.SEEK_DATA)
            missing, at = missing + start - at, os.lseek(number, start, os.SEEK_HOLE)
        except OSError as error:
            return missing + (size - at if error.errno == errno.ENXIO else 0)
        if at >= size:
            break
    return missing


def _unread(path: Path, error: OSError | ValueError, what: str) -> str:
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return f"cannot read {path}: {said}; expected {what}; name one that you may read"


def _meant(path: Path) -> str:
    """What to do about a name that no file has."""
    try:
        beside = os.listdir(path.parent)
    except (OSError, ValueError):
        beside = []
    near = difflib.get_close_matches(path.name, beside[:10_000], n=1)
    return f"did you mean {near[0]!r}?" if near else "check its name"
