"""`ws results`: verdicts as data, and which verdicts the exports of them take."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ws.cli.options import (
    Claims,
    Recorded,
    SnapshotsPath,
    StorePath,
    TestsPath,
    check_files,
    check_heeded,
    opened,
    recorded_folders,
    tests_folder,
)
from ws.errors import CommandError, UnknownNameError

if TYPE_CHECKING:
    from ws.report.register import Register
    from ws.results.results import Results

DEFAULT_MODEL = "smollm2-135m"

Chosen = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        help=f"Models whose verdicts are taken, as --model names them (default: {DEFAULT_MODEL}; of a --run all)."
    ),
]
Run = Annotated[
    Path | None,
    tyro.conf.arg(help="Take the verdicts of a run, which `pytest --results FILE` wrote, in place of recorded ones."),
]


def results(
    out: Annotated[
        Path | None,
        tyro.conf.arg(help="File to write: NAME.json, NAME.csv or NAME.parquet (default: JSON is printed)."),
    ] = None,
    models: Chosen = (),
    behavior: Recorded = None,
    claims: Claims = (),
    run: Run = None,
    schema: Annotated[bool, tyro.conf.arg(help="Instead: print the schema of these documents.")] = False,
    write: Annotated[
        Path | None, tyro.conf.arg(help="Instead: put the table of the schema's fields between this page's markers.")
    ] = None,
    snapshots: SnapshotsPath = None,
    tests: TestsPath = None,
    store: StorePath = None,
) -> None:
    """Write recorded verdicts as data: JSON, CSV or Parquet, with their numbers, doubts and provenance.

    `pytest claims/ --results FILE` writes those of a run. The page docs/results.md explains the fields.

        ws results --out results.json
        ws results --claims C05 --out families.csv
        ws results --models smollm2-135m tiny-random-qwen3 --out both.parquet
        ws results --run run.json --out run.parquet
        ws results --schema
    """
    from ws.results import files
    from ws.results.schema import text
    from ws.results.words import with_fields

    of_verdicts = {"out": out, "models": models, "behavior": behavior, "claims": claims, "run": run}
    places = {"snapshots": snapshots, "tests": tests, "store": store}
    if schema:
        check_heeded("beside --schema, which prints the schema alone", write=write, **of_verdicts, **places)
        print(text(), end="")
        return
    check_files(write=write)
    if write is not None:
        check_heeded("beside --write, which writes the schema's table alone", **of_verdicts, **places)
        files.put(write, with_fields(write.read_text(encoding="utf-8")).encode())
        return
    if out is not None:
        files.check_place(out)
    found, _ = chosen(models, behavior, claims, run, snapshots=snapshots, tests=tests, store=store)
    print(files.to_json(found).decode() if out is None else f"{files.write(found, out)}\n", end="")


def chosen(
    models: Sequence[str],
    behavior: str | None,
    claims: Sequence[str],
    run: Path | None,
    *,
    snapshots: Path | None,
    tests: Path | None,
    store: StorePath,
) -> "tuple[Results, Register]":
    """The verdicts that a command line chooses, and the register that their claims are of."""
    from ws.report import show
    from ws.report.register import read_beside
    from ws.report.verdicts import recorded
    from ws.results.results import Results

    folder = tests_folder(tests)
    register = read_beside(folder)
    if run is not None:
        if behavior or snapshots:
            raise CommandError(f"--run {run} has its verdicts; drop {'--behavior' if behavior else '--snapshots'}")
        check_heeded("beside --run, whose verdicts are no artifacts", store=store)
        found = of_models(run, models)
        return Results(show.of_claims(found.records, claims, register), found.run), register
    named = models or (DEFAULT_MODEL,)
    homes = recorded_folders(named, behavior, snapshots=snapshots, tests=folder, store=opened(store))
    records = (record for home in homes for record in recorded(home))
    return Results(show.of_claims(records, claims, register)), register


def of_models(run: Path, models: Sequence[str]) -> "Results":
    """The verdicts of a run, or those of some models of it. Raises: UnknownNameError for a model that it has not."""
    from ws.results.files import read
    from ws.results.results import Results

    found = read(run)
    known = {record.model for record in found.records}
    if unknown := [name for name in models if name not in known]:
        raise UnknownNameError(f"model of {run}", unknown[0], known)
    return Results([record for record in found.records if not models or record.model in models], found.run)
