"""What goes wrong with a disk, as one kind of error that says where and what to do."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ws.errors import StoreError

ELSEWHERE = "with --store PATH or WS_STORE=PATH"
MAKE_ROOM = f"make room, as `ws store gc` does, or choose a larger disk {ELSEWHERE}"
TOO_LARGE = f"raise the limit (`ulimit -f` shows one), or choose a disk that takes such files {ELSEWHERE}"
ASK_LEAVE = f"choose a folder that you may write to, {ELSEWHERE}"
MOVE_AWAY = f"something else lies where a store has a folder or file of its own: move it, or choose another {ELSEWHERE}"
LOOK_AFTER = f"the disk has a fault: see what the system says of it, and choose another {ELSEWHERE}"

ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), MAKE_ROOM),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), ASK_LEAVE),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG), MOVE_AWAY),
    errno.EFBIG: TOO_LARGE,
    errno.EIO: LOOK_AFTER,
}

NUMBER = re.compile(r"\((?:os error|errno) (\d+)\)|\[errno (\d+)\]", re.IGNORECASE)
"""How libraries that are not written in Python name the system's error: Rust's, and Arrow's."""


@contextmanager
def usable(root: Path) -> Iterator[None]:
    """Raise errors with advice if the disk is full, read-only or broken, or holds something else in a store's place."""
    try:
        yield
    except OSError as error:
        path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else root
        if error.errno not in ADVICE or not path.is_relative_to(root):
            raise
        said = os.strerror(error.errno)
        raise StoreError(f"cannot use the store: {said}: {path}; {ADVICE[error.errno]}") from error


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn the error of a library that could not write into `out` into the system's own."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        _raise_as_own(error, out)
        raise
    except Exception as error:
        _raise_as_own(error, out)
        raise


def _raise_as_own(error: Exception, out: Path) -> None:
    found = NUMBER.search(str(error))
    number = int(found[1] or found[2]) if found else 0
    if number in ADVICE:
        raise OSError(number, os.strerror(number), str(out)) from error


def why_no_folder(path: Path) -> str | None:
    """What keeps a path from being a folder or from being made one, in words; None if nothing does."""
    path = path.expanduser().absolute()
    nearest = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if nearest.is_dir():
        return None
    return f"{nearest} is {'a link that leads nowhere' if nearest.is_symlink() else 'no folder'}"
