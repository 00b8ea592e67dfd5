"""Whether a store equals one that nothing was done to, bit for bit."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ws.store import MANIFEST
from ws.store.known import FOLDER as SOURCES
from ws.store.manifests import damage, read_manifest, sha256
from ws.tests.torture.tally import Tally
from ws.upkeep.standing import homes_in

OF_A_RUN = ("seconds", "cpu_seconds", "created", "origin", "notes", "taken")
"""What a manifest says of the run that made it; all else is the same each time."""

Contents = dict[str, dict[str, Any]]
"""For each artifact of a store, by kind and key: its files by name, with their hashes, and what its manifest says."""


@dataclass(frozen=True)
class Whole:
    """A store that nothing was done to."""

    root: Path
    contents: Contents

    @classmethod
    def of(cls, root: Path) -> "Whole":
        return cls(root, contents(root))


def contents(root: Path) -> Contents:
    return {f"{home.parent.name}/{home.name}": _content(home) for home in homes_in(root)}


def judge(root: Path, whole: Whole, tally: Tally, *, complete: bool) -> None:
    """Blame whatever is not as in the whole store; with `complete`, also what is missing."""
    there = set()
    # A folder that damage put in the place of a file of hashes has a name like a key, and is no artifact.
    for home in (one for one in homes_in(root) if one.parent.name != SOURCES):
        name = f"{home.parent.name}/{home.name}"
        there.add(name)
        if (said := damage(home, home.name)) is not None:
            tally.blame("half", f"{name}: {said}")
        elif name not in whole.contents:
            tally.blame("wrong", f"{name} is no artifact of the whole store")
        elif _content(home) != whole.contents[name]:
            tally.blame("wrong", f"{name} is another")
    for name in sorted(whole.contents.keys() - there) if complete else ():
        tally.blame("lost", name)


def judge_leftovers(root: Path, tally: Tally) -> None:
    """Blame what is left in tmp/ and locks/ once nobody builds."""
    for folder in ("tmp", "locks"):
        for path in (root / folder).iterdir() if (root / folder).is_dir() else ():
            tally.blame("half", f"{folder}/{path.name} is left over")


def _content(home: Path) -> dict[str, Any]:
    found = read_manifest(home)
    said = {name: value for name, value in found.said.items() if name not in OF_A_RUN} if found else None
    return {"said": said, **dict(_hashes(home))}


def _hashes(home: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(home.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            yield path.relative_to(home).as_posix(), sha256(path)
