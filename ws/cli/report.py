"""`ws report`: all recorded verdicts on one page."""

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


def report(
    models: Models = ("smollm2-135m",),
    behavior: Recorded = None,
    claims: Claims = (),
    figure: Annotated[
        str | None, tyro.conf.arg(help="Instead of a page: the plot of this one claim, such as C05, for a paper.")
    ] = None,
    format: Annotated[
        Literal["svg", "png"] | None,
        tyro.conf.arg(help="Of --figure (default: svg); png needs the extra `figures`, and no browser."),
    ] = None,
    out: Annotated[
        Path | None, tyro.conf.arg(help="The file to write (default: report.html, of --figure CLAIM.FORMAT).")
    ] = None,
    snapshots: SnapshotsPath = None,
    evidence: Annotated[
        Path | None, tyro.conf.arg(help="Folder of evidence (default: __evidence__ beside the tests).")
    ] = None,
    tests: TestsPath = None,
    store: StorePath = None,
) -> None:
    """Write one page of HTML with every recorded verdict: claims, plots, controls and where the numbers come from.

    The page is one file, needs no network, and can be searched, filtered and printed. `pytest claims/ --report FILE`
    writes that of a run.

        ws report
        ws report --models smollm2-135m tiny-random-qwen3 --out both.html
        ws report --behavior mine.toml
        ws report --claims C03 C05 --out families.html
        ws report --figure C05 --format png
    """
    from ws.evidence import FOLDER, evidence_folder
    from ws.html.gather import gathered
    from ws.html.page import write
    from ws.html.paper import write_figure
    from ws.models.own import named_model
    from ws.report import show
    from ws.report.register import read_beside
    from ws.report.verdicts import recorded

    if figure is not None:
        check_heeded("beside --figure, which draws one claim's verdicts", claims=claims, evidence=evidence)
    else:
        check_heeded("without --figure: a page is HTML", format=format)
    if behavior is not None:
        check_heeded("beside --behavior, whose page has no evidence", evidence=evidence)
    check_files(out=out)
    kept, tests = opened(store), tests_folder(tests)
    homes = recorded_folders(models, behavior, snapshots=snapshots, tests=tests, store=kept)
    found = [record for folder in homes for record in recorded(folder)]
    register = read_beside(tests)
    if figure is not None:
        form = format or "svg"
        name = out or Path(f"{figure.lower()}.{form}")
        print(write_figure(name, show.of_claims(found, [figure], register), register, form))
        return
    chosen = show.of_claims(found, claims, register)
    # Figures and evidence are of the behaviors of this project.
    shown = [] if behavior else [named_model(text, kept) for text in models]
    folders = {
        model.name: evidence_folder(model.name, chosen=evidence, home=model.home, beside=tests / FOLDER)
        for model in shown
    }
    figures = None if claims or behavior else kept.root
    print(
        write(
            gathered(chosen, tests, all_claims=not claims, evidence=folders, store=figures), out or Path("report.html")
        )
    )
