"""Whose something in a store is: which process, on which boot of which machine."""

import hashlib
import json
import os
import platform
import stat
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from ws.store.origin import now

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""What Linux calls this start of its kernel: processes with one of these have their locks from the same kernel."""

LONGEST = 4096
"""Bytes of a file that names an owner; a longer one is something else."""


@dataclass(frozen=True)
class Owner:
    """A process."""

    machine: str
    """What `this_machine` says where it runs."""
    host: str
    pid: int
    since: str
    """When it began, by its own clock: for people to read, never to reckon with."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


def me() -> Owner:
    """This process, as of now."""
    return Owner(this_machine(), platform.node(), os.getpid(), now())


def this_machine() -> str:
    """12 hex digits for this boot of this machine; where a system does not count boots, for its name."""
    name = BOOT_ID.read_text(encoding="ascii") if BOOT_ID.exists() else platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def written(owner: Owner) -> str:
    return json.dumps(asdict(owner))


def owner_in(path: Path) -> Owner | None:
    """The owner that a file names; None if it names none."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LONGEST:
            return None
        said = json.loads(path.read_text(encoding="utf-8"))
        owner = Owner(said["machine"], said["host"], said["pid"], said["since"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return owner if isinstance(owner.pid, int) and isinstance(owner.machine, str) else None


def is_alive(pid: int) -> bool:
    """Whether a process of this machine may still run; a system that cannot be asked says yes."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
