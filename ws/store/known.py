"""Hashes of source code, cached between runs for as long as no file of the package changes.

Following all code behind the recipes of all claims takes a second. The hashes depend only on the files of the package
and the interpreter, so a store keeps them under a digest of both:

    <root>/sources/<digest>     a line per kind of recipe: the arguments, the hash of the code, a check of both
"""

import hashlib
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable
from functools import cache
from pathlib import Path

import ws

FOLDER = "sources"

_STARTED = time.time()
"""About when this process started; a file changed later may not be the one that it runs."""

_UNREACHED = frozenset({"tests", "bench"})
"""Rooms that no recipe reaches."""


class KnownSources:
    """The cached hashes of one store, for the code as it is now."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._file: Path | None = None
        self._known: dict[str, str] | None = None

    def get(self, kind: type, only: Collection[str], owners: Collection[type], work_out: Callable[[], str]) -> str:
        """The hash of the code behind a recipe class with these contents, computed if it is not cached.

        For recipes that are not the package's own, such as those of a test, it is computed each time.
        """
        digest = code_digest() if kind.__module__.startswith("ws.") and "tests" not in kind.__module__ else None
        if digest is None:
            return work_out()
        if self._known is None:
            self._file = self._root / FOLDER / digest
            self._known = _read(self._file)
        asked = _digest(kind, only, owners)
        if asked not in self._known:
            self._known[asked] = work_out()
            self._keep(asked, self._known[asked])
        return self._known[asked]

    def _keep(self, asked: str, source: str) -> None:
        assert self._file is not None
        try:
            if self._file.exists() and not self._file.is_file():
                return
            self._file.parent.mkdir(exist_ok=True)  # Without parents: asking for a key makes no store.
            with self._file.open("a", encoding="ascii") as out:
                out.write(f"{asked} {source} {_check(asked, source)}\n")
        except OSError:
            return  # A store that cannot be written to raises when something is built.


def _read(file: Path) -> dict[str, str]:
    """What the sound lines of a file say; a killed process or a disk may have left others."""
    if not file.is_file():
        return {}
    lines = (line.split() for line in file.read_text(encoding="ascii", errors="replace").splitlines())
    sound = (words for words in lines if len(words) == 3 and words[2] == _check(words[0], words[1]))
    return {asked: source for asked, source, _ in sound}


def _check(asked: str, source: str) -> str:
    """What no other line ends with."""
    return hashlib.sha256(f"{asked} {source}".encode()).hexdigest()[:16]


def _digest(kind: type, only: Collection[str], owners: Collection[type]) -> str:
    names = sorted(f"{owner.__module__}.{owner.__qualname__}" for owner in owners)
    asked = (f"{kind.__module__}.{kind.__qualname__}", sorted(only), names)
    return hashlib.sha256(repr(asked).encode()).hexdigest()


@cache
def code_digest() -> str | None:
    """A digest of every file of the package and of the interpreter; None if a file changed after the process began."""
    root = Path(ws.__file__).parent
    files = (path for path in root.rglob("*.*") if path.is_file() and path.suffix != ".pyc")
    digest = digest_of((path for path in files if path.relative_to(root).parts[0] not in _UNREACHED), below=root)
    return digest and hashlib.sha256(f"{sys.version}\0{digest}".encode()).hexdigest()[:32]


def digest_of(files: Iterable[Path], *, below: Path) -> str | None:
    """A digest of files, by content and place `below` a folder.

    None if one changed after the process began, or cannot be read.
    """
    found = hashlib.sha256()
    try:
        for path in sorted(files):
            status = path.stat()
            # A file that is moved here keeps the time of its content.
            if max(status.st_mtime, status.st_ctime) >= _STARTED:
                return None
            found.update(os.fsencode(path.relative_to(below)) + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    except OSError:
        return None
    return found.hexdigest()[:32]
