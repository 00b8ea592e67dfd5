"""The one line of a terminal that shows what is under way: innermost first, how far it is, and the time left.

It stands below what others have written, such as pytest's dots, and leaves no trace: where it vanishes the cursor is
back behind the dots.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO, TYPE_CHECKING, TypeVar, cast

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from ws.live.builds import Builds, clock
from ws.live.stream import Stream

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")


class LiveLine:
    """The live line of one stream."""

    def __init__(self, stream: Stream, builds: Builds, column: Callable[[], int]) -> None:
        self._stream, self._column = stream, column
        self._bars = Progress(
            _Place(builds),
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            BarColumn(bar_width=10),
            _Rest(),
            console=_console(stream),
            transient=True,
            expand=True,
        )
        self._tasks: list[TaskID] = []
        self._back = 0

    def tracked(self, iterable: Iterable[T], label: str, total: int | None) -> Iterator[T]:
        """The same items, counted on the line."""
        with self.showing(label, total) as task:
            for item in iterable:
                yield item
                self._bars.advance(task)

    @contextmanager
    def showing(self, label: str, total: int | None = None) -> Iterator[TaskID]:
        """A context in which the line shows this; what was there before comes back after it."""
        if self._tasks:
            self._bars.update(self._tasks[-1], visible=False)
        else:
            self._begin()
        task = self._bars.add_task(label, total=total)
        self._tasks.append(task)
        try:
            yield task
        finally:
            self._tasks.remove(task)
            if not self._tasks:
                self._end()
            self._bars.remove_task(task)
            if self._tasks:
                self._bars.update(self._tasks[-1], visible=True)

    def say(self, text: str) -> None:
        """Write a line that stays, above the live one."""
        if not self._tasks and self._column():
            self._stream.write("\n")
        self._back = 0
        _console(self._stream).print(text, markup=False, highlight=False, soft_wrap=True)

    def _begin(self) -> None:
        self._back = self._column()
        if self._back:
            self._stream.write("\n")
            self._stream.flush()
        self._bars.start()

    def _end(self) -> None:
        self._bars.stop()
        if self._back:
            # Up, and as far to the right as the dots go.
            self._stream.write(f"\x1b[A\x1b[{self._back}C")
            self._stream.flush()


class _Place(ProgressColumn):
    """Which artifact is under way."""

    def __init__(self, builds: Builds) -> None:
        super().__init__()
        self._builds = builds

    def render(self, task: Task) -> Text:
        return Text(self._builds.place)


class _Rest(ProgressColumn):
    """How much is done and the time left; the time so far, where the end is not known."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text(clock(task.elapsed or 0.0))
        left = "" if task.time_remaining is None else f" {clock(task.time_remaining)}"
        return Text(f"{task.completed:.0f}/{task.total:.0f}{left}")


@cache
def _console(stream: Stream) -> "Console":
    """The console of a stream, only one for each, so that lines do not overwrite each other."""
    from rich.console import Console

    return Console(file=cast("IO[str]", stream))
