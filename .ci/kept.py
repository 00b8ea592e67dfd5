"""What became of mutants that claims judge, kept in a folder, so that a run that was stopped goes on where it was."""

import hashlib
import json
from pathlib import Path

from mutation import ROOT, Mutant


class Kept:
    """What was found out, in a folder: what tests call and read, and what became of mutants as soon as each is judged.

    Files are named by a digest of code and snapshots, so those of others tell nothing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        digest = digest_of_tree()
        self.traces, self._file = folder / f"traces-{digest}.jsonl", folder / f"mutants-{digest}.jsonl"
        there = self._file.read_text().splitlines() if self._file.exists() else []
        self.found: dict[tuple[str, str], str | None] = {}
        """By mutant and round, the case that failed; None if all passed."""
        for one in map(json.loads, there):
            self.found[one["mutant"], one["round"]] = one["failed"]

    def add(self, mutant: Mutant, turn: str, failed: str | None) -> None:
        self.found[mutant.name, turn] = failed
        with self._file.open("a") as out:
            out.write(json.dumps({"mutant": mutant.name, "round": turn, "failed": failed}) + "\n")

    def killed(self, mutant: Mutant) -> bool:
        return any(failed is not None for (name, _), failed in self.found.items() if name == mutant.name)


def digest_of_tree() -> str:
    """Of all files that a verdict may depend on."""
    found = hashlib.sha256()
    for path in sorted(path for room in ("ws", "fixtures", "claims") for path in (ROOT / room).rglob("*.*")):
        if path.suffix in (".py", ".json", ".toml") and not path.is_relative_to(ROOT / "ws" / "tests"):
            found.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]
