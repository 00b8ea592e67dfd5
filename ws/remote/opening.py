"""Opening the store that a command line, a variable or nobody names: a folder, or a URL with a folder as its copy."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from ws.remote.objects import Objects
from ws.remote.store import RemoteStore
from ws.remote.urls import check_folder, checked, is_url, name_of
from ws.store import Store, default_root
from ws.store.supplies import Supply

COPY = "WS_STORE_COPY"
"""The variable that names the folder of the working copy."""


def open_store(where: str | Path | None = None, *, fresh: bool = False, supplies: Sequence[Supply] = ()) -> Store:
    """The store in a folder or behind a URL; where nothing is named, that of WS_STORE, else the user's.

    Raises: StoreError for a URL that names no place, or whose package is missing.
    """
    place = named_place(where)
    if isinstance(place, Path):
        return Store(place, fresh=fresh, supplies=supplies)
    return RemoteStore(Objects(place), copy_folder(place), fresh=fresh, supplies=supplies)


def named_place(where: str | Path | None = None) -> str | Path:
    """The URL, as text, or the folder that is named; of None, that of WS_STORE, else the user's.

    Raises: StoreError for a URL that names no place.
    """
    named = os.environ.get("WS_STORE", "") if where is None else str(where)
    if is_url(named):
        return checked(named)
    check_folder(named)
    return Path(named).expanduser().absolute() if where is not None else default_root()


def whereabouts(store: Store) -> str | Path:
    """What opens the same store in another process: its URL, or its folder."""
    return store.url if isinstance(store, RemoteStore) else store.root


def place_of(store: Store) -> str:
    """The store as messages call it: its folder, or its URL without credentials."""
    return store.objects.name if isinstance(store, RemoteStore) else str(store.root)


def spelled(store: Store) -> str | None:
    """What names a store on a command line, without credentials; None if it is the one that is opened by default."""
    default = named_place()
    if isinstance(store, RemoteStore):
        return None if isinstance(default, str) and name_of(default) == store.objects.name else store.objects.name
    return None if isinstance(default, Path) and store.root == default.absolute() else str(store.root)


def copy_folder(url: str) -> Path:
    """The folder on this machine that is the working copy of a URL: WS_STORE_COPY, else one in the user's cache."""
    chosen = os.environ.get(COPY)
    if chosen:
        return Path(chosen).expanduser().absolute()
    name = name_of(url)
    readable = re.sub(r"[^\w.-]+", "-", name.partition("://")[2], flags=re.ASCII).strip("-.")[:40]
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return platformdirs.user_cache_path("weight-steering-copies") / f"{readable}-{digest}"
