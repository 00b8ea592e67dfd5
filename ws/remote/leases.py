"""Leases: which machine builds an artifact now, so that the others wait for it rather than build it too.

A lease is one object that names its holder and is written anew every few seconds. Whoever waits watches it, and takes
it over when it has stood still for as long as it says that it lasts: both are measured by the clock of the one who
waits, so that clocks which disagree do no harm. No file system is trusted to let only one in. Where two build the same
artifact all the same, nothing is damaged: their files lie side by side, named by their content, and whose manifest came
first is what all others take.
"""

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ws.errors import StoreError
from ws.remote.layout import lease_name
from ws.remote.objects import Objects
from ws.store import progress


@dataclass(frozen=True)
class Pace:
    """Seconds of what leases do."""

    beat: float = 20.0
    """Between two signs of life."""
    lasts: float = 120.0
    """Without a sign, until others take it over: six beats, so that a slow answer or two cost nothing."""
    poll: float = 3.0
    """Between two looks of one who waits."""
    settle: float = 2.0
    """Between taking a lease over and looking whether another has done so at the same moment."""


MOST_LASTING = 3600.0
"""What a lease says of itself is believed up to here."""


@dataclass
class Lease:
    """The right to build one artifact, as far as anybody knows."""

    key: str
    what: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    beats: int = 0
    is_lost: bool = False
    """Whether another machine has taken it over."""
    is_over: bool = False
    """Whether it is given back: a sign of life after that would make a lease that nobody holds."""
    mutex: threading.Lock = field(default_factory=threading.Lock)
    """Held by the thread that gives a sign or gives it back."""


class Leases:
    """The leases of one process, and the thread that keeps them alive."""

    def __init__(self, objects: Objects, owner: str, pace: Pace | None = None) -> None:
        """`owner` names this machine's folder: who holds the folder's own lock for a key knows that no other process
        of this machine builds it, and that a lease of this owner is one of a process that died."""
        self._objects, self._owner, self._pace = objects, owner, pace or Pace()
        self._held: dict[str, Lease] = {}
        self._mutex = threading.Lock()
        self._more = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def held(self, key: str, what: str) -> Iterator[Lease]:
        """The lease of an artifact, once it is free; `what` it is, in words."""
        lease = Lease(key, what)
        self._acquire(lease)
        self._keep_alive(lease)
        try:
            yield lease
        finally:
            with self._mutex:
                self._held.pop(key, None)
            # What is left of a lease ends by itself; an error here must not hide one of the build.
            with suppress(StoreError):
                self._release(lease)

    def _acquire(self, lease: Lease) -> None:
        name, is_said = lease_name(lease.key), False
        if self._made(lease):
            return
        seen, since = b"", time.monotonic()
        while True:
            there = self._objects.read(name)
            if there is None:
                if self._made(lease):
                    return
                continue
            said = _said(there)
            if said.get("owner") == self._owner:
                if self._took_over(lease, wait=0.0):
                    return
            elif there != seen:
                seen, since = there, time.monotonic()
            elif time.monotonic() - since >= _lasts(said):
                progress.say(f"{_holder(said)} gives no sign of life; taking over {lease.what}")
                if self._took_over(lease, wait=self._pace.settle):
                    return
                seen = b""
                continue
            if not is_said:
                progress.say(f"waiting for {_holder(said)} to build {lease.what}")
                is_said = True
            time.sleep(self._pace.poll)

    def _made(self, lease: Lease) -> bool:
        """Whether there was no lease, and is this one now; looked at once more, as two may be told so at a time."""
        return self._objects.create(lease_name(lease.key), self._text(lease)) and self._is_mine(lease)

    def _took_over(self, lease: Lease, *, wait: float) -> bool:
        """Whether the lease is ours after all who may have taken it over at this moment have written."""
        self._objects.write(lease_name(lease.key), self._text(lease))
        time.sleep(wait)
        return self._is_mine(lease)

    def _release(self, lease: Lease) -> None:
        with lease.mutex:
            lease.is_over = True
            if not lease.is_lost and self._is_mine(lease):
                self._objects.delete(lease_name(lease.key))

    def _is_mine(self, lease: Lease) -> bool:
        there = self._objects.read(lease_name(lease.key))
        return there is not None and _said(there).get("token") == lease.token

    def _keep_alive(self, lease: Lease) -> None:
        with self._mutex:
            self._held[lease.key] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="leases", daemon=True)
                self._thread.start()
        self._more.set()

    def _beat(self) -> None:
        """Give signs of life for all leases, for as long as the process lives."""
        while True:
            if not self._held:
                self._more.wait()
            self._more.clear()
            time.sleep(self._pace.beat)
            with self._mutex:
                alive = [lease for lease in self._held.values() if not lease.is_lost]
            for lease in alive:
                # A sign that could not be given is given next time; a lease that is lost costs a build, no more.
                with suppress(StoreError), lease.mutex:
                    if not lease.is_over:
                        self._sign(lease)

    def _sign(self, lease: Lease) -> None:
        lease.is_lost = not self._is_mine(lease)
        if lease.is_lost:
            progress.say(f"another machine has taken over {lease.what}; what is built here stays, and is no worse")
            return
        lease.beats += 1
        self._objects.write(lease_name(lease.key), self._text(lease))

    def _text(self, lease: Lease) -> bytes:
        said = {
            "owner": self._owner,
            "token": lease.token,
            "host": platform.node(),
            "process": os.getpid(),
            "beat": lease.beats,
            "seconds": self._pace.lasts,
            "what": lease.what,
        }
        return json.dumps(said).encode()


def _said(content: bytes) -> dict[str, Any]:
    """What a lease says; nothing, if it is half written or no lease."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _lasts(said: dict[str, Any]) -> float:
    """How long a lease lasts by its own words, within reason."""
    seconds = said.get("seconds")
    return min(float(seconds), MOST_LASTING) if isinstance(seconds, int | float) and seconds > 0 else Pace.lasts


def _holder(said: dict[str, Any]) -> str:
    host, process = said.get("host"), said.get("process")
    if not (isinstance(host, str) and host and host.isprintable()):
        return "another machine"
    return f"process {process} of {host[:60]}" if type(process) is int else host[:60]
