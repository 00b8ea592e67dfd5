"""Measuring in fresh processes, one at a time; our way and the plain way take turns."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ws
from ws.bench.measurement import PLAIN, UNITS, Job, Measurement, load
from ws.bench.settings import Section, Settings
from ws.errors import WsError
from ws.store.progress import say

ROOT = Path(ws.__file__).parents[1]
LINES_SHOWN = 15


class BenchError(WsError, RuntimeError):
    """A measurement that could not be made."""


def jobs(section: Section, settings: Settings, store: Path) -> list[Job]:
    """Every measurement of a section in the order it is made: plain, ours, plain, ours, ..."""
    families = settings.families if section == "train" else ("lora",)
    return [
        Job(section, way, family, repeat, settings, str(store))
        for family in families
        for repeat in range(settings.repeats)
        for way in ways(section, family)
    ]


def ways(section: Section, family: str) -> tuple[str, ...]:
    """The ways that take turns in a section; the tuned Trainer is measured with LoRA only."""
    first, *others = PLAIN[section]
    return (first, "ours", *(others if family == "lora" else ()))


def prepared(section: Section, settings: Settings, store: Path) -> None:
    """Fill the store with what a section reads, in a process that shows its progress."""
    job = Job(section, "prepare", "lora", 0, settings, str(store))
    _run(job, Path(os.devnull), shown=True)


def measure(job: Job) -> Measurement:
    """The measurement of a job, made in a process of its own.

    Raises: BenchError with the end of the process's output, if it fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "measurement.json"
        _run(job, result, shown=False)
        found = load(result)
    say(
        f"{job.section} {job.family} {job.way} {job.repeat + 1}/{job.settings.repeats}: {found.rate:.3g} "
        f"{UNITS[job.section]}/s, {found.work.memory / 1e9:.2f} GB, machine at {found.speed:.0f} GFLOP/s"
    )
    return found


def _run(job: Job, result: Path, *, shown: bool) -> None:
    quiet = {} if shown else {"WS_QUIET": "1", "TRANSFORMERS_VERBOSITY": "error", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", "ws.bench.arm", str(result)],
        input=job.to_json(),
        text=True,
        env=os.environ | quiet | {"PYTHONPATH": os.pathsep.join(_paths())},
        stdout=None if shown else subprocess.PIPE,
        stderr=None if shown else subprocess.STDOUT,
    )
    if done.returncode:
        said = "\n".join((done.stdout or "").splitlines()[-LINES_SHOWN:])
        raise BenchError(
            f"measuring {job.section} {job.family} {job.way} failed with status {done.returncode}; "
            f"fix what it says, or leave it out with --only or --families\n{said}"
        )


def _paths() -> Iterator[str]:
    yield str(ROOT)
    yield from filter(None, [os.environ.get("PYTHONPATH")])
