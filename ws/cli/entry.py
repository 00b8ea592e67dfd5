"""From the words behind `ws` to a command, and from what goes wrong to one line."""

import os
import sys
import tempfile
import tomllib
import traceback
from importlib.metadata import version
from pathlib import Path

import ws
from ws.cli.commands import COMMANDS, below
from ws.cli.overview import overview
from ws.cli.parsing import arguments, parsed
from ws.errors import CommandError, UnknownNameError, WsError

DISTRIBUTION = "weight-steering-claims"
MISTAKE, FAULT, STOPPED, PIPE_CLOSED = 2, 1, 130, 141
"""Exit statuses: what was asked cannot be done; `ws` itself is at fault; Ctrl-C; nobody reads on (as with SIGPIPE)."""


def main() -> None:
    """Entry point of the `ws` command. What goes wrong is one line on standard error; --debug adds the traceback."""
    words = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        run(words)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        if len(words) < len(sys.argv) - 1:
            traceback.print_exc()
        sys.exit(told(error))


def run(words: list[str]) -> None:
    """Run the command that the words name.

    Raises: CommandError or UnknownNameError for words that are no command; whatever the command raises.
    """
    match words:
        case [] | ["-h" | "--help" | "help"]:
            print(overview(), file=sys.stdout if words else sys.stderr)
            if not words:
                sys.exit(MISTAKE)
        case ["--version"]:
            print(f"ws {release()}")
        case _:
            name, rest = named(words)
            parsed(COMMANDS[name], f"ws {name}", rest)()


def named(words: list[str]) -> tuple[str, list[str]]:
    """The command that the words begin with, and the words behind it.

    Raises: UnknownNameError for the name of no command; CommandError for half a name.
    """
    first, second = words[0], " ".join(words[:2])
    if second in COMMANDS:
        return second, words[2:]
    following = [name.split()[1] for name in below(first)]
    takes_words = first in COMMANDS and any(one.is_positional for one in arguments(COMMANDS[first]).values())
    if following and words[1:] and not words[1].startswith("-") and not takes_words:
        raise UnknownNameError(f"command ws {first}", words[1], following)
    if first in COMMANDS:
        return first, words[1:]
    if following:
        raise CommandError(f"ws {first} is no whole command; expected one of {', '.join(below(first))} behind ws")
    raise UnknownNameError("command", first, {name.split()[0] for name in COMMANDS})


def told(error: BaseException) -> int:
    """The exit status for what went wrong, after one line about it on standard error."""
    match error:
        case BrokenPipeError():
            # Python would complain once more when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        case KeyboardInterrupt():
            print("\nws: stopped; what was built is kept, and the same command goes on there", file=sys.stderr)
            return STOPPED
        case WsError():
            print(f"ws: {error}", file=sys.stderr)
            return MISTAKE
        case OSError(filename=name, strerror=reason) if reason:
            where = f"{name}: " if name is not None else ""
            print(f"ws: {where}{reason}; expected a file or folder that can be read or written here", file=sys.stderr)
            return MISTAKE
        case _:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"ws: {said}; a fault of ws itself: please report it with {kept_traceback()}", file=sys.stderr)
            return FAULT


def kept_traceback() -> Path:
    """A file with the traceback of the error that is handled: what took hours need not be run again to see it."""
    handle, path = tempfile.mkstemp(prefix="ws-", suffix=".traceback.txt")
    with open(handle, "w", encoding="utf-8") as file:
        traceback.print_exc(file=file)
    return Path(path)


def release() -> str:
    """The version of this package. A clone is asked itself: what was written down when it was installed gets stale."""
    settings = Path(ws.__file__).parents[1] / "pyproject.toml"
    if settings.is_file():
        project = tomllib.loads(settings.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == DISTRIBUTION:
            return str(project["version"])
    return version(DISTRIBUTION)
