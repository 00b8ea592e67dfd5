"""One run of a case in a tree of files: pytest in a process of its own, which writes down the verdict it comes to."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ws.changes.bisect.inputs import Tree
from ws.changes.cases import Case
from ws.changes.commits import written
from ws.changes.lookup import item, test_file

PROBE = "ws_probe"
TOLD = "told.json"

PROBE_TEXT = '''"""Writes the verdict of a run, which the fixtures attach to the report of its test."""

import json
import os


def verdict(said):
    # The code of some commits attaches it as text of JSON, that of others as a dictionary.
    try:
        value = json.loads(said) if isinstance(said, str) else said
    except ValueError:
        return None
    return value if isinstance(value, dict) and "outcome" in value else None


def pytest_runtest_logreport(report):
    found = [one for one in (verdict(said) for _, said in report.user_properties) if one]
    if found or report.failed:
        text = "" if found else report.longreprtext
        with open(os.environ["WS_PROBE"], "w", encoding="utf-8") as out:
            json.dump({"record": found[0] if found else None, "error": text}, out, default=str)
'''


@dataclass(frozen=True)
class Result:
    """What one run came to."""

    name: str
    record: Mapping[str, Any] | None
    """The fields of its verdict; None if it came to none."""
    error: str = ""
    """The last line of what went wrong."""

    @property
    def value(self) -> float | None:
        found = None if self.record is None else self.record.get("value")
        return float(found) if isinstance(found, int | float) else None

    @property
    def outcome(self) -> str:
        return "no verdict" if self.record is None else str(self.record["outcome"])


@dataclass(frozen=True)
class Runs:
    """Runs one case in trees, in a folder that keeps what was built and what was found."""

    folder: Path
    repository: Path
    case: Case
    tests: str
    seeds: int | None = None
    """How many are trained; None for as many as the model has by default."""

    @property
    def store(self) -> Path:
        """The store of all runs, apart from the user's: keys say which run can use what."""
        return self.folder / "store"

    def known(self, tree: Tree) -> Result | None:
        """What an earlier run of the same files came to."""
        place = self._place(tree)
        if not place.is_file():
            return None
        said = json.loads(place.read_text(encoding="utf-8"))
        return Result(tree.name, said["record"], said["error"])

    def run(self, tree: Tree) -> Result:
        """Run the case; a verdict is kept, so that it is not asked for again."""
        if (earlier := self.known(tree)) is not None:
            return earlier
        scratch = self.folder / "tree"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            written(self.repository, tree.files, scratch)
            found = self._run(tree, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if found.record is not None:
            place = self._place(tree)
            place.parent.mkdir(parents=True, exist_ok=True)
            whole = place.with_suffix(f".{os.getpid()}")
            whole.write_text(json.dumps(asdict(found)), encoding="utf-8")
            os.replace(whole, place)
        return found

    def _run(self, tree: Tree, folder: Path) -> Result:
        paths = sorted((folder / self.tests).glob("*.py"))
        files = [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]
        file = test_file(self.case.test, files)
        if file is None:
            return Result(tree.name, None, f"no test {self.case.test} is there")
        probe = self.folder / "probe"
        probe.mkdir(exist_ok=True)
        (probe / f"{PROBE}.py").write_text(PROBE_TEXT, encoding="utf-8")
        (probe / TOLD).unlink(missing_ok=True)
        done = subprocess.run(
            [tree.python, "-m", "pytest", f"{file}::{item(self.case)}", *self._options(), "-q", "-p", PROBE],
            cwd=folder,
            env=self._environment(folder, probe),
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        if (probe / TOLD).is_file():
            said = json.loads((probe / TOLD).read_text(encoding="utf-8"))
            return Result(tree.name, said["record"], _last(said["error"]))
        return Result(tree.name, None, _last(done.stdout) or f"pytest ended with status {done.returncode}")

    def _options(self) -> list[str]:
        device = ["--gpu"] if self.case.said.get("device") == "cuda" else []
        seeds = [f"--seeds={self.seeds}"] if self.seeds else []
        return ["--model", self.case.id[0], f"--store={self.store}", "-p", "no:cacheprovider", *device, *seeds]

    def _environment(self, folder: Path, probe: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "WS_STORE")}
        paths = os.pathsep.join(map(str, (folder, probe)))
        return kept | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "WS_PROBE": str(probe / TOLD)}

    def _place(self, tree: Tree) -> Path:
        """Where the result of a run lies: a hash of everything that decides it."""
        decided = [sorted(tree.files.items()), tree.python, self.case.id, self.case.said.get("device")]
        decided += [self.seeds] if self.seeds else []
        return self.folder / "results" / f"{hashlib.sha256(json.dumps(decided).encode()).hexdigest()[:16]}.json"


def _last(text: str) -> str:
    """The line of an error that says most: the last that pytest marks as one, else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (marked or lines or [""])[-1]
