"""Putting an export in its place: whole or not at all, and never over something that no export of ours has written.

A folder or file is written beside its place, under a name of its own, and moves there when it is finished and has been
read back. What stands there already is replaced only if that was asked for, and only if it is an export itself: names
of files do not tell, since a model or adapter of the user's own has the very same.
"""

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from fnmatch import fnmatch
from pathlib import Path

from ws.errors import DataError, ModelFileError
from ws.files.gguf_header import placed

README = "README.md"
"""What every folder of an export has beside the files of its format."""

HEADING = "# A steering direction\n"
"""How that file begins, by which an export is known."""

NAMED = ", for "
"""What the name of every GGUF export has between that of the direction and that of the model."""


@contextlib.contextmanager
def folder(place: Path, *, holds: Collection[str]) -> Iterator[Path]:
    """An empty folder that is moved to its place when all went well; an older export there goes away then."""
    with _beside(place) as scratch:
        scratch.mkdir()
        yield scratch
        for path in filter(Path.is_file, scratch.rglob("*")):
            _readable(path)
        check_folder(place, holds=holds, force=True)
        with _moved_away(place):
            os.rename(scratch, place)


@contextlib.contextmanager
def file(place: Path, *, kinds: Collection[str]) -> Iterator[Path]:
    """A path to write a file to, which is moved to its place when all went well."""
    with _beside(place) as scratch:
        yield scratch
        _readable(scratch)
        check_file(place, kinds=kinds, force=True)
        os.replace(scratch, place)


def check_folder(place: Path, *, holds: Collection[str], force: bool) -> None:
    """Raises: DataError if a folder cannot be put here.

    holds: patterns of the names of the files that this kind of export consists of.
    """
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise DataError(f"{place} is no folder; name one that is not there yet")
    inside = sorted(place.iterdir()) if place.is_dir() else []
    if not inside:
        return
    foreign = [path.name for path in inside if not path.is_file() or not _matches(path.name, holds)]
    if foreign:
        raise DataError(
            f"{place} holds {foreign[0]}, which such an export never writes, so the folder is not replaced, with "
            "--force neither; name a folder that is not there yet"
        )
    if not _is_export(place):
        raise DataError(
            f"{place} holds {inside[0].name} and no {README} of an export: it may be a model or an adapter of your "
            "own, so it is not replaced, with --force neither; name a folder that is not there yet"
        )
    if not force:
        raise DataError(f"{place} is there already; name another folder, or replace it with --force")


def check_file(place: Path, *, kinds: Collection[str], force: bool) -> None:
    """Raises: DataError if a GGUF file cannot be put here.

    kinds: the architectures or types, of the file that stands there, that may be replaced.
    """
    if place.suffix != ".gguf":
        raise DataError(
            f"{place} does not end in .gguf, by which llama.cpp's users know such a file; name one that does"
        )
    if not place.exists() and not place.is_symlink():
        return
    kind, name = _said(place) if place.is_file() and not place.is_symlink() else ("no file", NAMED)
    if kind not in kinds or NAMED not in name:
        seen = kind if kind not in kinds else f"{kind} named {name!r}"
        raise DataError(
            f"{place} is there and is no such export ({seen}), so it is not replaced, with --force neither; name "
            "another file"
        )
    if not force:
        raise DataError(f"{place} is there already; name another file, or replace it with --force")


def _is_export(place: Path) -> bool:
    """Whether a folder's README is one that an export has written."""
    try:
        with (place / README).open(encoding="utf-8", errors="replace") as opened:
            return opened.readline() == HEADING
    except OSError:
        return False


def _said(place: Path) -> tuple[str, str]:
    """What a GGUF file says that it holds ("adapter", "controlvector", or the architecture of a whole model), and its
    name."""
    from gguf import GGUFReader

    try:
        placed(place, refuse=ModelFileError)
        said = {
            name: found.contents() for name, found in GGUFReader(place).fields.items() if name.startswith("general.")
        }
    except (ValueError, IndexError, ModelFileError, OSError) as broken:
        return f"no GGUF file: {str(broken)[:80]}", ""
    kind = said.get("general.type", "model")
    return str(said.get("general.architecture") if kind == "model" else kind), str(said.get("general.name", ""))


def _matches(name: str, holds: Collection[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in (*holds, README))


@contextlib.contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """A path beside the place that nothing else uses; what is left there afterwards is removed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_name(f".{place.name}.{os.getpid()}.part")
    _remove(scratch)
    try:
        yield scratch
    finally:
        _remove(scratch)


@contextlib.contextmanager
def _moved_away(place: Path) -> Iterator[None]:
    """Whatever folder stands in a place is out of the way inside, removed afterwards, and put back after an error."""
    older = place.with_name(f".{place.name}.{os.getpid()}.old")
    if not place.exists():
        yield
        return
    os.rename(place, older)
    try:
        yield
    except BaseException:
        os.rename(older, place)
        raise
    _remove(older)


def _readable(path: Path) -> None:
    """Gives a file the rights of any new file: safetensors writes its own for the user alone."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
