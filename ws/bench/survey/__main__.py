"""`python -m ws.bench.survey`: the table of all architectures; status 1 if one is wrong or raises what is not ours."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import tyro

from ws.bench.survey import table
from ws.bench.survey.build import architectures
from ws.bench.survey.judge import judged_alone
from ws.bench.survey.process import findings
from ws.errors import UnknownNameError
from ws.store.progress import clock, say, track


def survey(
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = (),
    out: Path | None = None,
    jobs: int = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
) -> int:
    """Build, load, steer and score a tiny model of every causal language model of transformers; say what came of it.

    Args:
        only: model types to look at, such as gpt2 mamba; all if none is named.
        out: a folder for survey.json and survey.md.
        jobs: how many to look at side by side.
    """
    names = architectures()
    if unknown := [name for name in only if name not in names]:
        raise UnknownNameError("architecture", unknown[0], names)
    chosen, started = only or tuple(names), time.monotonic()
    found = list(track(findings(chosen, jobs=jobs, judge=judged_alone), "survey architectures", total=len(chosen)))
    print(table.text(found))
    say(f"{len(found)} architectures of {versions()} in {clock(time.monotonic() - started)}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "survey.json").write_text(table.record(found, versions()))
        (out / "survey.md").write_text(table.markdown(found, versions()))
    failed = table.failures(found, enough=0 if only else table.ENOUGH)
    for line in failed:
        print(line, file=sys.stderr)
    return int(bool(failed))


def versions() -> str:
    """The libraries that the findings depend on, with their versions."""
    import torch
    import transformers

    return f"transformers {transformers.__version__}, torch {torch.__version__}"


if __name__ == "__main__":
    sys.exit(tyro.cli(survey))
