"""Every file of a store against its hash. A warm run reads only what it judges by, not what that was made of."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ws.errors import StoreError
from ws.store import Store, manifests
from ws.store.progress import track
from ws.upkeep.standing import homes_in


@dataclass(frozen=True)
class Checked:
    """One artifact, looked at."""

    home: Path
    damage: str | None
    """What is wrong with it, in words; None if it is whole."""
    bytes: int
    """The size of the files that were read, 0 of a damaged one."""
    is_sealed: bool
    """Whether its manifest has a hash of its own, which those of older versions have not."""


def check(store: Store) -> list[Checked]:
    """All artifacts of a store, with progress. Raises: StoreError if there is none."""
    homes = list(homes_in(store.root))
    if not homes:
        raise StoreError(f"{store.root} has no artifacts; name a store's folder with --store PATH or WS_STORE=PATH")
    return list(_checked(homes))


def _checked(homes: list[Path]) -> Iterator[Checked]:
    for home in track(homes, "checking"):
        damage = _damage(home)
        found = manifests.read_manifest(home) if damage is None else None
        yield Checked(home, damage, found.bytes if found else 0, found is not None and manifests.is_sealed(home))


def _damage(home: Path) -> str | None:
    try:
        damage = manifests.damage(home, home.name)
        kind = manifests.kind_in(home) if damage is None else home.parent.name
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else home
        return f"{Path(name).name} cannot be read: {os.strerror(error.errno or 0)}"
    return damage or (f"its manifest is of a {kind}" if kind != home.parent.name else None)
