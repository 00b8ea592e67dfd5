"""Help as text: the list of commands, and what a command says of itself."""

import inspect
import shutil
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from ws.cli.commands import COMMANDS

ABOUT = (
    "The commands beside pytest, which runs the claims: `pytest claims/ --smoke`. `ws COMMAND --help` shows what a "
    "command takes, with examples; `ws --version` the release; --debug behind any command the traceback of an error."
)
MOST_COLUMNS = 100


def columns() -> int:
    """How wide text is: as the terminal, within reason."""
    return min(shutil.get_terminal_size().columns, MOST_COLUMNS)


def overview() -> str:
    """The commands, each with the first line of its help."""
    width, indent = columns(), max(map(len, COMMANDS)) + 4
    lines = [
        textwrap.fill(
            first_line(function), width, initial_indent=f"  {name:<{indent - 2}}", subsequent_indent=" " * indent
        )
        for name, function in COMMANDS.items()
    ]
    return "\n".join(["usage: ws COMMAND [OPTIONS]", "", textwrap.fill(ABOUT, width), "", *lines])


def described(function: Callable[..., Any]) -> str:
    """A command's docstring, its paragraphs as wide as the terminal, and what is indented as it stands."""
    return "\n\n".join(_paragraphs(inspect.getdoc(function) or "", columns()))


def filled(usage: str) -> str:
    """A line of usage, broken where the terminal ends."""
    return textwrap.fill(usage, columns(), subsequent_indent=" " * 4, break_on_hyphens=False)


def examples(function: Callable[..., Any]) -> list[str]:
    """The examples in a command's docstring: its indented lines that begin with `ws`."""
    lines = (inspect.getdoc(function) or "").splitlines()
    return [line.strip() for line in lines if line.startswith("    ws ")]


def first_line(function: Callable[..., Any]) -> str:
    """The first line of a command's docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _paragraphs(text: str, width: int) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield paragraph if paragraph.startswith(" ") else textwrap.fill(paragraph, width)
