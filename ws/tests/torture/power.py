"""Loss of power, on a disk that keeps only what was waited for.

The disk is simulated on a real one: it looks at each file and folder that is waited for (`os.fsync`) and remembers what
was in it. When the power goes, everything that was not waited for since may be there, or as it was before, or half
there, each by a throw of its own. Real disks are kinder. What a store had handed out before must be there afterwards.
"""

import os
import random
import resource
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ws.store import Recipe, Store
from ws.tests.torture.recipes import all_of
from ws.tests.torture.sameness import Whole, judge
from ws.tests.torture.tally import Tally

Entries = dict[str, int]
"""The number of the file or folder under each name of a folder."""


@dataclass
class Disk:
    """What of the files below a folder would outlast a loss of power."""

    folder: Path
    files: dict[int, bytes] = field(default_factory=dict)
    folders: dict[int, Entries] = field(default_factory=dict)
    _held: dict[int, int] = field(default_factory=dict)
    """Every file and folder that was ever seen is held open, so that the system gives its number to no other."""

    def __post_init__(self) -> None:
        self.waited(self.folder)

    def waited(self, path: Path | int) -> None:
        """A file or folder was waited for: it is kept as it is now."""
        handle = path if isinstance(path, int) else os.open(path, os.O_RDONLY)
        number = self._hold(handle)
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            self.folders[number] = self._entries(handle)
        else:
            self.files[number] = os.pread(handle, os.fstat(handle).st_size, 0)
        if not isinstance(path, int):
            os.close(handle)

    def crash(self, out: Path, rng: random.Random) -> None:
        """Write what may be there after a loss of power at this moment."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            self._folder(os.fstat(handle).st_ino, out, rng)
        finally:
            os.close(handle)

    def release(self) -> None:
        for handle in self._held.values():
            os.close(handle)

    def _folder(self, number: int, out: Path, rng: random.Random) -> None:
        out.mkdir()
        kept = self.folders.get(number, {})
        now = self._entries(self._held[number])
        for name in sorted(kept.keys() | now.keys()):
            found = kept.get(name) if kept.get(name) == now.get(name) else rng.choice([kept.get(name), now.get(name)])
            if found is None:
                continue
            if stat.S_ISDIR(os.fstat(self._held[found]).st_mode):
                self._folder(found, out / name, rng)
            else:
                (out / name).write_bytes(self._content(found, rng))

    def _content(self, number: int, rng: random.Random) -> bytes:
        handle = self._held[number]
        kept, now = self.files.get(number, b""), os.pread(handle, os.fstat(handle).st_size, 0)
        if kept == now:
            return now
        return rng.choice([kept, now[: rng.randrange(len(now) + 1)], bytes(len(now))])

    def _entries(self, handle: int) -> Entries:
        found = {}
        for name in os.listdir(handle):
            try:
                one = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=handle)
            except FileNotFoundError:
                continue
            found[name] = self._hold(one)
            os.close(one)
        return found

    def _hold(self, handle: int) -> int:
        number = os.fstat(handle).st_ino
        if number not in self._held:
            self._held[number] = os.dup(handle)
        return number


@contextmanager
def watched(disk: Disk, at: Callable[[], None]) -> Iterator[None]:
    """Let a disk see what is waited for; `at` is called before each such moment and after each rename.

    What `at` does itself is not watched.
    """
    fsync, replace = os.fsync, os.replace

    def stop() -> None:
        os.fsync, os.replace = fsync, replace

    def look() -> None:
        stop()
        try:
            at()
        finally:
            start()

    def waiting(handle: int) -> None:
        look()
        fsync(handle)
        disk.waited(handle)

    def renaming(source: str | Path, target: str | Path) -> None:
        replace(source, target)
        look()

    def start() -> None:
        os.fsync, os.replace = waiting, renaming  # type: ignore[assignment]

    start()
    try:
        yield
    finally:
        stop()


def power(part: str, wanted: Sequence[Recipe], whole: Whole, room: Path, *, count: int, rng: random.Random) -> Tally:
    """So many losses of power, at moments of builds of the same recipes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    tally = Tally(part)
    try:
        while tally.done < count and tally.bad.total() <= count:
            _build_and_lose(wanted, whole, room, tally, rng, count=count)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return tally


def _build_and_lose(
    wanted: Sequence[Recipe], whole: Whole, room: Path, tally: Tally, rng: random.Random, *, count: int
) -> None:
    """Build everything once; at some of its moments look at what would be left."""
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir(parents=True)
    disk = Disk(_made(room / "disk"))
    root = disk.folder / "store"
    store, promised = Store(root), list[Recipe]()

    def lose() -> None:
        if tally.done < count and rng.random() < 0.1:
            tally.done += 1
            disk.crash(room / "after", rng)
            _judge_after(room / "after" / "store", wanted, promised, whole, tally)
            shutil.rmtree(room / "after")

    with watched(disk, lose):
        for recipe in all_of(wanted):
            store.get(recipe)
            promised.append(recipe)
    disk.release()


def _judge_after(root: Path, wanted: Sequence[Recipe], promised: Sequence[Recipe], whole: Whole, tally: Tally) -> None:
    store = Store(root)
    for recipe in promised:
        if not store.has(recipe):
            tally.blame("lost", f"{recipe.describe()} had been handed out")
    tally.said["artifacts handed out before"] += len(promised)
    for recipe in wanted:
        store.get(recipe)
    judge(root, whole, tally, complete=True)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
