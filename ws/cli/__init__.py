"""The command `ws`."""

from ws.cli.commands import COMMANDS as COMMANDS
from ws.cli.entry import main as main
from ws.cli.entry import named as named
