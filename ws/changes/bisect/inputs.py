"""The inputs of a case that one machine can change: groups of files that differ between two commits, and packages."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ws.changes.cases import Case
from ws.changes.commits import Commit
from ws.changes.recordings import ASSERTING
from ws.changes.sides import SNAPSHOTS
from ws.errors import CommandError

Files = Mapping[str, str]
"""The hash of each file by its path."""

JUDGING = ("ws/stats/", "ws/report/", *ASSERTING)
CLAIMS, JUDGEMENT = "tests of claims", "judgement, with the records of siblings"
FIXTURES, DATA = "fixtures", "data of the package"
SETTINGS = ("conftest.py", "pytest.ini", "pyproject.toml")


@dataclass(frozen=True)
class Tree:
    """All files that a run needs, and the Python that runs them."""

    name: str
    files: Files
    python: str


@dataclass(frozen=True)
class Inputs:
    """Two trees, and those between them: of the old one, with one input of the new one."""

    old: Tree
    new: Tree
    changed: tuple[Tree, ...]

    @property
    def all(self) -> tuple[Tree, ...]:
        return (self.old, self.new, *self.changed)


def inputs(old: Commit, new: Commit, case: Case, tests: str, *, python: str, other_python: str | None) -> Inputs:
    """The trees of a case between two commits.

    Raises: CommandError if nothing that one machine can change differs.
    """
    before, now = (_needed(commit, case, tests) for commit in (old, new))
    differing = [path for path in dict.fromkeys([*before, *now]) if before.get(path) != now.get(path)]
    groups: dict[str, list[str]] = {}
    for path in differing:
        groups.setdefault(group_of(path, tests), []).append(path)
    first = Tree(f"all of {old.short}", before, python)
    changed = [_with(first, name, paths, now) for name, paths in sorted(groups.items())]
    if other_python is not None:
        changed.append(replace(first, name=f"packages of {other_python}", python=other_python))
    if not changed:
        raise CommandError(f"no file that a case needs differs between {old.short} and {new.short}; nothing to bisect")
    return Inputs(first, Tree(f"all of {new.short}", now, other_python or python), tuple(changed))


def group_of(path: str, tests: str) -> str:
    """The input that a file belongs to; of the library, its room."""
    pure = PurePosixPath(path)
    if path.startswith(JUDGING) or SNAPSHOTS in pure.parts:
        return JUDGEMENT
    if path.startswith("fixtures/") or path in SETTINGS:
        return FIXTURES
    if path.startswith("ws/"):
        return DATA if pure.suffix != ".py" else "/".join(pure.parts[:2])
    return CLAIMS


def _needed(commit: Commit, case: Case, tests: str) -> Files:
    """The files that a case needs, of recorded verdicts those of its model."""
    places = ("ws", "fixtures", *([] if tests == "." else [tests]), *SETTINGS)
    base = "" if tests == "." else f"{tests}/"
    others = f"{base}{SNAPSHOTS}/"
    return {
        path: blob
        for path, blob in commit.blobs(*(() if tests == "." else places)).items()
        if not path.startswith(("ws/tests/", f"{base}__evidence__/"))
        and (not path.startswith(others) or path.startswith(f"{others}{case.id[0]}/"))
    }


def _with(tree: Tree, name: str, paths: list[str], now: Files) -> Tree:
    """A tree with some files as they are in the other commit, where they may be gone."""
    kept = {path: blob for path, blob in tree.files.items() if path not in paths}
    files = "1 file" if len(paths) == 1 else f"{len(paths)} files"
    return Tree(f"{name} ({files})", kept | {path: now[path] for path in paths if path in now}, tree.python)
