"""One store for several machines: a URL, and on each machine a folder as its working copy."""

from ws.remote.opening import open_store, place_of, spelled, whereabouts
from ws.remote.store import RemoteStore
from ws.remote.urls import is_url

__all__ = ["RemoteStore", "is_url", "open_store", "place_of", "spelled", "whereabouts"]
