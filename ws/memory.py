"""What freed tensors leave in the process, and giving it back to the system.

`ws.hardware.tune_malloc` keeps freed memory, so that the steps of one build reuse it without new page faults. Over many
builds small objects that stay pin large free blocks between them, and a process grows to several times what it uses.
"""

import ctypes
import os
import platform
import sys
from pathlib import Path

ENOUGH_BYTES = 2 << 30
"""Below this a process is as large as one build makes it: giving memory back would only fault it in again."""

STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Memory of this process that is in RAM; 0 where the system does not tell as Linux does."""
    if not STATM.exists():
        return 0
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def give_back(*, above: int = ENOUGH_BYTES) -> bool:
    """Return free memory to the system if the process holds more than `above` bytes; whether any was returned.

    Possible on Linux with glibc; elsewhere nothing changes.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or resident_bytes() <= above:
        return False
    return ctypes.CDLL("libc.so.6").malloc_trim(0) == 1
