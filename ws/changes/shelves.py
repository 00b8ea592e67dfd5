"""Two collections of artifacts (stores, or sets of evidence): which are on one side only, and what moved their keys."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from ws.changes.cases import Cause
from ws.changes.keys import paired, rekeyed
from ws.changes.known import Known
from ws.changes.sides import Side
from ws.errors import StoreError
from ws.evidence.supply import EvidenceSupply
from ws.files.notation import Unreadable, parsed
from ws.files.opening import content
from ws.files.tables import table_in
from ws.store.manifests import inside, read_manifest, sha256
from ws.upkeep.standing import homes_in

BY_CODE = "code"

MOST_BYTES = 256 << 20
"""The largest table or JSON file of an artifact."""


@dataclass(frozen=True)
class Shelves:
    """What differs between two collections."""

    same: int
    """Artifacts of both, with the same files."""
    other_files: tuple[str, ...]
    """Artifacts with the same key and other files, in words: built twice, on other machines or releases."""
    rekeyed: Mapping[tuple[Cause, ...], Counter[str]]
    """By what moved their keys, how many artifacts of each kind there are."""
    gone: Counter[str] = field(default_factory=Counter)
    """By kind, the artifacts of the old side for which the new one has none."""
    appeared: Counter[str] = field(default_factory=Counter)


def of_shelves(old: Side, new: Side) -> Shelves:
    """Compare the artifacts of two sides."""
    before, now = _kinds(old), _kinds(new)
    both = sorted(before.keys() & now.keys())
    stores = tuple(root for root in (old.store, new.store) if root is not None)
    known = Known((*old.evidence.values(), *new.evidence.values()), stores)
    pairs, alone = paired(before, now, known)
    moved: dict[tuple[Cause, ...], Counter[str]] = {}
    for a, b in pairs:
        moved.setdefault(_causes(a, b, known), Counter())[before[a]] += 1
    by_value = bool(old.evidence or new.evidence)
    files, others = (_Files(side, by_value=by_value) for side in (old, new))
    differing = [key for key in both if files.of(key) != others.of(key)]
    return Shelves(
        len(both) - len(differing),
        tuple(f"{before[key]} {key[:12]} {known.phrase(key)}".strip() for key in differing),
        moved,
        Counter(before[key] for key in alone if key in before),
        Counter(now[key] for key in alone if key in now),
    )


def _causes(old: str, new: str, known: Known) -> tuple[Cause, ...]:
    then, today = known.accounts(old), known.accounts(new)
    assert then is not None
    assert today is not None
    found = rekeyed(then, today, known)
    by_code = [Cause(BY_CODE, f"of {', '.join(name.rpartition('.')[2] for name in found.by_code)}")]
    return tuple(sorted((*found.causes, *by_code * bool(found.by_code))))


def _kinds(side: Side) -> dict[str, str]:
    """The kind of each artifact by its key."""
    found = {key: kept.kind for evidence in side.evidence.values() for key, kept in evidence.records.items()}
    if side.store is not None:
        found |= {home.name: home.parent.name for home in homes_in(side.store)}
    return found


class _Files:
    """What is in the files of artifacts: of two stores by the hashes of their manifests, else by their values, since
    evidence keeps tables value by value and not byte by byte."""

    def __init__(self, side: Side, *, by_value: bool) -> None:
        self._store, self._by_value = side.store, by_value
        self._supplies = [EvidenceSupply(one) for one in side.evidence.values()]

    def of(self, key: str) -> Mapping[str, str] | None:
        """By name, a digest of each file; None where the artifact is damaged."""
        return next(filter(None, self._found(key)), None)

    def _found(self, key: str) -> Iterator[Mapping[str, str]]:
        homes = [] if self._store is None else sorted(self._store.glob(f"*/{key}"))
        for manifest in filter(None, map(read_manifest, homes)):
            files = manifest.said["files"]
            if self._by_value:
                yield {name: _digest(path) for name in files if (path := inside(manifest.home, name)).is_file()}
            else:
                yield {name: entry["sha256"] for name, entry in files.items()}
        for supply in self._supplies:
            with TemporaryDirectory(prefix="ws-diff-") as scratch:
                out = Path(scratch)
                if supply.bring(key, out) is not None:
                    yield {path.relative_to(out).as_posix(): _digest(path) for path in out.rglob("*") if path.is_file()}


def _digest(path: Path) -> str:
    """A hash of the values in a file; of its bytes, where these hold no values that can be read."""
    try:
        return hashlib.sha256(_values(path)).hexdigest() if path.suffix in (".json", ".parquet") else sha256(path)
    except Unreadable:
        return sha256(path)


def _values(path: Path) -> bytes:
    """The values in a JSON or Parquet file, in one form. Raises: Unreadable if it is none."""
    found = content(path, most=MOST_BYTES, what="a file of an artifact", refuse=StoreError)
    if path.suffix == ".json":
        return json.dumps(parsed(found, finite=False), sort_keys=True).encode()
    table = table_in(found).replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    return sink.getvalue()
