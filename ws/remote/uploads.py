"""Uploading an artifact: its files, and its manifest when all of them are there. Doing it again changes nothing.

What is to be uploaded is noted on disk before it is built, and the note goes when it is there; so what a killed process
or a network that failed has left behind is uploaded by the next one.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ws.errors import StoreError
from ws.remote.documents import encoded
from ws.remote.layout import CODE, FILES, code_name, file_name, manifest_name
from ws.remote.objects import Objects
from ws.store import locks, manifests
from ws.store.manifests import Manifest, inside, read_manifest
from ws.store.progress import say
from ws.store.texts import text_path

FOLDER = "waiting"
"""The folder of a working copy with a file for each artifact that is to be uploaded, which says where it is."""

LARGE = 50e6
"""Bytes from which on it is said that an artifact is being uploaded."""


class Uploads:
    """What goes from a folder of artifacts to a URL."""

    def __init__(self, root: Path, objects: Objects) -> None:
        self._root, self._objects = root, objects
        self._codes: set[str] | None = None

    def note(self, key: str, kind: str) -> None:
        """Note that an artifact is to be uploaded."""
        note = self._note(key)
        note.parent.mkdir(parents=True, exist_ok=True)
        # By one process at a time, which holds the lock of the key.
        scratch = note.with_name(f"{key}.{os.getpid()}")
        scratch.write_text(kind, encoding="utf-8")
        os.replace(scratch, note)

    def done(self, key: str) -> None:
        self._note(key).unlink(missing_ok=True)

    def send(self, home: Path, *, replace: bool = False, resume: bool = False) -> None:
        """Upload an artifact; where one of its key is there already, it stays, unless it is to be replaced.

        `resume` looks first which files an earlier try has uploaded.

        Raises: StoreError if that cannot be done; the note stays, and the artifact is where it was.
        """
        manifest = read_manifest(home)
        if manifest is None:
            raise StoreError(f"{home} has no manifest that can be read, and is not uploaded")
        self._send_files(manifest, resume=resume and not replace)
        self._send_code(manifest.said.get("source"))
        name, content = manifest_name(manifest.key), encoded(_of_the_artifact(manifest))
        if replace:
            self._objects.write(name, content)
        else:
            self._objects.create(name, content)
        self.done(manifest.key)

    def waiting(self) -> Iterator[tuple[str, Path]]:
        """The keys that are noted, and where their artifacts are."""
        folder = self._root / FOLDER
        for note in sorted(folder.iterdir()) if folder.is_dir() else []:
            if len(note.name) == 32 and (kind := note.read_text(encoding="utf-8")).isidentifier():
                yield note.name, self._root / kind / note.name

    def send_waiting(self) -> int:
        """Upload what is noted and whole, apart from what another process has in hand; returns how many were."""
        sent = 0
        for key, home in list(self.waiting()):
            with locks.held_if_free(self._root, key) as is_free:
                if not is_free or not self._note(key).exists():
                    continue
                if manifests.damage(home, key) is not None:
                    self.done(key)  # It was never finished, or is built again when somebody asks for it.
                    continue
                self.send(home, resume=True)
                sent += 1
        if sent:
            say(f"uploaded {sent} {'artifact' if sent == 1 else 'artifacts'} of an earlier run to {self._objects.name}")
        return sent

    def _send_files(self, manifest: Manifest, *, resume: bool) -> None:
        if manifest.bytes >= LARGE:
            say(f"uploading {manifest.bytes / 1e6:.0f} MB to {self._objects.name}  {manifest.key[:6]}")
        there = self._objects.sizes(f"{FILES}/{manifest.key}") if resume else {}
        for name, one in manifest.said["files"].items():
            place = file_name(manifest.key, one["sha256"])
            if there.get(place) != one["bytes"]:
                self._objects.upload(inside(manifest.home, name), place)

    def _send_code(self, source: str | None) -> None:
        """The code behind a key, for `ws store why`, unless it is there."""
        if source is None or not (texts := text_path(self._root, source)).is_file():
            return
        if self._codes is None:
            self._codes = set(self._objects.entries(CODE))
        if code_name(source) not in self._codes:
            self._objects.upload(texts, code_name(source))
            self._codes.add(code_name(source))

    def _note(self, key: str) -> Path:
        return self._root / FOLDER / key


def _of_the_artifact(manifest: Manifest) -> dict[str, Any]:
    """A manifest without what is only said of one machine's copy."""
    return {name: value for name, value in manifest.said.items() if name != "fetched"}
