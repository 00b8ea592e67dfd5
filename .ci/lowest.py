"""The lowest version of every range that a pyproject.toml declares, as constraints for pip, which take no extras.

Run as `python .ci/lowest.py pyproject.toml`. Packages that these depend on are left to pip, which takes the newest.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RANGE = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w.,-]+\])?(?:>=|==)(?P<version>[\w.]+)")


def requirements(project: Mapping[str, Any]) -> Iterator[str]:
    """Every requirement: of the build, of the package, of its extras and of the groups for who develops it."""
    yield from project["build-system"]["requires"]
    yield from project["project"]["dependencies"]
    for table in (project["project"].get("optional-dependencies", {}), project.get("dependency-groups", {})):
        for listed in table.values():
            yield from listed


def lowest(requirement: str) -> str:
    """The constraint that leaves the lowest version only.

    Raises: ValueError if the requirement does not begin with one.
    """
    if (found := RANGE.match(requirement)) is None:
        raise ValueError(f"{requirement!r} begins with no lowest version; expected NAME>=VERSION or NAME==VERSION")
    return f"{found['name']}=={found['version']}"


if __name__ == "__main__":
    print(*map(lowest, requirements(tomllib.loads(Path(sys.argv[1]).read_text()))), sep="\n")
