"""Machines that share a store: a file system in memory that fails as told, recipes to build, and a folder for each."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fsspec.implementations.memory import MemoryFileSystem

from ws.remote import RemoteStore
from ws.remote.leases import Pace
from ws.remote.objects import Objects
from ws.store import Recipe, Store

URL = "memory://bucket/shared"
QUICK = Pace(beat=0.05, lasts=60.0, poll=0.01, settle=0.05)
"""Frequent signs of life, and no machine so slow that it is taken for dead."""


@dataclass(frozen=True)
class Words(Recipe):
    """A file of text, and one in a folder."""

    text: str

    def build(self, out: Path, store: Store) -> None:
        (out / "text.txt").write_text(self.text)
        (out / "more").mkdir()
        (out / "more" / "length.txt").write_text(str(len(self.text)))


@dataclass(frozen=True)
class Both(Recipe):
    """Two texts as one."""

    first: Words
    second: Words

    def build(self, out: Path, store: Store) -> None:
        texts = [(store.get(one) / "text.txt").read_text() for one in (self.first, self.second)]
        (out / "both.txt").write_text(" ".join(texts))


@dataclass(frozen=True)
class Slow(Recipe):
    """A text that takes a while, and a line in a file that tells who wrote it."""

    text: str
    diary: str
    seconds: float = 0.1

    def build(self, out: Path, store: Store) -> None:
        with Path(self.diary).open("a") as lines:
            lines.write(f"{self.text}\n")
        time.sleep(self.seconds)
        (out / "text.txt").write_text(self.text)


class Bucket(MemoryFileSystem):
    """Objects in memory, which are counted as they are asked for, and fail as `trouble` says."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.store: dict[str, Any] = {}
        self.pseudo_dirs = [""]
        self.asked = Counter[str]()
        self.written: list[str] = []
        self.trouble: Callable[[str, str], None] = lambda what, path: None
        """Called with what is asked and the path before each answer; what it raises is the answer."""
        self.unlisted: set[str] = set()
        """Objects that can be read and that listings do not show yet."""

    def names(self) -> list[str]:
        """The names of all objects."""
        return sorted(path.removeprefix("/bucket/shared/") for path in self.store)

    def content(self, name: str) -> bytes:
        return bytes(self.store[f"/bucket/shared/{name}"].getbuffer())

    def put(self, name: str, content: bytes) -> None:
        """Write an object, which nobody asked for."""
        super().pipe_file(f"/bucket/shared/{name}", content)

    def lose(self, name: str) -> None:
        del self.store[f"/bucket/shared/{name}"]

    def _meet(self, what: str, path: str) -> None:
        self.asked[what] += 1
        self.trouble(what, path.removeprefix("/bucket/shared/"))

    def cat_file(self, path: str, **kwargs: Any) -> bytes:
        self._meet("read", path)
        return super().cat_file(path, **kwargs)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        self._meet("write", path)
        super().pipe_file(path, value, mode=mode, **kwargs)
        self.written.append(path.removeprefix("/bucket/shared/"))

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        self._meet("write", rpath)
        super().pipe_file(rpath, Path(lpath).read_bytes())
        self.written.append(rpath.removeprefix("/bucket/shared/"))

    def get_file(self, rpath: str, lpath: str, **kwargs: Any) -> None:
        self._meet("read", rpath)
        Path(lpath).write_bytes(super().cat_file(rpath))

    def find(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
        self._meet("list", path)
        found: Mapping[str, Any] = super().find(path, detail=True, **kwargs)
        hidden = {f"/bucket/shared/{name}" for name in self.unlisted}
        return {path: entry for path, entry in found.items() if path not in hidden}

    def info(self, path: str, **kwargs: Any) -> Any:
        self._meet("read", path)
        return super().info(path, **kwargs)

    def rm_file(self, path: str) -> None:
        self._meet("delete", path)
        super()._rm(path)


@dataclass
class Machines:
    """Machines with a folder each and one bucket."""

    folder: Path
    bucket: Bucket = field(default_factory=Bucket)

    def start(self, name: str = "a", *, fresh: bool = False, pace: Pace = QUICK, url: str = URL) -> RemoteStore:
        """The store as a process of this machine sees it."""
        objects = Objects(url, filesystem=self.bucket, patience=(0.0, 0.0))
        return RemoteStore(objects, self.folder / name, fresh=fresh, pace=pace)


def text_of(store: Store, recipe: Recipe) -> dict[str, str]:
    """The files of an artifact with their texts."""
    home = store.get(recipe)
    paths = (path for path in sorted(home.rglob("*")) if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(home).as_posix(): path.read_text() for path in paths}


def main(url: str, copy: str, diary: str, *names: str) -> None:
    """A machine of its own: build a few slow texts in this order, and say so."""
    objects = Objects(url, patience=(0.1,))
    store = RemoteStore(objects, Path(copy), pace=Pace(beat=0.5, lasts=6.0, poll=0.05, settle=0.1))
    print("ready", flush=True)
    sys.stdin.readline()
    for name in names:
        store.get(Slow(name, diary))
    print(len(store.built), flush=True)


if __name__ == "__main__":
    from ws.tests import machines

    machines.main(*sys.argv[1:])
