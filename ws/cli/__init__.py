"""The command `ws`."""

from ws.cli.commands import COMMANDS as COMMANDS
from ws.cli.commands import GROUPS as GROUPS
from ws.cli.main import main as main
