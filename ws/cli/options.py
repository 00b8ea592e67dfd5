"""Options that several commands have."""

from collections.abc import Iterable
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
Recorded = Annotated[
    str | None, tyro.conf.arg(help="Show the verdicts on a behavior of your own, as --behavior of pytest names it.")
]
StorePath = Annotated[
    Path | None, tyro.conf.arg(help="Where artifacts are kept (default: WS_STORE, else the user's cache).")
]


def opened(store: StorePath) -> Store:
    """The store that a command was told of, or the user's."""
    return Store(store or default_root())


def recorded_folders(
    models: Iterable[str], behavior: Recorded, *, snapshots: Path | None, tests: Path, store: Store
) -> list[Path]:
    """The folders with the recorded verdicts of models, as a command line names them."""
    from ws.behaviors.own import own_behavior
    from ws.models.own import named_model
    from ws.report.recorded import snapshot_folder

    home = own_behavior(behavior, store).home if behavior else None
    return [
        snapshot_folder(model.name, chosen=snapshots, home=model.home, beside=tests / "__snapshots__", behavior=home)
        for model in (named_model(text, store) for text in models)
    ]
