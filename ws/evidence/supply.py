"""Evidence as a supply of a store: what it has, nobody needs to build."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ws.errors import StoreError
from ws.evidence.files import Files
from ws.evidence.folder import FILES, Evidence
from ws.evidence.records import Kept
from ws.evidence.tables import Tables
from ws.files.showing import brief
from ws.store.manifests import Damaged, inside
from ws.store.origin import now


class EvidenceSupply:
    """Hands out the artifacts of one model's evidence; parts are read once, when they are first needed."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.taken: Counter[str] = Counter()
        """How many artifacts of each class were taken."""
        self._parts: dict[str, Tables | Files | None] = {}

    @property
    def name(self) -> str:
        """What messages and manifests call it."""
        return str(self.evidence.folder)

    def has(self, key: str) -> bool:
        """Whether the artifact is here, and every part that its files are in is sound."""
        kept = self.evidence.records.get(key)
        return kept is not None and all(self._part(name) is not None for name in kept.files.values())

    def bring(self, key: str, out: Path) -> Mapping[str, Any] | None:
        """The artifact's files, in `out`, and where they come from; None if they are not here."""
        if not self.has(key):
            return None
        kept = self.evidence.records[key]
        for name, part in kept.files.items():
            self._write(kept, name, self._parts[part], out)
        self.taken[kept.kind] += 1
        return {**kept.made, "taken": {"from": self.name, "date": now()}}

    def _write(self, kept: Kept, name: str, part: Tables | Files | None, out: Path) -> None:
        assert part is not None
        try:
            path = inside(out, name)
        except Damaged as refused:
            raise StoreError(
                f"the evidence in {self.name} cannot be trusted: in {kept.phrase} {refused}; remove that folder"
            ) from refused
        if not part.has(kept.key, name):
            raise StoreError(
                f"the evidence in {self.name} cannot be trusted: it has no {brief(name)} of {kept.phrase[:80]}, which "
                "its records name; remove that folder"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write(kept.key, name, path)

    def _part(self, name: str) -> Tables | Files | None:
        if name not in self._parts:
            read: Callable[[pa.NativeFile], Tables | Files] = Files if name.endswith(f"/{FILES}") else Tables
            self._parts[name] = self.evidence.read(name, read)
        return self._parts[name]
