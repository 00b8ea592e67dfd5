"""Options that several commands have."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import tyro

import ws
from ws.errors import CommandError
from ws.remote import open_store
from ws.remote.opening import named_place
from ws.store import Store
from ws.store.trouble import why_no_folder

MODEL = (
    "A model of the table in ws/models/table.py, or of your own: a folder (./NAME), a GGUF file (./NAME.gguf), a "
    "repository of the hub (OWNER/NAME or hf:OWNER/NAME@REVISION)."
)
BEHAVIOR = (
    "honesty, sycophancy, or a behavior of your own: a file (NAME.toml or NAME.json), or a name that an installed "
    "package offers."
)
USUAL_BEHAVIOR = "sycophancy"
Trained = Annotated[
    str | None,
    tyro.conf.arg(help=f"What --family and --activation are for (default: {USUAL_BEHAVIOR}): {BEHAVIOR}"),
]
Number = int | float
CLAIMS, TESTS = "claims", "tests"
Recorded = Annotated[
    str | None, tyro.conf.arg(help="Show the verdicts on a behavior of your own, as --behavior of pytest names it.")
]
StorePath = Annotated[
    str | None,
    tyro.conf.arg(
        help="Where artifacts are kept: a folder, or a URL that machines share, such as s3://BUCKET/PREFIX (default: "
        "WS_STORE, else the user's cache).",
        metavar="PATH|URL",
    ),
]
Models = Annotated[tuple[str, ...], tyro.conf.arg(help="Models whose snapshots are shown, as --model names them.")]
Claims = Annotated[tuple[str, ...], tyro.conf.arg(help="Claims to show, such as C05; all by default.")]
SnapshotsPath = Annotated[
    Path | None,
    tyro.conf.arg(
        help="Folder of recorded snapshots (default: __snapshots__ beside the tests, of your own model in the store)."
    ),
]
TestsPath = Annotated[
    Path | None,
    tyro.conf.arg(
        help="Folder of the claim tests and their register (default: the folder claims or tests here or in a folder "
        "above, else that of this clone)."
    ),
]
MARKS = ("register.toml", "__snapshots__")
"""What a folder of claims has, one or the other."""


def tests_folder(chosen: Path | None) -> Path:
    """The folder of claim tests that a command was told of, or the nearest one.

    Raises: CommandError if it was told of something else.
    """
    if chosen is not None:
        if not chosen.is_dir():
            raise CommandError(f"--tests {chosen} is {'no folder' if chosen.exists() else 'not there'}; name a folder")
        return chosen
    here = Path.cwd()
    if (here / CLAIMS).is_dir():
        return Path(CLAIMS)
    above = (place for folder in (here, *here.parents) for place in (folder, folder / CLAIMS, folder / TESTS))
    near = next((place for place in above if any((place / mark).exists() for mark in MARKS)), None)
    beside = Path(ws.__file__).parents[1] / CLAIMS
    return near or (beside if beside.is_dir() else Path(CLAIMS))


def check_files(**options: Path | None) -> None:
    """Raises: CommandError if what a command is to write a file to, once it is done, is a folder."""
    for name, path in options.items():
        if path is not None and path.is_dir():
            raise CommandError(f"--{name} {path} is a folder; name a file, such as {path / name}")


def check_heeded(where: str, **options: object) -> None:
    """Raises: CommandError for options that were given and change nothing `where` others are, or are not."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value not in (None, False, ())]
    if given:
        change, them = ("change", "them") if len(given) > 1 else ("changes", "it")
        raise CommandError(f"{' and '.join(given)} {change} nothing {where}; leave {them} out")


def check_numbers(least: Number = float("-inf"), **options: Number | tuple[Number, ...] | None) -> None:
    """Raises: CommandError if a number that a command was given is not finite, or less than the least."""
    for name, given in options.items():
        for value in given if isinstance(given, tuple) else (given,):
            if value is not None and not least <= value < float("inf"):
                expected = "a finite number" if least == float("-inf") else f"a number from {least:g} on"
                raise CommandError(f"--{name.replace('_', '-')} {value:g}; expected {expected}")


def opened(store: StorePath) -> Store:
    """The store that a command was told of, or the user's.

    Raises: CommandError if that can be no folder; StoreError for a URL that names no place.
    """
    place = named_place(store or None)
    if isinstance(place, Path) and (why := why_no_folder(place)) is not None:
        given = f"--store {store}" if store else f"the store {place}"
        raise CommandError(f"{given} cannot be one: {why}; name a folder, there or not")
    return open_store(store or None)


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
