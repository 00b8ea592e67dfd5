"""`ws`: the commands beside pytest."""

from pathlib import Path
from typing import Annotated, Literal

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


def bench(
    only: Annotated[
        tuple[Literal["train", "eval", "svd"], ...], tyro.conf.arg(help="Sections to measure; all three by default.")
    ] = (),
    claims: Annotated[
        bool, tyro.conf.arg(help="Time `pytest claims/`, cold and warm, and nothing else: over an hour.")
    ] = False,
    quick: Annotated[bool, tyro.conf.arg(help="One round of LoRA on few rows; writes no file unless --json.")] = False,
    families: Annotated[tuple[str, ...], tyro.conf.arg(help="Families to train; all by default.")] = (),
    repeats: Annotated[int | None, tyro.conf.arg(help="Rounds in which the ways take turns (default: 3).")] = None,
    model: Annotated[str, tyro.conf.arg(help="A model of the table in ws/models.py.")] = "smollm2-135m",
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="Where both ways compute.")] = "cpu",
    json: Annotated[Path | None, tyro.conf.arg(help="Result file (default: ws/bench/latest-DEVICE.json).")] = None,
    write: Annotated[
        Path | None, tyro.conf.arg(help="Measure nothing: put the last runs' tables into this file's markers.")
    ] = None,
    store: StorePath = None,
) -> None:
    """Measure speed and memory against PEFT with the HF Trainer, padded batches and dense SVD; keep the numbers.

    Each measurement is a process of its own and the ways take turns, so leave the machine alone meanwhile. A section
    measured again replaces its former numbers only.

        ws bench
        ws bench --quick
        ws bench --only train --families lora delora
        ws bench --write README.md
    """
    from ws.bench.run import bench as run
    from ws.bench.run import write as write_tables

    if write is not None:
        write_tables(write)
        return
    sections = ("claims",) if claims else only
    text = run(
        sections,
        model=model,
        device=device,
        families=families,
        repeats=repeats,
        quickly=quick,
        store=Store(store or default_root()),
        out=json,
    )
    print(text)


def main() -> None:
    """Entry point of the `ws` command."""
    tyro.extras.subcommand_cli_from_dict(
        {"search": search, "table": table, "bench": bench}, prog="ws", description=__doc__
    )
