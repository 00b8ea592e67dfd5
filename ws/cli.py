"""`ws`: the commands beside pytest."""

from pathlib import Path
from typing import Annotated

import tyro

from ws.store import Store, default_root

StorePath = Annotated[Path, tyro.conf.arg(help="Where artifacts are kept (default: WS_STORE, else the user's cache).")]


def search(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(help="A model of the table in ws/models.py.")],
    families: Annotated[tuple[str, ...], tyro.conf.arg(help="Families to search; all by default.")] = (),
    out: Annotated[Path | None, tyro.conf.arg(help="Result file (default: ws/searched/MODEL.json).")] = None,
    store: StorePath = default_root(),
) -> None:
    """Choose each family's recipe on validation rows and keep every candidate in ws/searched/MODEL.json.

    Held-out claims are never scored. A search that was stopped goes on where it was.

        ws search smollm2-135m
        ws search smollm2-135m --families lora delora
    """
    from ws.adapters import FAMILIES
    from ws.search import search as run

    target = out or Path(__file__).parent / "searched" / f"{model}.json"
    run(model, families or tuple(FAMILIES), Store(store), target)


def table(
    write: Annotated[Path | None, tyro.conf.arg(help="File whose table between the markers is replaced.")] = None,
    store: StorePath = default_root(),
) -> None:
    """Print the last run's verdicts as Markdown, or write them into a file between its markers.

        ws table --write README.md
    """
    from ws.report import markdown, read_last_run, with_table

    text = markdown(read_last_run(store))
    if write is None:
        print(text)
    else:
        write.write_text(with_table(write.read_text(), text))


def main() -> None:
    """Entry point of the `ws` command."""
    tyro.extras.subcommand_cli_from_dict({"search": search, "table": table}, prog="ws", description=__doc__)
