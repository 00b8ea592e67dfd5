"""Where something was made: the commit of the code, the machine, the exact releases of the libraries, the date."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

KEYED = ("torch", "transformers", "peft")
"""Libraries whose major and minor versions are part of every key."""

NAMED = (*KEYED, "numpy")
"""Libraries whose exact releases are recorded."""

CODE = ("ws", "fixtures", ":(glob)**/*.py")
"""The files that can change a number, as arguments for git."""

CPUINFO = Path("/proc/cpuinfo")


class Checkout(NamedTuple):
    """A folder under git."""

    commit: str
    uncommitted: tuple[str, ...]
    """Files of code that differ from the commit, including new ones."""


@cache
def versions() -> dict[str, str]:
    """Major and minor version of each library that an artifact's numbers depend on, read without importing them."""
    return {name: ".".join(importlib.metadata.version(name).split(".")[:2]) for name in KEYED}


@cache
def releases() -> dict[str, str]:
    """The exact release of Python and of each library whose numbers are recorded."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in NAMED}}


def checkout(folder: Path) -> Checkout | None:
    """The commit that a folder has checked out; None if the folder is not the root of a git checkout."""
    said = git(folder, "rev-parse", "--show-toplevel", "HEAD")
    if said is None:
        return None
    root, commit = said.split("\n")[:2]
    if Path(root).resolve() != folder.resolve():
        return None
    status = git(folder, "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all", "--", *CODE)
    if status is None:
        return None
    # After a renamed file git prints its former name, without a status; that entry is skipped.
    changed = [entry[3:] for entry in status.split("\0") if re.match(r"[ A-Z?!]{2} ", entry)]
    return Checkout(commit, tuple(changed))


def git(folder: Path, *args: str) -> str | None:
    """git's output for the repository around a folder; None if git fails or is not installed."""
    # Inside a git hook, these variables would point git to another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *args], capture_output=True, text=True, env=environment, check=False
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


@cache
def own_checkout() -> Checkout | None:
    """The checkout that this code runs from; None for an installed package. Cached: code is read once a process too."""
    return checkout(Path(__file__).parents[2])


def machine(*, gpu: bool = False) -> dict[str, Any]:
    """Processor, cores this process may use, the instruction set of torch's kernels if it is loaded, a GPU if asked."""
    torch = sys.modules.get("torch")
    found: dict[str, Any] = {"processor": _processor(), "cores": _cores()}
    if torch is not None:
        found["instructions"] = torch.backends.cpu.get_cpu_capability()
    if gpu and torch is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def cpu_seconds() -> float:
    """How long processors have been at work for this process so far, and for those that it has waited for."""
    return sum(os.times()[:4])


def now() -> str:
    """The date and time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def origin() -> dict[str, Any]:
    """Which code this process runs, and on what."""
    torch = sys.modules.get("torch")
    gpu = torch is not None and torch.cuda.is_initialized()
    return {**committed(own_checkout()), "machine": machine(gpu=gpu), "releases": releases()}


def committed(code: Checkout | None) -> dict[str, Any]:
    """The commit, and the files that differed from it if there were any; None without version control."""
    if code is None:
        return {"commit": None}
    return {"commit": code.commit} | ({"uncommitted": True} if code.uncommitted else {})


@cache
def _processor() -> str:
    named = re.search(r"^model name\s*:\s*(.+)$", CPUINFO.read_text(), re.MULTILINE) if CPUINFO.exists() else None
    return named[1].strip() if named else platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
