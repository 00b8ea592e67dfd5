"""Results that were worked out from artifacts before, kept beside these.

<root>/judged/<digest of its name>.json     a hash of all that follows, then as JSON
    grounds     a digest of what the result rests on beside artifacts, such as code and settings
    read        the artifacts, as KIND/KEY, each with the hash that its manifest begins with
    result      whatever was worked out
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ws.store.artifacts import Store
from ws.store.manifests import MANIFEST, seal_of

FOLDER = "judged"


class Remembered:
    """The results that a store keeps."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = store.root / FOLDER
        self._seals: dict[tuple[str, int, int], str | None] = {}

    def recall(self, name: str, grounds: str) -> Any:
        """The result of this name, if it rests on these grounds and on artifacts that are as they were; else None."""
        said = read(self._file(name))
        if said is None or said["grounds"] != grounds:
            return None
        is_as_it_was = all(self._seal(place) == seal for place, seal in said["read"].items())
        return said["result"] if is_as_it_was else None

    def keep(self, name: str, grounds: str, result: Any, *, keys: Iterable[str]) -> None:
        """Keep a result that was read from the artifacts of these keys, in place of an earlier one of its name.

        A result that names no artifacts, or one that nobody asked for, is not kept. A store that cannot be written to
        says so when something is built.
        """
        read_from = self._read_from(keys)
        if not read_from or None in read_from.values() or not self._store.root.is_dir():
            return
        file = self._file(name)
        new = file.with_name(f"{file.stem}.{uuid.uuid4().hex}.tmp")
        try:
            self._folder.mkdir(exist_ok=True)
            new.write_text(_written({"grounds": grounds, "read": read_from, "result": result}), "utf-8")
            os.replace(new, file)
        except OSError:
            with suppress(OSError):
                new.unlink()

    def forget(self, name: str) -> None:
        """Keep no result of this name any more."""
        with suppress(OSError):
            self._file(name).unlink(missing_ok=True)

    def _read_from(self, keys: Iterable[str]) -> dict[str, str | None]:
        """The seal of each artifact by its place in the store; of one that nobody asked for, None."""
        asked = self._store.asked
        places = {key: f"{type(asked[key]).__name__}/{key}" if key in asked else None for key in keys}
        return {place or key: place and self._seal(place) for key, place in places.items()}

    def _seal(self, place: str) -> str | None:
        """The hash that the manifest at a place of the store begins with, read again only if the file is another."""
        home = self._store.root / place
        try:
            status = (home / MANIFEST).stat()
        except OSError:
            return None
        known = (place, status.st_mtime_ns, status.st_ino)
        if known not in self._seals:
            self._seals[known] = seal_of(home)
        return self._seals[known]

    def _file(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


def read(file: Path) -> dict[str, Any] | None:
    """What a file says; None if there is none, or not what was written."""
    try:
        seal, _, text = file.read_text("utf-8").partition("\n")
        said = json.loads(text) if hashlib.sha256(text.encode()).hexdigest() == seal else None
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def _written(said: dict[str, Any]) -> str:
    text = json.dumps(said, ensure_ascii=False, allow_nan=False)
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}"
