"""A URL as a supply of a store: what is there, nobody needs to build."""

import shutil
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ws.errors import StoreError
from ws.remote.documents import File, decoded, files_of, made
from ws.remote.layout import FILES, FORMAT, LAYOUT, MANIFESTS, file_name, key_of, manifest_name
from ws.remote.objects import Objects
from ws.store import StoreWarning, progress
from ws.store.manifests import Damaged, sha256
from ws.store.origin import now

SECONDS_BETWEEN_LISTINGS = 10.0
"""For so long, what is there is not listed again to answer what is not."""

LARGE = 50e6
"""Bytes from which on it is said that an artifact is being fetched."""


class RemoteSupply:
    """Hands out the artifacts below a URL, each checked against the hashes in its manifest."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.doubts: dict[str, str] = {}
        """By key, what was wrong with an artifact when it was last fetched."""
        self._there: set[str] = set()
        self._listed = -float("inf")
        self._is_ready = False

    @property
    def name(self) -> str:
        """What messages and manifests call it."""
        return self.objects.name

    def has(self, key: str) -> bool:
        """Whether the artifact was there a moment ago, and nothing was wrong with it then."""
        self.ready()
        if key not in self._there and time.monotonic() - self._listed >= SECONDS_BETWEEN_LISTINGS:
            self._there = self.keys()
            self._listed = time.monotonic()
        return key in self._there and key not in self.doubts

    def keys(self) -> set[str]:
        """The keys of all artifacts that are there."""
        return set(filter(None, map(key_of, self.objects.entries(MANIFESTS))))

    def bring(self, key: str, out: Path) -> Mapping[str, Any] | None:
        """The artifact's files, in `out`, and how they were made; None if they are not there, or not whole.

        Damage is said when it is met a second time: the first may have been an upload under way.
        Raises: StoreError if the URL does not answer, or there is no room for the files.
        """
        self.ready()
        content = self.objects.read(manifest_name(key))
        if content is None:
            return None
        try:
            said = decoded(content, key)
            told = made(said)
            self._fetch(key, files_of(said, out), out)
        except Damaged as reason:
            _empty(out)
            self._doubt(key, str(reason))
            return None
        self.doubts.pop(key, None)
        return {**told, "fetched": {"from": self.name, "date": now()}}

    def ready(self) -> None:
        """See once that a store of this layout is there, or make the beginning of one.

        Raises: StoreError if the URL has something else.
        """
        if self._is_ready:
            return
        there = self.objects.read(FORMAT)
        if there is None:
            self.objects.create(FORMAT, LAYOUT)
        elif there != LAYOUT:
            raise StoreError(
                f"{self.name}/{FORMAT} is not what this version writes; the store is of another version, or no store: "
                "name another URL"
            )
        self._is_ready = True

    def _fetch(self, key: str, files: list[File], out: Path) -> None:
        total = sum(one.bytes for one in files)
        free = shutil.disk_usage(out).free
        if total > free:
            raise StoreError(
                f"no room for {key[:12]} of {self.name}: it has {_size(total)}, {out.anchor} {_size(free)} for {out}; "
                "make room, or name another folder with WS_STORE_COPY=PATH"
            )
        if total >= LARGE:
            progress.say(f"fetching {_size(total)} from {self.name}  {key[:6]}")
        there = self.objects.sizes(f"{FILES}/{key}")
        for one in files:
            name = file_name(key, one.sha256)
            # A listing may be older than the file.
            size = there[name] if name in there else self.objects.size(name)
            said = one.path.relative_to(out).as_posix()
            if size is None:
                raise Damaged(f"{said} is missing")
            if size != one.bytes:
                raise Damaged(f"{said} has {size} bytes, {one.bytes} in its manifest")
            one.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.objects.download(name, one.path):
                raise Damaged(f"{said} is missing")
            if sha256(one.path) != one.sha256:
                raise Damaged(f"{said} does not have the sha256 of the manifest")

    def _doubt(self, key: str, reason: str) -> None:
        if key in self.doubts:
            warnings.warn(
                f"the artifact {self.name}/{manifest_name(key)} is damaged: {reason}; it is built again and replaced",
                StoreWarning,
                stacklevel=5,
            )
        self.doubts[key] = reason


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
