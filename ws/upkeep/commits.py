"""Accounts of a recipe's key by another commit of this project, found by running that commit's code."""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import ws
from ws.errors import StoreError
from ws.store.origin import checkout, git
from ws.upkeep.accounts import Accounts

PROJECT = Path(ws.__file__).parents[1]
ASK = "from ws.upkeep.accounts import main; main()"


def accounts_at(commit: str, said: dict[str, Any], *, project: Path = PROJECT) -> Accounts:
    """The accounts of a manifest's recipe by the code of a commit, which is unpacked into a folder of its own.

    Raises: StoreError if there is no such commit, or its code has no such recipe or is too old to give accounts.
    """
    if checkout(project) is None:
        raise StoreError(f"{project} is no git checkout, so it has no commit {commit!r}; run in a clone of the project")
    found = git(project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if found is None:
        raise StoreError(f"{commit!r} is no folder of a store, and {project} has no such commit; give one of both")
    with tempfile.TemporaryDirectory(prefix="ws-commit-") as scratch:
        _unpack(project, found.strip(), Path(scratch))
        return _answer(commit, said, Path(scratch))


def _unpack(project: Path, commit: str, folder: Path) -> None:
    packed = subprocess.run(
        ["git", "-C", str(project), "archive", "--format=tar", commit, "ws"], capture_output=True, check=False
    )
    if packed.returncode != 0:
        raise StoreError(f"git cannot unpack ws of {commit}: {packed.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")


def _answer(commit: str, said: dict[str, Any], folder: Path) -> Accounts:
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps(said),
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        old = "ws.upkeep" in last[0] or "No module named 'ws" in last[0]
        why = "it is from before keys could be explained" if old else last[0]
        raise StoreError(f"the code of {commit} cannot compute this key: {why}; name a later commit, or a store")
    if gone := json.loads(done.stdout).get("gone"):
        raise StoreError(f"{commit} has no such recipe: {gone}")
    return Accounts.loaded(done.stdout)
