"""Finding and removing what no recipe of this checkout reaches in a store.

An artifact is reached if today's code gives its recipe, as its manifest keeps it, the same key. Models of one's own and
artifacts of other packages that share the store are never touched.
"""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ws.errors import StoreError
from ws.store import Store, locks
from ws.store.known import FOLDER as KNOWN
from ws.store.known import code_digest
from ws.store.manifests import read_manifest
from ws.store.progress import track
from ws.store.remembered import FOLDER as JUDGED
from ws.store.remembered import read
from ws.store.texts import FOLDER as CODE
from ws.upkeep.standing import KEY, Standing, homes_in, standings

DAY = 24 * 3600.0
"""Seconds. A run with --fresh may take as long as this between two artifacts, which it notes in runs/."""

CARRY_LOCK = "carry.lock"


@dataclass(frozen=True)
class Waste:
    """Something in the store that may go."""

    path: Path
    group: str
    """The kind of artifact, or the folder that it lies in."""
    why: str
    bytes: int


@dataclass(frozen=True)
class Garbage:
    """All that may go, and what stays."""

    waste: tuple[Waste, ...]
    kept: tuple[Standing, ...]
    foreign: tuple[Standing, ...]
    """The kept artifacts that belong to other packages."""

    @property
    def bytes(self) -> int:
        """Bytes that removing it frees; a file that a kept artifact shares frees nothing."""
        return freed(one.path for one in self.waste)


def garbage_of(store: Store, *, older_than_days: float = 0.0) -> Garbage:
    """Everything in a store that may go and is at least this old."""
    before = time.time() - older_than_days * DAY
    kept, foreign, waste = [], [], []
    for one in standings(store):
        if not one.is_ours:
            foreign.append(one)
        if one.is_reached or not one.is_ours or _is_of_files(one) or _made(one) > before:
            kept.append(one)
        else:
            waste.append(Waste(one.manifest.home, one.manifest.kind, _why(one), size(one.manifest.home)))
    waste += [
        Waste(path, path.parent.name, why, size(path))
        for path, why in _leftovers(store.root, kept)
        if _changed(path) <= before
    ]
    return Garbage(tuple(waste), tuple(kept), tuple(foreign))


def remove(store: Store, garbage: Garbage) -> None:
    """Delete it. Raises: StoreError, before anything is deleted, if a process is building or carrying what would go."""
    for one in garbage.waste:
        with _free(store.root, one.path):
            pass
    for one in track(garbage.waste, "removing"):
        with _free(store.root, one.path):
            _delete(one.path)


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(status.st_size for status in _files(path))


def freed(paths: Iterable[Path]) -> int:
    """Bytes of the files below some paths that have no link anywhere else."""
    found = {}
    links = Counter[tuple[int, int]]()
    for path in paths:
        for status in _files(path):
            links[status.st_dev, status.st_ino] += 1
            found[status.st_dev, status.st_ino] = status
    return sum(status.st_size for inode, status in found.items() if links[inode] >= status.st_nlink)


def _why(one: Standing) -> str:
    return one.why if one.key is None else f"its key is {one.key[:12]} today"


def _is_of_files(one: Standing) -> bool:
    """Whether the artifact belongs to a model that stays where its owner put it."""
    return getattr(one.recipe, "kind", None) == "files"


def _made(one: Standing) -> float:
    """When it was built, or carried to this key."""
    dates = [one.manifest.created, *(entry.get("date", "") for entry in one.manifest.carried)]
    try:
        return max(datetime.fromisoformat(date).timestamp() for date in dates if date)
    except ValueError:
        return _changed(one.manifest.home)


def _leftovers(root: Path, kept: Iterable[Standing]) -> Iterator[tuple[Path, str]]:
    """Files that are no artifacts: left by killed builds, damage and runs that are over, or belonging to garbage."""
    keys = {one.manifest.key for one in kept}
    sources = {one.manifest.said.get("source") for one in kept}
    for folder, why in (("tmp", "of a build that was killed"), ("damaged", "did not match its manifest")):
        yield from ((path, why) for path in _entries(root / folder))
    over = time.time() - DAY
    yield from ((path, "of a run that is over") for path in _entries(root / "runs") if _changed(path) < over)
    yield from (
        (path, "of code that has changed since") for path in _entries(root / KNOWN) if path.name != code_digest()
    )
    yield from ((path, "no artifact has its key") for path in _entries(root / locks.FOLDER) if path.stem not in keys)
    for path in _entries(root / JUDGED):
        if not keys.issuperset(_read_by(path)):
            yield path, "a verdict that was read from artifacts that are gone"
    for path in _entries(root / CODE):
        if not path.name.endswith(".json.gz"):
            yield path, "of a build that was killed"
        elif _source(path) not in sources:
            yield path, "no artifact is made by it"
    for folder in ("carry", "audits"):
        yield from ((path, "of an audit that was not finished") for path in _entries(root / folder))
    yield from ((path, "of a bisection of `ws diff`") for path in _entries(root / "bisect"))
    yield from ((home, "its manifest cannot be read") for home in _unreadable(root))


def _read_by(path: Path) -> list[str]:
    """The keys of the artifacts that a result was read from; of a file that holds none, its name, which is no key."""
    said = read(path)
    return [path.name] if said is None else [place.rpartition("/")[2] for place in said["read"]]


def _unreadable(root: Path) -> Iterator[Path]:
    return (home for home in homes_in(root) if read_manifest(home) is None)


def _source(path: Path) -> str:
    return path.name.partition(".")[0]


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _changed(path: Path) -> float:
    return path.lstat().st_mtime


def _files(path: Path) -> Iterator[os.stat_result]:
    """The status of a file, or of every file in a folder; of none where there is nothing."""
    paths = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    yield from (one.lstat() for one in paths if one.is_symlink() or one.is_file())


@contextmanager
def _free(root: Path, path: Path) -> Iterator[None]:
    """Hold the lock of what a path belongs to, so that nobody builds it meanwhile."""
    if path.parent.name == "carry":
        with _carried(root, path):
            yield
    elif (key := KEY.match(path.name)) is None:
        yield
    else:
        with locks.held_if_free(root, key[0]) as is_free:
            if not is_free:
                raise _in_use(path)
            yield


@contextmanager
def _carried(root: Path, path: Path) -> Iterator[None]:
    """Hold the lock of all audits, if there ever was one."""
    if not (root / CARRY_LOCK).exists():
        yield
        return
    held = FileLock(root / CARRY_LOCK)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise _in_use(path) from None
    try:
        yield
    finally:
        held.release()


def _in_use(path: Path) -> StoreError:
    return StoreError(f"{path} is in use: another process builds or carries it; run this again when that is done")


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
