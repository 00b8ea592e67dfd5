"""`ws bench` and `ws calibrate`: whether the code is as fast, and the rules as careful, as is said."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ws.cli.options import MODEL, StorePath, check_heeded, check_numbers, opened
from ws.errors import WsError


def bench(
    only: Annotated[
        tuple[Literal["train", "eval", "svd", "parity"], ...],
        tyro.conf.arg(help="Sections to measure; train, eval and svd by default. parity: ours against PEFT's numbers."),
    ] = (),
    claims: Annotated[
        bool, tyro.conf.arg(help="Time `pytest claims/`, cold and warm, and nothing else: over an hour.")
    ] = False,
    quick: Annotated[bool, tyro.conf.arg(help="One round of LoRA on few rows; writes no file unless --json.")] = False,
    families: Annotated[tuple[str, ...], tyro.conf.arg(help="Families to train; all by default.")] = (),
    repeats: Annotated[int | None, tyro.conf.arg(help="Rounds in which the ways take turns (default: 3).")] = None,
    model: Annotated[str, tyro.conf.arg(help=MODEL)] = "smollm2-135m",
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
        ws bench --only parity
        ws bench --write docs/speed.md
    """
    from ws.models.own import chosen_model

    try:
        from ws.bench.run import bench as run
        from ws.bench.run import write as write_tables
    except ModuleNotFoundError as missing:
        raise WsError(
            f"the benchmark is no part of an installed package ({missing}); run ws bench in a clone"
        ) from missing
    if write is not None:
        measured = {"only": only, "claims": claims, "quick": quick, "families": families, "repeats": repeats}
        check_heeded("beside --write, which measures nothing", **measured, json=json, store=store)
        write_tables(write)
        return
    if claims:
        check_heeded("beside --claims, which times pytest alone", only=only, families=families, repeats=repeats)
    if only and not {"train", "parity"} & set(only):
        check_heeded(f"with --only {' '.join(only)}, which takes LoRA", families=families)
    if only == ("parity",):
        check_heeded("with --only parity, which trains once", repeats=repeats)
    check_numbers(least=1, repeats=repeats)
    kept = opened(store)
    text = run(
        ("claims",) if claims else only,
        model=chosen_model(model, kept, device=device).name,
        device=device,
        families=families,
        repeats=repeats,
        quickly=quick,
        store=kept,
        out=json,
    )
    print(text)


def calibrate(
    quick: Annotated[bool, tyro.conf.arg(help="A third of the simulated claims, 200 times each.")] = False,
    trials: Annotated[int | None, tyro.conf.arg(help="How often each claim (default: 2000, with --quick 200).")] = None,
    write: Annotated[Path | None, tyro.conf.arg(help="File whose table between the markers is replaced.")] = None,
) -> None:
    """Simulate claims whose truth is known and judge them as claims are judged: how often is a verdict wrong?

    Ends with status 1 if a claim holds or is refuted falsely more than 5% of the time, or if intervals at 95% hold the
    truth less than 93% of the time, or more than 97% and are not said to be conservative. Chance is allowed for.

        ws calibrate
        ws calibrate --quick
        ws calibrate --write docs/statistics.md
    """
    from ws.calibration.calibrate import calibrate as run

    check_numbers(least=1, trials=trials)
    if broken := run(quick=quick, trials=trials, write=write):
        print("ws: the rules do not keep what they promise:", *broken, sep="\n  ", file=sys.stderr)
        sys.exit(1)
