"""`ws lenses`: what is left of the steering in each part of dW."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ws.cli.options import MODEL, StorePath, check_numbers, opened


def lenses(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(help=MODEL)],
    families: Annotated[tuple[str, ...], tyro.conf.arg(help="Families to show; all by default.")] = (),
    seeds: Annotated[int | None, tyro.conf.arg(help="How many seeds (default: as claims on this model).")] = None,
    out: Annotated[Path | None, tyro.conf.arg(help="Folder for table and figures (default: lenses/MODEL).")] = None,
    build: Annotated[bool, tyro.conf.arg(help="Train and score what the store lacks; goes on where it was.")] = False,
    png: Annotated[bool, tyro.conf.arg(help="Draw PNG files too; needs kaleido and Chrome or Chromium.")] = True,
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="Where the rows were scored.")] = "cpu",
    store: StorePath = None,
) -> None:
    """Show what is left of the steering in each part of dW, and in dW without it: one table and three figures.

    Reads scored rows from the store; where one is missing it says which claims build it. Prints the table, and writes
    joint.md, joint.csv, the figures spectrum, modules and activations as .html and .png, and index.html with all of
    it. Intervals are those of the claims.

        ws lenses smollm2-135m
        ws lenses smollm2-135m --families lora delora --build
        ws lenses smollm2-135m --no-png --out /tmp/lenses
    """
    from ws.adapters import FAMILIES
    from ws.models.own import chosen_model
    from ws.report import joint as table
    from ws.report.figures import write, write_png
    from ws.report.joint_text import terminal
    from ws.study.subject import Subject

    check_numbers(least=1, seeds=seeds)
    kept = opened(store)
    chosen = chosen_model(model, kept, device=device)
    count = chosen.seeds if seeds is None else seeds
    asked = table.Asked(Subject(chosen.name, device), families or tuple(FAMILIES), tuple(range(count)))
    if build:
        table.build(asked, kept)
    table.check(asked, kept)
    found = table.joint(asked, kept)
    print(terminal(found, colour=sys.stdout.isatty()), end="")
    for path in write(found, out or Path("lenses") / chosen.name, write_png=write_png if png else None):
        print(path)
