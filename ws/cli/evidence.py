"""`ws evidence` and its commands: their options, their help, and what they print."""

from pathlib import Path
from typing import Annotated

import tyro

from ws.cli.options import StorePath, TestsPath, check_numbers, opened, tests_folder

Model = Annotated[tyro.conf.Positional[str], tyro.conf.arg(help="A model as --model names it.")]
Chosen = Annotated[
    Path | None, tyro.conf.arg(help="Folder of evidence (default: __evidence__ beside the tests).", metavar="DIR")
]


def overview(
    model: Model = "smollm2-135m", tests: TestsPath = None, evidence: Chosen = None, store: StorePath = None
) -> None:
    """Show a model's evidence: what of it is of today's code, and what snapshots name that it lacks.

    Two commands make sure of it:

        ws evidence check    every part has its hash, and every key of a snapshot
                             is there
        ws evidence audit    build some of it again, from the pairs up, and
                             compare row by row

    `pytest claims/ --snapshot-update --record-evidence` packs it.
    """
    from ws.report import evidence_commands

    print(evidence_commands.overview(model, tests_folder(tests), evidence, opened(store)), end="")


def check(
    model: Model = "smollm2-135m", tests: TestsPath = None, evidence: Chosen = None, store: StorePath = None
) -> None:
    """Check that every part of a model's evidence has its hash, and that it has every key that a snapshot names.

    Ends with status 2 if something is damaged or missing.

        ws evidence check smollm2-135m
    """
    from ws.report import evidence_commands

    for text in evidence_commands.check(model, tests_folder(tests), evidence, opened(store)):
        print(text, end="", flush=True)


def audit(
    model: Model = "smollm2-135m",
    minutes: Annotated[
        float, tyro.conf.arg(help="How long; two families are always trained anew. 0: no audit.")
    ] = 10.0,
    seed: Annotated[int | None, tyro.conf.arg(help="Draws the sample (default: the date).")] = None,
    tests: TestsPath = None,
    evidence: Chosen = None,
    store: StorePath = None,
) -> None:
    """Build some of a model's evidence again, from the training pairs up, and compare it with what was recorded.

    Always dW of LoRA and of DeLoRA, then a random artifact of one kind after another while the time lasts. Nothing of
    the evidence is used on the way. Ends with status 2 if numbers are further apart than another processor explains.
    An audit that was stopped goes on where it was, if it has the same seed.

        ws evidence audit
        ws evidence audit smollm2-135m --minutes 60 --seed 7
    """
    from ws.report import evidence_commands

    check_numbers(least=0, minutes=minutes)
    if minutes == 0:
        print("no audit: --minutes 0")
        return
    kept = opened(store)
    folder = evidence_commands.folder_of(model, tests_folder(tests), evidence, kept)
    for text in evidence_commands.audit(folder, kept, minutes=minutes, seed=seed):
        print(text, end="", flush=True)
