"""Signs: what is in a store while a build goes on, so that a worker on another machine can tell whether it sees the
store that is built into."""

from contextlib import suppress
from pathlib import Path

from ws.errors import StoreError
from ws.remote.layout import mark_name
from ws.remote.objects import Objects
from ws.store.scratch import FOLDER, path_for


def new_name() -> str:
    """The name of the sign of this process, which tells those who clear stores away whose it is."""
    return path_for(Path(), "build").name


def put_up(root: str | Path, name: str) -> None:
    """Make a sign in a store, or make it look new: nobody clears away what is younger than a day.

    Raises: StoreError if the URL cannot be written; OSError if the folder cannot.
    """
    if isinstance(root, Path):
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        (root / FOLDER / name).touch()
    else:
        Objects(root).write(mark_name(name, name), b"")


def is_seen(root: str | Path, name: str) -> bool:
    """Whether the sign is in the store as it is seen from here. Raises: StoreError if the URL does not answer."""
    if isinstance(root, Path):
        return (root / FOLDER / name).exists()
    return Objects(root).size(mark_name(name, name)) is not None


def take_down(root: str | Path, name: str) -> None:
    """Remove a sign, if that can be done; in a day it is cleared away."""
    with suppress(OSError, StoreError):
        if isinstance(root, Path):
            (root / FOLDER / name).unlink(missing_ok=True)
        else:
            Objects(root).delete(mark_name(name, name))
