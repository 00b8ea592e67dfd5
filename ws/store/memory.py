"""Giving memory of freed tensors back to the system.

`ws.models.hardware.tune_malloc` keeps freed memory, so that the steps of one build reuse it without new page faults.
Over many builds, small objects that stay alive keep large free blocks between them from being reused, and a process
grows to several times what it uses.
"""

import ctypes
import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ENOUGH_BYTES = 2 << 30
"""Below this, one build needs as much memory anyway: giving it back would only cause page faults again."""

STATM = Path("/proc/self/statm")
MEMINFO = Path("/proc/meminfo")
CGROUPS, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def resident_bytes() -> int:
    """Memory of this process that is in RAM; 0 on systems other than Linux."""
    if not STATM.exists():
        return 0
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def available_bytes() -> int | None:
    """Memory that this process can still take: the machine's free memory, or what its container's limit leaves.

    None on systems other than Linux.
    """
    if not MEMINFO.exists():
        return None
    free = re.search(r"^MemAvailable:\s+(\d+) kB$", MEMINFO.read_text(), re.MULTILINE)
    return min([*([1024 * int(free[1])] if free else []), *_left_in_cgroups()], default=None)


def _left_in_cgroups() -> Iterator[int]:
    """For each control group (version 2) around this process: its limit minus its use, without droppable pages."""
    path = re.search(r"^0::/(.*)$", OWN_CGROUP.read_text(), re.MULTILINE) if OWN_CGROUP.exists() else None
    if path is None:
        return
    inner = CGROUPS / path[1]
    for group in (inner, *inner.parents):
        if not group.is_relative_to(CGROUPS):
            return
        limit = group / "memory.max"
        if limit.exists() and (most := limit.read_text().strip()) != "max":
            used = int((group / "memory.current").read_text())
            dropped = re.search(r"^inactive_file (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
            yield int(most) - used + (int(dropped[1]) if dropped else 0)


def give_back(*, above: int = ENOUGH_BYTES) -> bool:
    """Return free memory to the system if the process holds more than `above` bytes; True if any was returned.

    It works on Linux with glibc; elsewhere nothing changes.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or resident_bytes() <= above:
        return False
    return ctypes.CDLL("libc.so.6").malloc_trim(0) == 1
