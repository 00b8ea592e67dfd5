"""Objects below a URL, through fsspec: read, written, made if missing, listed; asked for again where that may help.

Nothing here is renamed or locked, and a listing may be old: what is asked of a file system is that an object which was
written can be read.
"""

import errno
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ws.errors import StoreError
from ws.remote.urls import checked, credentials, name_of, without
from ws.store import progress

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")

PATIENCE = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before each further try, a minute in all; file systems of clouds try a few times of their own before."""

PAUSE_THAT_IS_SAID = 4.0
"""Seconds; shorter ones happen."""

MOST_BYTES = 64 << 20
"""The most that is read of an object into memory; a manifest has kilobytes."""

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
"""What opens which kind of URL."""

_FINAL = (IsADirectoryError, NotADirectoryError, NotImplementedError, ValueError, TypeError)
_REFUSED_NUMBERS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED_WORDS = ("credential", "forbidden", "access denied", "unauthorized", "invalid_grant", "anonymous caller")


class Objects:
    """The objects below a URL by their names, such as `manifests/KEY.json`."""

    def __init__(
        self, url: str, *, filesystem: "AbstractFileSystem | None" = None, patience: Sequence[float] = PATIENCE
    ) -> None:
        """`filesystem` stands in for the one that the URL names."""
        self.url = checked(url)
        self.name = name_of(url)
        """The URL as messages and manifests show it, without credentials."""
        self._given, self._patience = filesystem, tuple(patience)

    def read(self, name: str) -> bytes | None:
        """The content of an object, no more than MOST_BYTES of it; None if there is none."""
        try:
            return self._ask("read", name, self._read)
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Make or replace an object."""
        self._to_be_there("write", name, lambda path: self._fs.pipe_file(path, content))

    def create(self, name: str, content: bytes) -> bool:
        """Make an object unless there is one; whether the one that is there is this one.

        Where a file system cannot do this in one step, two that do it at once may both be told that theirs is there.
        """

        def make(path: str) -> bool:
            try:
                self._make(path, content)
            except FileNotFoundError:
                raise
            except Exception:
                # Somebody's is there: each file system says that in another way. Or ours is, and the answer was lost.
                there = self.read(name)
                if there is None:
                    raise
                return there == content
            return True

        return self._to_be_there("write", name, make)

    def upload(self, file: Path, name: str) -> None:
        """Make or replace an object with the content of a file."""
        self._to_be_there("write", name, lambda path: self._fs.put_file(str(file), path))

    def download(self, name: str, file: Path) -> bool:
        """Write the content of an object into a file; whether there is such an object."""
        try:
            self._ask("read", name, lambda path: self._fs.get_file(path, str(file)), here=file)
        except FileNotFoundError:
            return False
        return True

    def sizes(self, folder: str) -> dict[str, int]:
        """The bytes of all objects below a folder, by name; what was written just now may be missing."""
        return {name: int(entry.get("size") or 0) for name, entry in self.entries(folder).items()}

    def entries(self, folder: str) -> dict[str, Mapping[str, Any]]:
        """What the file system says of all objects below a folder, by name."""
        try:
            found = self._ask("list", folder, lambda path: self._fs.find(path, detail=True))
        except FileNotFoundError:
            return {}
        return {path.removeprefix(self._root).lstrip("/"): entry for path, entry in found.items()}

    def size(self, name: str) -> int | None:
        """The bytes of an object; None if there is none."""
        try:
            return int(self._ask("read", name, self._fs.info).get("size") or 0)
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Remove an object, if there is one."""
        try:
            self._ask("delete", name, self._fs.rm_file)
        except FileNotFoundError:
            return

    def _read(self, path: str) -> bytes:
        try:
            return self._fs.cat_file(path, start=0, end=MOST_BYTES)
        except OSError as error:
            # Of an object without content, S3 has no such range.
            if "range" not in str(error).lower():
                raise
            return self._fs.cat_file(path)

    def _make(self, path: str, content: bytes) -> None:
        if "file" in _protocols(self._fs):
            # fsspec looks first and then writes, where a file can be made in one step.
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with Path(path).open("xb") as file:
                file.write(content)
        else:
            self._fs.pipe_file(path, content, mode="create")

    def _to_be_there(self, what: str, name: str, ask: Callable[[str], T]) -> T:
        """What is asked, where a missing bucket is an error and no answer."""
        try:
            return self._ask(what, name, ask)
        except FileNotFoundError as error:
            raise self._refused(what, name, error) from self._cause(error)

    def _ask(self, what: str, name: str, ask: Callable[[str], T], *, here: Path | None = None) -> T:
        """The answer of the file system; `here` is the file of this machine that it is written into.

        Raises: FileNotFoundError; OSError where it is this file that cannot be written; StoreError for all else.
        """
        path = f"{self._root}/{name}"
        for pause in (*self._patience, None):
            try:
                return ask(path)
            except (FileNotFoundError, StoreError):
                raise
            except Exception as error:  # each file system has errors of its own, not all of them OSErrors
                if here is not None and getattr(error, "filename", None) == str(here):
                    raise
                if pause is None or _is_final(error):
                    raise self._refused(what, name, error) from self._cause(error)
                if pause >= PAUSE_THAT_IS_SAID:
                    progress.say(f"{self.name} does not answer ({self._words(error)}); trying again")
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _refused(self, what: str, name: str, error: Exception) -> StoreError:
        return StoreError(f"cannot {what} {self.name}/{name}: {self._words(error)}; {_advice(error, self.name)}")

    def _words(self, error: Exception) -> str:
        """An error in a line, without credentials."""
        lines = [line for line in without(str(error), credentials(self.url)).splitlines() if line.strip()]
        return f"{type(error).__name__}: {lines[0].strip()[:300]}" if lines else type(error).__name__

    def _cause(self, error: Exception) -> Exception | None:
        """What a traceback shows; nothing where the URL has credentials, which may stand in it."""
        return None if credentials(self.url) else error

    @cached_property
    def _fs(self) -> "AbstractFileSystem":
        return self._given if self._given is not None else _filesystem(self.url)

    @cached_property
    def _root(self) -> str:
        return str(self._fs._strip_protocol(self.url)).rstrip("/")


def _filesystem(url: str) -> "AbstractFileSystem":
    """Raises: StoreError if the package that opens such a URL is missing, or there is none."""
    protocol = url.partition("://")[0].lower()
    try:
        from fsspec import get_filesystem_class

        kind = get_filesystem_class(protocol)
        # A listing from before would hide what other machines have written since.
        options = {"use_listings_cache": False, **kind._get_kwargs_from_urls(url)}
        return kind(**options | ({"auto_mkdir": True} if protocol in ("file", "local") else {}))
    except ImportError as error:
        package = PACKAGES.get(protocol, "the package of fsspec for it")
        raise StoreError(
            f"the store {name_of(url)} needs {package}, which cannot be imported ({error}); "
            "install it: pip install 'weight-steering-claims[remote]'"
        ) from error
    except ValueError as error:
        raise StoreError(
            f"fsspec does not know {protocol}:// ({error}); expected s3://, gs://, file:// or memory://"
        ) from error


def _protocols(filesystem: "AbstractFileSystem") -> tuple[str, ...]:
    named = filesystem.protocol
    return (named,) if isinstance(named, str) else tuple(named)


def _is_final(error: Exception) -> bool:
    """Whether asking again cannot help."""
    return isinstance(error, _FINAL) or _is_refusal(error) or getattr(error, "errno", None) in _FULL


def _is_refusal(error: Exception) -> bool:
    """Whether the account may not do what was asked, or there is none."""
    text = f"{type(error).__name__} {error}".lower()
    return (
        isinstance(error, PermissionError)
        or getattr(error, "errno", None) in _REFUSED_NUMBERS
        or any(word in text for word in _REFUSED_WORDS)
    )


def _advice(error: Exception, name: str) -> str:
    if isinstance(error, FileNotFoundError):
        return "its bucket must be there before; make it, or name another"
    if _is_refusal(error):
        return (
            f"this account must be allowed to read, write, list and delete below {name}, and is found as its package "
            "finds one (environment, file of credentials); docs/remote.md has what is needed"
        )
    if getattr(error, "errno", None) in _FULL:
        return "make room there; what is built is kept on this machine"
    if _is_final(error):
        return "a store needs a place where objects can be read, written, listed and deleted; name another"
    return "what is built is kept on this machine; run this again when it answers"
