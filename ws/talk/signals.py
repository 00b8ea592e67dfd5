"""Ctrl-C while an answer is written: it ends at the next token, so that the weights are put back in peace."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """The user broke an answer off."""


@contextmanager
def stopping() -> Iterator[Callable[[], None]]:
    """A context with a function that raises Stopped once Ctrl-C was pressed inside; a second one interrupts at once."""
    pressed = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    def check() -> None:
        if pressed.is_set():
            raise Stopped

    # Only the main thread hears signals.
    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
