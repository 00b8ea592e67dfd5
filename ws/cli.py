"""`ws`: the commands beside pytest."""

from pathlib import Path
from typing import Annotated

import tyro

from ws.store import Store, default_root

StorePath = Annotated[
    Path | None, tyro.conf.arg(help="Where artifacts are kept (default: WS_STORE, else the user's cache).")
]


def search(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(help="A model of the table in ws/models.py.")],
    families: Annotated[tuple[str, ...], tyro.conf.arg(help="Families to search; all by default.")] = (),
    out: Annotated[Path | None, tyro.conf.arg(help="Result file (default: ws/searched/MODEL.json).")] = None,
    store: StorePath = None,
) -> None:
    """Choose each family's recipe on validation rows and keep every candidate in ws/searched/MODEL.json.

    Held-out claims are never scored. A search that was stopped goes on where it was.

        ws search smollm2-135m
        ws search smollm2-135m --families lora delora
    """
    from ws.adapters import FAMILIES
    from ws.search import search as run

    target = out or Path(__file__).parent / "searched" / f"{model}.json"
    run(model, families or tuple(FAMILIES), Store(store or default_root()), target)


def table(
    models: Annotated[tuple[str, ...], tyro.conf.arg(help="Models whose snapshots are shown.")] = ("smollm2-135m",),
    write: Annotated[Path | None, tyro.conf.arg(help="File whose table between the markers is replaced.")] = None,
    snapshots: Annotated[Path, tyro.conf.arg(help="Folder of recorded snapshots.")] = Path("claims/__snapshots__"),
) -> None:
    """Print the recorded verdicts as Markdown, or write them into a file between its markers.

    ws table
    ws table --write README.md
    """
    from ws.report import markdown, recorded, with_table

    text = markdown(record for model in models for record in recorded(snapshots / model))
    if write is None:
        print(text)
    else:
        write.write_text(with_table(write.read_text(encoding="utf-8"), text), encoding="utf-8")


def main() -> None:
    """Entry point of the `ws` command."""
    tyro.extras.subcommand_cli_from_dict({"search": search, "table": table}, prog="ws", description=__doc__)
