"""A store behind a URL: a folder is its working copy, from which everything is read.

What the folder lacks is fetched; what is nowhere is built here, while the other machines wait, and uploaded.
"""

import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from ws.errors import StoreError
from ws.remote.layout import mark_name
from ws.remote.leases import Leases, Pace
from ws.remote.objects import Objects
from ws.remote.supply import RemoteSupply
from ws.remote.uploads import Uploads
from ws.store import Recipe, Store
from ws.store.progress import say
from ws.store.supplies import Supply

NAME = "copy.json"
"""The file of a working copy that says of which URL it is one, and what its leases are called by."""


class RemoteStore(Store):
    """A folder of artifacts with a URL behind it, which several machines share.

    An artifact that is in the folder is served without a word to the network.
    """

    def __init__(
        self,
        objects: Objects,
        copy: Path,
        *,
        fresh: bool = False,
        supplies: Sequence[Supply] = (),
        pace: Pace | None = None,
    ) -> None:
        """`copy` is the folder on this machine. With `fresh`, what is built replaces what is below the URL.

        Raises: StoreError if the folder is the working copy of another URL.
        """
        super().__init__(copy, fresh=fresh)
        self.objects = objects
        self.remote = RemoteSupply(objects)
        # What is on this machine first.
        self.supplies = (*supplies, self.remote)
        self._uploads = Uploads(self.root, objects)
        with self.usable():
            self._leases = Leases(objects, _owner(self.root, objects.name), pace)
        self._send_waiting()

    @property
    def url(self) -> str:
        """The URL as it was given, with what it says of user and password."""
        return self.objects.url

    def _build(self, recipe: Recipe, key: str, home: Path) -> None:
        """Build the artifact and upload it, unless another machine has done so while this one waited."""
        self.remote.ready()
        with self._leases.held(key, recipe.describe()):
            if self._came(recipe, key, home):
                return
            self._uploads.note(key, home.parent.name)
            super()._build(recipe, key, home)
            self._uploads.send(home, replace=self.fresh or key in self.remote.doubts)
            self.remote.doubts.pop(key, None)
            if self.fresh:
                self.objects.write(mark_name(self._run.name, key), b"")

    def _came(self, recipe: Recipe, key: str, home: Path) -> bool:
        """Whether another machine has uploaded what this one is about to build, which is in its place now."""
        if not self.fresh:
            return self._took(recipe, key, home)
        built_in_this_run = self.objects.size(mark_name(self._run.name, key)) is not None
        return built_in_this_run and self._came_from(self.remote, recipe, key, home)

    def _send_waiting(self) -> None:
        """Upload what an earlier run could not; say so where that is still impossible, and go on."""
        if next(self._uploads.waiting(), None) is None:
            return
        self.tidy()
        try:
            self.remote.ready()
            self._uploads.send_waiting()
        except StoreError as error:
            say(f"what an earlier run built is not uploaded yet: {error}")


def _owner(root: Path, name: str) -> str:
    """What leases of a working copy are called by; made when the folder is first used.

    Raises: StoreError if the folder is the working copy of another URL.
    """
    file = root / NAME
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            scratch = file.with_suffix(".new")
            scratch.write_text(json.dumps({"url": name, "owner": uuid.uuid4().hex}) + "\n", encoding="utf-8")
            os.replace(scratch, file)
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        url, owner = str(said["url"]), str(said["owner"])
    except (ValueError, LookupError, TypeError) as error:
        raise StoreError(f"{file} cannot be read ({error!r}); remove it if {root} is the copy of {name}") from error
    if url != name:
        raise StoreError(
            f"{root} is the working copy of {url}, not of {name}; name another folder with WS_STORE_COPY=PATH"
        )
    return owner
