"""The code of two recordings: which commits they name, and what differs between these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ws.changes.commits import Commit, commit_named, is_shallow
from ws.changes.definitions import Between, Edited

LIBRARY = ("ws", "fixtures")
"""The folders of a clone of this project with code that makes and judges numbers."""

STATISTICS, VERDICT = "ws/stats/", "ws/stats/verdict.py"
RECIPES = "ws/study/"
"""The folder that imports every recipe."""

ASSERTING = ("fixtures/holds.py", "fixtures/siblings.py", "fixtures/looks.py", "fixtures/cases.py")
"""What calls the statistics."""


@dataclass
class Recordings:
    """Compares the code of recordings, each pair of commits once."""

    claims: Path | None
    """The repository with the claims; None outside of version control."""
    library: Path | None
    """The clone of this project; None for an installed package."""
    tests: str = "claims"
    """The folder of the claims in its repository."""
    _between: dict[tuple[str, str, bool], Between | str] = field(default_factory=dict)

    def of_library(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Between | str:
        """What differs in the code of this package; in words, why that cannot be said."""
        return self._compared(_library(old), _library(new), is_library=True)

    def of_claims(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Between | str:
        """What differs in the tests of claims; in words, why that cannot be said."""
        return self._compared(old, new, is_library=False)

    def judging(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Edited] | str:
        """The definitions that differ where verdicts are made of rows; in words, why that cannot be said."""
        between = self.of_library(old, new)
        if isinstance(between, str):
            return between
        reachable = between.within(VERDICT) if VERDICT in between.after else between.edited
        fixtures = [one for one in between.edited if one.path in ASSERTING]
        return [one for one in reachable if one.path.startswith(STATISTICS)] + fixtures

    def making(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Edited] | str:
        """The definitions that differ in all that recipes may reach; in words, why that cannot be said."""
        between = self.of_library(old, new)
        if isinstance(between, str):
            return between
        starts = [path for path in between.after if path.startswith(RECIPES)]
        return [one for one in between.within(*starts) if not one.path.startswith((STATISTICS, RECIPES))]

    def test_of(self, test: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
        """The file and name of a claim's test if its text differs; else empty."""
        between = self.of_claims(old, new)
        if isinstance(between, str):
            return ""
        found = [one.path for one in between.edited if test in one.names]
        return f"{found[0]}: {test}" if found else ""

    def _compared(self, old: Mapping[str, Any], new: Mapping[str, Any], *, is_library: bool) -> Between | str:
        ids = _commit(old), _commit(new)
        where = self.library if is_library else self.claims
        if None in ids:
            return "a side does not name the commit of its code"
        if where is None:
            return "this is no clone, in which commits could be compared"
        place = (str(ids[0]), str(ids[1]), is_library)
        if place not in self._between:
            self._between[place] = self._compare(where, place[0], place[1], LIBRARY if is_library else (self.tests,))
        return self._between[place]

    def _compare(self, where: Path, old: str, new: str, places: tuple[str, ...]) -> Between | str:
        found: list[Commit] = []
        for id in (old, new):
            commit = commit_named(where, id)
            if commit is None:
                fetch = "; it is shallow: git fetch --unshallow" if is_shallow(where) else ""
                return f"commit {id[:7]} is not in this clone{fetch}"
            found.append(commit)
        return Between(found[0], found[1], places)


def uncommitted(recorded: Mapping[str, Any]) -> bool:
    """Whether the code of a recording differed from the commit that it names."""
    return bool(recorded.get("uncommitted") or _library(recorded).get("uncommitted"))


def _library(recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a recording says of this package, which in somebody else's repository is not what the commit is of."""
    package = recorded.get("package")
    return package if isinstance(package, dict) else recorded


def _commit(recorded: Mapping[str, Any]) -> str | None:
    found = recorded.get("commit")
    return found if isinstance(found, str) else None
