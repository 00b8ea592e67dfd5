"""No process outlives the one that it works for: nobody would learn of what it builds.

SIGTERM and SIGKILL leave that one no last word, so it cannot end its workers itself.
"""

import multiprocessing
import os
import threading
import time
from multiprocessing.connection import wait

SECONDS_BETWEEN_LOOKS = 0.2
ORPHANED = 143
"""The exit status of a worker whose parent is gone, as after SIGTERM."""


def end_with_parent() -> None:
    """From now on, end this process as soon as the one that started it is gone, in the middle of whatever it does.

    The store takes no half an artifact, and the next run clears away what is left.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True, name="end with parent").start()


def _watch(parent: int) -> None:
    if (known := multiprocessing.parent_process()) is not None:
        wait([known.sentinel])
    else:
        # A worker of pytest-xdist was not started by multiprocessing; who loses its parent gets another.
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(ORPHANED)
