"""Finished corruptions, kept beside the artifacts, so that a run that was stopped goes on where it was.

<root>/falsified/<digest>/<corruption>.json     what every case said
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from ws.falsify.trials import Said
from ws.falsify.turning import Trial
from ws.store.known import code_digest

FOLDER = "falsified"


class Kept:
    """The finished corruptions of one set of tests, evidence and code."""

    def __init__(self, root: Path, said: Mapping[str, Said]) -> None:
        """`said` is what the tests say on sound evidence."""
        code = code_digest()
        told = {name: one.record and one.record.to_snapshot() for name, one in said.items()}
        digest = hashlib.sha256(json.dumps([code, told], sort_keys=True).encode()).hexdigest()[:32]
        self._folder = None if code is None else root / FOLDER / digest

    def get(self, corruption: str) -> list[Trial] | None:
        """The trials of a corruption that was finished; None if it was not."""
        if self._folder is None or not (file := self._folder / f"{corruption}.json").is_file():
            return None
        return [Trial(*line) for line in json.loads(file.read_text(encoding="utf-8"))]

    def put(self, corruption: str, trials: list[Trial]) -> None:
        """Keep the trials of a corruption, and nothing of older code or evidence."""
        if self._folder is None:
            return
        for other in self._folder.parent.glob("*"):
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._folder / f"{corruption}.tmp"
        new.write_text(json.dumps(trials), encoding="utf-8")
        new.replace(self._folder / f"{corruption}.json")
