"""Where a conversation is shown: on a terminal as it is written, elsewhere as plain text when it is."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable

from rich.console import Console, Group
from rich.live import Live

from ws.talk.columns import Said, printable, rows
from ws.talk.conversation import SIDES, Shows, Side

Headings = Mapping[Side, str]


@runtime_checkable
class Screen(Protocol):
    """What a conversation needs of the place where it is shown."""

    forgiving: bool
    """Whether a mistake is told and the conversation goes on, as with a person; else it ends there."""

    def lines(self) -> Iterator[str]:
        """What the user writes, line by line, until there is no more."""

    def note(self, text: str) -> None:
        """Say something about the conversation."""

    def agreed(self, question: str) -> bool:
        """Whether the user says yes to a question; never without a terminal, where nobody can be asked."""

    def answers(self, headings: Headings) -> AbstractContextManager[Shows]:
        """A context with a function that shows the answers while they are written."""


class Terminal:
    """A terminal, with columns that grow."""

    forgiving = True

    def __init__(self) -> None:
        self._console = Console(highlight=False)

    def lines(self) -> Iterator[str]:
        # Lines can be edited, and earlier ones brought back, where Python was built with readline.
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401
        while True:
            try:
                yield input("> ")
            except KeyboardInterrupt:
                self.note("\nCtrl-D or /quit leaves")
            except EOFError:
                self._console.print()
                return

    def note(self, text: str) -> None:
        self._console.print(printable(text), style="dim", markup=False)

    def agreed(self, question: str) -> bool:
        self.note(question)
        try:
            return input("[y/N] ").strip().casefold() in ("y", "yes")
        except EOFError:
            return False

    @contextmanager
    def answers(self, headings: Headings) -> Iterator[Shows]:
        said = dict.fromkeys(SIDES, "")

        def drawn(*, whole: bool) -> Group:
            found = rows([Said(headings[side], said[side]) for side in SIDES], width=self._console.width)
            # What is above the screen cannot be drawn anew.
            return Group(*(found if whole else found[-max(1, self._console.height - 2) :]))

        with Live(drawn(whole=False), console=self._console, auto_refresh=False) as live:

            def show(side: Side, text: str) -> None:
                said[side] = text
                live.update(drawn(whole=False), refresh=True)

            try:
                yield show
            finally:
                live.vertical_overflow = "visible"
                live.update(drawn(whole=True), refresh=True)
        self._console.print()


class Plain:
    """Standard input and output of any kind: what is read is repeated, and answers are written when they are whole."""

    forgiving = False

    def lines(self) -> Iterator[str]:
        for line in sys.stdin:
            text = line.rstrip("\r\n")
            if text.strip():
                print(f"> {printable(text)}", flush=True)
            yield text

    def note(self, text: str) -> None:
        print(printable(text), flush=True)

    def agreed(self, question: str) -> bool:
        return False

    @contextmanager
    def answers(self, headings: Headings) -> Iterator[Shows]:
        said = dict.fromkeys(SIDES, "")

        def show(side: Side, text: str) -> None:
            said[side] = text

        yield show
        for side in SIDES:
            print(f"{printable(headings[side])}: {printable(said[side].strip())}", flush=True)
        print(flush=True)


def here() -> Terminal | Plain:
    """The screen of this process."""
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not Console().is_dumb_terminal
    return Terminal() if is_terminal else Plain()
