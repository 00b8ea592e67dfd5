"""`ws table` and `ws claims`: what is claimed, and what was found."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from ws.cli.options import (
    Claims,
    Models,
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


def table(
    models: Models = ("smollm2-135m",),
    behavior: Recorded = None,
    claims: Claims = (),
    form: Annotated[
        Literal["cases", "counts", "plain", "loose"] | None,
        tyro.conf.arg(
            help="Markdown with a line per case (default), or per test; the table that a run of claims ends with; or "
            "the cases that could turn their sign within their tolerance."
        ),
    ] = None,
    write: Annotated[Path | None, tyro.conf.arg(help="File whose table between the markers is replaced.")] = None,
    pages: Annotated[Path | None, tyro.conf.arg(help="Folder for a page per theme and one that counts.")] = None,
    picture: Annotated[Path | None, tyro.conf.arg(help="SVG file for a forest plot of the one claim chosen.")] = None,
    snapshots: SnapshotsPath = None,
    tests: TestsPath = None,
    store: StorePath = None,
) -> None:
    """Show the recorded verdicts: print them, put them into a file between its markers, or write pages or a picture.

    Those of your own model or behavior are what `pytest claims/ --model ... --behavior ... --snapshot-update` recorded.

        ws table
        ws table --claims C03 C05 --form counts --write README.md
        ws table --pages docs/verdicts
        ws table --claims C05 --picture docs/pictures/c05.svg
        ws table --models ./my-model --form counts
        ws table --behavior mine.toml --form plain
    """
    from ws.report import show
    from ws.report.register import read_beside
    from ws.report.verdicts import recorded

    if (pages or picture) and write is None:
        check_heeded("in --pages and --picture, which have forms of their own", form=form)
    check_files(write=write, picture=picture)
    tests = tests_folder(tests)
    folders = recorded_folders(models, behavior, snapshots=snapshots, tests=tests, store=opened(store))
    register = read_beside(tests)
    records = show.of_claims((record for folder in folders for record in recorded(folder)), claims, register)
    if pages is not None:
        show.write_pages(pages, records, register, tests)
    if picture is not None:
        show.write_picture(picture, records, register)
    if write is not None:
        show.write_table(write, records, form or "cases")
    if not (pages or picture or write):
        print(show.table(records, form or "cases"))


def claims(
    ids: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(help="Claims such as C05; all by default.")
    ] = (),
    tests: TestsPath = None,
) -> None:
    """List the claims of the register: what each says, where it was made, and which tests ask it or why none does.

    With ids, all of that; without, a line for each claim.

        ws claims
        ws claims C05 C26
    """
    from ws.report.register import read_beside
    from ws.report.show import listed

    print(listed(read_beside(tests_folder(tests)), ids))
