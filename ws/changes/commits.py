"""Commits of a repository, read without checking them out: which files a commit has, and what is in them.

A text that names a commit is handed to git as a revision and nothing else, and all that follows goes by the hash that
git answers.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ws.errors import StoreError
from ws.store.origin import git

HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
PLAIN = ("100644", "100755")
"""The modes of plain files; links and submodules are never read."""


@dataclass(frozen=True)
class Commit:
    """One commit of a repository."""

    repository: Path
    """The root of the working tree."""
    id: str
    """Its whole hash."""

    @property
    def short(self) -> str:
        return self.id[:7]

    @property
    def told(self) -> str:
        """Its hash, day and subject, in one line."""
        said = git(self.repository, "show", "--no-patch", "--no-show-signature", "--format=%cs %s", self.id)
        return f"{self.short} {(said or '').strip()}".strip()

    def blobs(self, *places: str) -> dict[str, str]:
        """The hash of each plain file at or below some places, by path; of all files where no place is named."""
        said = git(self.repository, "ls-tree", "-r", "-z", "--full-tree", self.id, "--", *places)
        if said is None:
            raise StoreError(f"git cannot list the files of commit {self.short}; is the clone whole? run `git fsck`")
        entries = (line.split("\t", 1) for line in said.split("\0") if line)
        return {path: told.split()[2] for told, path in entries if told.split()[0] in PLAIN}


def root_of(folder: Path) -> Path | None:
    """The root of the repository around a folder; None outside of one."""
    if not folder.is_dir():
        return None
    said = git(folder, "rev-parse", "--show-toplevel")
    return Path(said.rstrip("\n")) if said else None


def commit_named(repository: Path, text: str) -> Commit | None:
    """The commit that a text names; None if it names none."""
    said = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}")
    return Commit(repository, said.strip()) if said and HASH.fullmatch(said.strip()) else None


def is_shallow(repository: Path) -> bool:
    """Whether a clone lacks the older commits."""
    return (git(repository, "rev-parse", "--is-shallow-repository") or "").strip() == "true"


def contents(repository: Path, blobs: Iterable[str]) -> dict[str, bytes]:
    """The content of files by their hashes.

    Raises: StoreError if one is not there.
    """
    wanted = list(dict.fromkeys(blobs))
    if not wanted:
        return {}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(repository), "cat-file", "--batch"],
        input="\n".join([*wanted, ""]).encode(),
        capture_output=True,
        env=environment,
        check=False,
    )
    found, place = {}, 0
    for blob in wanted:
        end = done.stdout.find(b"\n", place)
        head = done.stdout[place:end].split() if end >= 0 else []
        if len(head) != 3 or head[0].decode() != blob:
            raise StoreError(f"git has no file {blob[:12]} in {repository}; is the clone whole? run `git fsck`")
        size = int(head[2])
        found[blob] = done.stdout[end + 1 : end + 1 + size]
        place = end + size + 2
    return found


def written(repository: Path, blobs: Mapping[str, str], folder: Path) -> None:
    """Write files of a commit, by path, below a folder; a path that leads out of it is refused."""
    texts = contents(repository, blobs.values())
    root = folder.resolve()
    for path, blob in blobs.items():
        place = (root / path).resolve()
        if not place.is_relative_to(root):
            raise StoreError(f"the repository {repository} has a file {path!r}, which leads out of it; nothing is read")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(texts[blob])
