"""What lies below `manifests/`: a manifest with its own hash, and what of it is believed.

Of a manifest that was fetched only the files, their hashes and what it says of how they were made are read. Recipe,
inputs and code of the manifest that is then written beside the files are those of this machine.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ws.store.manifests import MANIFEST, Damaged, inside

MADE = ("seconds", "cpu_seconds", "created", "origin", "notes", "carried", "taken")
"""What a manifest says of how its artifact was made."""

LONGEST_NAME = 255
"""Bytes that file systems allow a name."""

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class File(NamedTuple):
    """One file of an artifact."""

    path: Path
    """Where it goes."""
    sha256: str
    bytes: int


def encoded(said: Mapping[str, Any]) -> bytes:
    """A manifest as it is uploaded."""
    return json.dumps({"sha256": _digest(said), "manifest": said}, sort_keys=True, indent=1).encode() + b"\n"


def decoded(content: bytes, key: str) -> dict[str, Any]:
    """The manifest of an artifact. Raises: Damaged if it is of another one, or not whole."""
    try:
        document = json.loads(content)
        said, digest = document["manifest"], document["sha256"]
        whole = isinstance(said, dict) and _digest(said) == digest
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Damaged(f"its manifest cannot be read ({type(error).__name__})") from None
    if not whole:
        raise Damaged("its manifest does not have its own sha256")
    if said.get("key") != key:
        raise Damaged("its manifest is of another artifact")
    return said


def files_of(said: Mapping[str, Any], folder: Path) -> list[File]:
    """The files of an artifact that is to be put into a folder. Raises: Damaged for what no manifest of ours says."""
    try:
        _check_names(list(said["files"]))
        found = [File(inside(folder, name), one["sha256"], one["bytes"]) for name, one in said["files"].items()]
        whole = all(_SHA256.fullmatch(one.sha256) and type(one.bytes) is int and one.bytes >= 0 for one in found)
    except (LookupError, TypeError, AttributeError, ValueError):  # a name with half a character in it, too
        whole, found = False, []
    if not whole or not found:
        raise Damaged("its manifest lists no files, or lists them without size or sha256")
    return found


def made(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says of how its artifact was made. Raises: Damaged for what no manifest of ours says."""
    told = {name: said[name] for name in MADE if name in said}
    times = (told.get("seconds", 0.0), told.get("cpu_seconds", 0.0))
    counted = all(type(one) in (int, float) and math.isfinite(one) for one in times)
    if not counted or not isinstance(told.get("created", ""), str):
        raise Damaged("its manifest has no number where it says how long it took, or no date")
    return told


def _check_names(names: list[str]) -> None:
    """Raises: Damaged for names that cannot stand beside each other and the manifest, or on no disk."""
    paths = [PurePosixPath(name) for name in names]
    taken = {PurePosixPath(MANIFEST)}.union(*(path.parents for path in paths))
    for path in paths:
        if path in taken or not all(part.isprintable() and len(part.encode()) <= LONGEST_NAME for part in path.parts):
            raise Damaged(f"the file name {str(path)[:LONGEST_NAME]!r} cannot be used")
    if len(set(paths)) < len(paths):
        raise Damaged("two of its files have one name")


def _digest(said: object) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
