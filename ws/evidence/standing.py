"""What a model's evidence holds under today's code, and what its recorded verdicts name that it lacks."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ws.evidence.folder import Evidence
from ws.evidence.pack import still_current
from ws.store import Store
from ws.upkeep.lookup import keys_in


@dataclass(frozen=True)
class Standing:
    """The state of a model's evidence."""

    evidence: Evidence
    by_class: Mapping[str, Counter[str]]
    """For each class, how many artifacts are current and how many stale: of a key that their recipe has no more."""
    snapshots: int
    named: int
    """How many keys the snapshots name."""
    missing: Mapping[str, str]
    """The keys among them that the evidence does not have, each with a snapshot that names it."""


def standing_of(evidence: Evidence, store: Store, snapshots: Path) -> Standing:
    """The state of the evidence beside a folder of snapshots; every part is checked."""
    evidence.check()
    current = still_current(store, evidence)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for key, kept in evidence.records.items():
        counts[kept.kind]["current" if key in current else "stale"] += 1
    named: dict[str, str] = {}
    files = sorted(snapshots.glob("*.json"))
    for file in files:
        for key in keys_in(file):
            named.setdefault(key, file.stem)
    missing = {key: name for key, name in named.items() if key not in evidence.records}
    return Standing(evidence, counts, len(files), len(named), missing)
