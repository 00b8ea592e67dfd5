"""`ws diff` and `ws why`: what moved, and through which input."""

from typing import Annotated

import tyro

from ws.cli.options import Claims, StorePath, TestsPath, opened, tests_folder

SIDE = (
    "A commit, a folder (recorded verdicts, evidence, claims, a store) or a model with recorded verdicts; ./NAME is a "
    "folder, refs/heads/NAME a branch."
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
        ws diff origin/main --markdown
    """
    from ws.changes.commands import compared

    place, kept = tests_folder(tests), opened(store)
    print(compared(old, new, place, store=kept.root, claims=claims, markdown=markdown, whole=all), end="")
