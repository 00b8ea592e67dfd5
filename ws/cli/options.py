"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import tyro

from ws.store import Store, default_root

MODEL = (
    "A model of the table in ws/models/table.py, or of your own: a folder (./NAME), a GGUF file (./NAME.gguf), a "
    "repository of the hub (OWNER/NAME or hf:OWNER/NAME@REVISION)."
)
BEHAVIOR = (
    "honesty, sycophancy, or a behavior of your own: a file (NAME.toml or NAME.json), or a name that an installed "
    "package offers."
)
StorePath = Annotated[
    Path | None, tyro.conf.arg(help="Where artifacts are kept (default: WS_STORE, else the user's cache).")
]


def opened(store: StorePath) -> Store:
    """The store that a command was told of, or the user's."""
    return Store(store or default_root())
