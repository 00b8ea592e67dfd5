"""`ws diff` and `ws why`: what moved, and through which input."""

from pathlib import Path
from typing import Annotated

import tyro

from ws.cli.options import (
    Claims,
    SnapshotsPath,
    StorePath,
    TestsPath,
    check_heeded,
    check_numbers,
    opened,
    tests_folder,
)
from ws.errors import CommandError

SIDE = (
    "A commit, a folder (recorded verdicts, evidence, claims, a store), a file that `pytest --results FILE` wrote, or "
    "a model with recorded verdicts; ./NAME is a folder or file, refs/heads/NAME a branch."
)


def diff(
    old: Annotated[tyro.conf.Positional[str], tyro.conf.arg(help=SIDE)],
    new: Annotated[
        tyro.conf.Positional[str | None], tyro.conf.arg(help="The other side (default: the claims as they are now).")
    ] = None,
    claims: Claims = (),
    markdown: Annotated[
        bool, tyro.conf.arg(help="Print a comment for a pull request, as .github/actions/diff posts it.")
    ] = False,
    all: Annotated[bool, tyro.conf.arg(help="Print every case and every definition, not one screen.")] = False,
    bisect: Annotated[
        str | None,
        tyro.conf.arg(help="Rebuild this case by both commits, and by the old one with one input changed at a time."),
    ] = None,
    python: Annotated[
        Path | None,
        tyro.conf.arg(help="With --bisect: the Python of an environment with the new packages."),
    ] = None,
    dry_run: Annotated[bool, tyro.conf.arg(help="With --bisect: show the plan and its cost, and run nothing.")] = False,
    tests: TestsPath = None,
    store: StorePath = None,
) -> None:
    """Show which verdicts and numbers moved between two sides, how far, and through which input.

    Numbers are told in units of their tolerance and as a share of their interval. Inputs are code, versions of
    packages, data, settings, seeds, the machine, what the claim asks, or the judgement of the same rows: found by
    walking the keys and manifests that both sides recorded. What was not recorded is said to be not known.

        ws diff HEAD~3
        ws diff v0.1 main --claims C05
        ws diff smollm2-135m qwen3-0.6b
        ws diff ~/their-store ~/.cache/weight-steering
        ws diff before.json after.json
        ws diff origin/main --markdown
        ws diff HEAD~3 HEAD --bisect "test_it[lora-raw]" --dry-run
    """
    place, kept = tests_folder(tests), opened(store)
    if bisect is not None:
        from ws.changes.bisect.search import rebuilt

        check_heeded("beside --bisect, which rebuilds one case", claims=claims, markdown=markdown, all=all)
        for text in rebuilt(old, new, bisect, place, kept, python=python, dry_run=dry_run):
            print(text, end="", flush=True)
        return
    if python is not None or dry_run:
        raise CommandError("--python and --dry-run say how to rebuild a case; name it with --bisect CASE")
    from ws.changes.commands import compared

    print(compared(old, new, place, store=kept.root, claims=claims, markdown=markdown, whole=all), end="")


def why(
    case: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(
            help="A recorded case as pytest names it: claims/FILE.py::TEST[CASE]; file and model may be left out."
        ),
    ],
    behavior: Annotated[
        str | None,
        tyro.conf.arg(help="Explain the verdict on a behavior of your own, as --behavior of pytest names it."),
    ] = None,
    seeds: Annotated[
        int | None,
        tyro.conf.arg(
            help="The seeds of the run, for the command that is printed (default: those of most recorded cases)."
        ),
    ] = None,
    snapshots: SnapshotsPath = None,
    tests: TestsPath = None,
    store: StorePath = None,
) -> None:
    """Explain a recorded case: its number, what it was read from, and what has changed since it was recorded.

    For each artifact behind the number, whether this code gives its recipe the same key; if not, through which code,
    versions or fields. The code that judges is compared between the commit that recorded it and this one.

        ws why claims/test_families.py::test_delora_pays_with_pmass
        ws why "test_delora_spreads_further_than_lora[raw]"
        ws why "test_it_steers[lora-text]" --behavior mine.toml
    """
    from ws.changes.asking import Given
    from ws.changes.explaining import explained

    check_numbers(1, seeds=seeds)
    given = Given(behavior, seeds, snapshots, store)
    print(explained(case, tests_folder(tests), opened(store), given), end="")
