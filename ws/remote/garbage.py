"""Finding and removing below a URL what no recipe of this checkout reaches, with what cut uploads left.

An artifact's manifest goes first: who looks for it from then on builds it. What somebody builds now, or did within a
day, is left alone.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ws.remote.layout import CODE, FILES, LEASES, RUNS, code_name, manifest_name
from ws.remote.mirror import Mirror
from ws.remote.objects import Objects
from ws.store import MANIFEST
from ws.store.progress import track
from ws.upkeep.garbage import DAY
from ws.upkeep.garbage import garbage_of as garbage_of_folder
from ws.upkeep.standing import manifests_in


@dataclass(frozen=True)
class RemoteWaste:
    """Objects that may go together, in the order in which they go."""

    group: str
    """The class of an artifact, or the folder that they lie in."""
    why: str
    names: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class RemoteGarbage:
    """All that may go, and how many artifacts stay."""

    waste: tuple[RemoteWaste, ...]
    kept: int
    busy: int
    """Artifacts that could go if nobody held a lease of them."""

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.waste)


def garbage_of(objects: Objects, folder: Path, *, older_than_days: float = 0.0) -> RemoteGarbage:
    """Everything below a URL that may go and is at least this old; `folder` is an empty one."""
    now = time.time()
    # An object without a manifest may belong to an upload under way.
    day_old, before = now - DAY, min(now - DAY, now - older_than_days * DAY)
    files = _by_key(objects.entries(FILES))
    leases = {Path(name).stem: entry for name, entry in objects.entries(LEASES).items()}
    busy = {key for key, entry in leases.items() if changed(entry) > day_old}
    mirror = Mirror(objects, folder)
    found = garbage_of_folder(mirror, older_than_days=older_than_days)
    gone = {one.path.name: one for one in found.waste if (one.path / MANIFEST).exists()}
    waste = [
        RemoteWaste(one.group, one.why, (manifest_name(key), *files.get(key, {})), _bytes(files.get(key, {})))
        for key, one in gone.items()
        if key not in busy
    ]
    listed = {
        manifest.key: {entry["sha256"] for entry in manifest.said["files"].values()}
        for manifest in manifests_in(mirror.root)
    }
    for key, objects_of in files.items():
        left = {
            name: entry
            for name, entry in objects_of.items()
            if key not in gone and Path(name).name not in listed.get(key, set()) and changed(entry) < before
        }
        if left and key not in busy and key not in mirror.unreadable:
            waste.append(RemoteWaste(FILES, "of an upload that was cut or came second", tuple(left), _bytes(left)))
    for key, why in mirror.unreadable.items():
        if key not in busy:
            names = (manifest_name(key), *files.get(key, {}))
            waste.append(RemoteWaste("manifests", why, names, _bytes(files.get(key, {}))))
    waste += _old(leases, LEASES, "of a build that was killed", before, lambda key: f"{LEASES}/{key}.json")
    waste += _old(objects.entries(RUNS), RUNS, "of a run that is over", before, lambda name: name)
    waste += _unused_code(objects, {code_name(source) for source in mirror.sources}, before)
    return RemoteGarbage(tuple(waste), len(listed) - len(gone), len(gone.keys() & busy))


def remove(objects: Objects, garbage: RemoteGarbage) -> None:
    """Delete it."""
    for one in track(garbage.waste, "removing"):
        for name in one.names:
            objects.delete(name)


def changed(entry: Mapping[str, Any]) -> float:
    """When an object was last written, by the server's clock; now, where its file system does not say.

    Each file system calls it differently: S3 LastModified, Google's storage mtime or updated, folders mtime.
    """
    for name in ("LastModified", "mtime", "updated", "last_modified", "created"):
        match entry.get(name):
            case datetime() as date:
                return date.timestamp()
            case bool():
                continue
            case int() | float() as seconds:
                return float(seconds)
            case str() as text:
                try:
                    return datetime.fromisoformat(text).timestamp()
                except ValueError:
                    continue
    return time.time()


def _by_key(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, entry in entries.items():
        found.setdefault(Path(name).parent.name, {})[name] = entry
    return found


def _bytes(entries: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(int(entry.get("size") or 0) for entry in entries.values())


def _old(
    entries: Mapping[str, Mapping[str, Any]], group: str, why: str, before: float, name_of: Any
) -> Iterator[RemoteWaste]:
    for key, entry in entries.items():
        if changed(entry) < before:
            yield RemoteWaste(group, why, (name_of(key),), int(entry.get("size") or 0))


def _unused_code(objects: Objects, used: set[str], before: float) -> Iterator[RemoteWaste]:
    unused = {name: entry for name, entry in objects.entries(CODE).items() if name not in used}
    yield from _old(unused, CODE, "no artifact is made by it", before, lambda name: name)
