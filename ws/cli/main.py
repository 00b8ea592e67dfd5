"""From the words behind `ws` to a command."""

import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import tyro

import ws
from ws.cli.commands import COMMANDS, GROUPS
from ws.errors import WsError

DISTRIBUTION = "weight-steering-claims"
ABOUT = "`ws`: the commands beside pytest. `ws COMMAND --help` shows what one takes, with examples."


def main() -> None:
    """Entry point of the `ws` command. An error of `ws.errors` ends it with status 2 and prints only its message."""
    try:
        dispatch(sys.argv[1:])
    except WsError as error:
        print(f"ws: {error}", file=sys.stderr)
        sys.exit(2)


def dispatch(words: list[str]) -> None:
    """Run the command that the words name."""
    if words == ["--version"]:
        print(f"ws {release()}")
    elif words[1:] and words[1] in GROUPS.get(words[0], ()):
        tyro.extras.subcommand_cli_from_dict(GROUPS[words[0]], prog=f"ws {words[0]}", args=words[1:])
    else:
        tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="ws", description=ABOUT, args=words)


def release() -> str:
    """The version of this package. A clone is asked itself: what was written down when it was installed gets stale."""
    settings = Path(ws.__file__).parents[1] / "pyproject.toml"
    if settings.is_file():
        project = tomllib.loads(settings.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == DISTRIBUTION:
            return str(project["version"])
    return version(DISTRIBUTION)
