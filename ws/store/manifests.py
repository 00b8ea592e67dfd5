"""The manifest beside an artifact's files: what they are, what made them where, and what its key is made of.

    sha256                    of all that follows it in this file
    class, key, files         which artifact this is; name, sha256 and size of each file
    recipe, inputs            the recipe without loss; an input is its key, and `inputs` has every one's recipe
    source, versions          what the key covers beside the recipe: `ws.store.texts` has the code behind `source`
    origin, created, seconds  commit, machine and releases of libraries; when, and how long
    cpu_seconds               how long processors were at work on it, whatever else they did meanwhile
    notes                     how it was made where its key does not say
    carried                   only if it was re-keyed by audit: from which key, by what evidence
    taken                     only if it was built elsewhere: the supply that it was taken from, and when

Manifests of older versions begin with the class and have no hash of their own; still older ones have `fields` in place
of recipe and inputs, and no source. Where an audit built artifacts anew, theirs list all of these by key: thousands of
manifests with one list of hundreds of keys. What is read here has their number.
"""

import hashlib
import json
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ws.errors import StoreError
from ws.store.origin import now, origin, versions
from ws.store.recipes import Recipe
from ws.store.written import Keys, written_down

MANIFEST = "manifest.json"

MOST_BYTES = 64 << 20
"""A manifest has some 10 KB, one with thousands of questions some MB."""

SEAL = re.compile(rb'\{\n "sha256": "([0-9a-f]{64})",\n')
"""How a manifest begins that has a hash of its own."""


class Damaged(Exception):
    """What is wrong with an artifact, in words."""


@dataclass(frozen=True)
class Manifest:
    """The content of one artifact's manifest."""

    home: Path
    said: dict[str, Any]

    @property
    def key(self) -> str:
        return self.said["key"]

    @property
    def kind(self) -> str:
        """The name of the recipe's class, without its module."""
        return self.said["class"].rpartition(".")[2]

    @property
    def seconds(self) -> float:
        """How long it took to build, without its inputs."""
        return float(self.said.get("seconds", 0.0))

    @property
    def bytes(self) -> int:
        """The size of its files, without the manifest."""
        return sum(int(entry["bytes"]) for entry in self.said["files"].values())

    @property
    def created(self) -> str:
        return self.said.get("created", "")

    @property
    def carried(self) -> list[dict[str, Any]]:
        """An entry for each time that the artifact was re-keyed by audit, the latest last."""
        return self.said.get("carried", [])


def read_manifest(home: Path) -> Manifest | None:
    """The manifest of an artifact; None if there is none or it cannot be read."""
    try:
        found = Manifest(home, condensed(_said(home)))
        whole = isinstance(found.key + found.kind + found.created, str) and found.bytes + found.seconds >= 0
    except (OSError, Damaged, ValueError, LookupError, TypeError, AttributeError):
        return None
    return found if whole and found.key == home.name else None


def condensed(said: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of how an artifact was made, with the number of those that an audit built anew, and whether this one
    was among them, in place of their list."""
    carried = [_counted(entry) for entry in said.get("carried", [])]
    return {**said, "carried": carried} if carried else dict(said)


def _counted(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    sample = entry["sample"]
    return {**entry, "sample": len(sample), "rebuilt": entry["from"] in sample} if isinstance(sample, list) else entry


def write_manifest(out: Path, recipe: Recipe, key: str, *, keys: Keys, source: str, said: Mapping[str, Any]) -> None:
    """Describe the files of an artifact in `out`; `said` is what there is to say of how it was made.

    Raises: StoreError if there is something that its recipe must not write.
    """
    described, inputs = written_down(recipe, keys)
    told = {
        "class": described["class"],
        "key": key,
        "recipe": described,
        "inputs": inputs,
        "source": source,
        "versions": versions(),
        "files": _written(out, recipe),
    }
    write_said(out, {**told, **said})


def made_here(seconds: float, at_work: float, notes: dict[str, str]) -> dict[str, Any]:
    """What a manifest says of an artifact that this process has made just now."""
    times = {"seconds": round(seconds, 3), "cpu_seconds": round(at_work, 3)}
    return {**times, "created": now(), "origin": origin(), "notes": notes}


def write_said(home: Path, said: Mapping[str, Any]) -> None:
    """Write a manifest beside the artifact's files, a line for each field, behind the hash of all these lines."""
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in said.items()) + "\n}\n"
    seal = hashlib.sha256(lines.encode()).hexdigest()
    (home / MANIFEST).write_bytes(f'{{\n "sha256": "{seal}",\n{lines}'.encode())


def damage(home: Path, key: str) -> str | None:
    """The first thing that does not match the manifest, in words; None if everything does."""
    try:
        said = _said(home)
        if said["key"] != key:
            return f"its manifest is of {said['key']}"
        listed = {name: (inside(home, name), entry["sha256"]) for name, entry in said["files"].items()}
    except Damaged as found:
        return str(found)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return f"its manifest cannot be read ({error!r})"
    return next(_damages(home, listed), None)


def is_sealed(home: Path) -> bool:
    """Whether an artifact's manifest has a hash of its own, which those of older versions have not."""
    return SEAL.match((home / MANIFEST).read_bytes()) is not None


def seal_of(home: Path) -> str | None:
    """The hash that an artifact's manifest begins with; None if it cannot be read, or is of an older version.

    It stands for all files of the artifact, whose hashes the manifest has.
    """
    try:
        with (home / MANIFEST).open("rb") as file:
            seal = SEAL.match(file.read(100))
    except OSError:
        return None
    return None if seal is None else seal[1].decode()


def kind_in(home: Path) -> str:
    """The class that the manifest of a sound artifact names, without its module, wherever the artifact lies."""
    return Manifest(home, _said(home)).kind


def _said(home: Path) -> dict[str, Any]:
    """What the manifest of an artifact says. Raises: Damaged if it is none, or not what was written."""
    if home.is_symlink() or not home.is_dir():
        raise Damaged("it is not a folder")
    path = inside(home, MANIFEST)
    status = path.lstat() if path.exists() else None
    if status is None or not stat.S_ISREG(status.st_mode):
        raise Damaged(f"{MANIFEST} is {'missing' if status is None else 'no file'}")
    if status.st_size > MOST_BYTES:
        raise Damaged(f"its manifest has {status.st_size:,} bytes, and {MOST_BYTES:,} are the most")
    text = path.read_bytes()
    seal = SEAL.match(text)
    if seal is not None and hashlib.sha256(text[seal.end() :]).hexdigest().encode() != seal[1]:
        raise Damaged("its manifest does not have the sha256 that it begins with")
    try:
        said = json.loads(text)
        first = said.pop("sha256") if seal is not None else next(iter(said))
    except (ValueError, StopIteration, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"its manifest cannot be read ({type(error).__name__}: {str(error)[:60]})") from error
    if seal is None and first != "class":
        raise Damaged("its manifest has lost its own sha256")
    return said


def _damages(home: Path, listed: Mapping[str, tuple[Path, object]]) -> Iterator[str]:
    """What does not match, in words."""
    if not listed:
        yield "its manifest lists no files"
    for name, (path, digest) in listed.items():
        if not path.is_file():
            yield f"{name} is {'no file' if path.exists() else 'missing'}"
        elif sha256(path) != digest:
            yield f"{name} does not have the sha256 of the manifest"
    # Some systems leave files of their own in folders, all with a dot.
    files = (path for path in sorted(home.rglob("[!.]*")) if path.is_symlink() or not path.is_dir())
    for name in (path.relative_to(home).as_posix() for path in files):
        if name not in listed and name != MANIFEST:
            yield f"{name} is not in its manifest"


def inside(home: Path, name: str) -> Path:
    """The path of an artifact's file. Raises: Damaged if its name leads elsewhere."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or not pure.parts:
        raise Damaged(f"the file name {name!r} leads out of it")
    path = home
    for part in pure.parts:
        path = path / part
        if path.is_symlink():
            raise Damaged(f"{name} is a symbolic link")
    return path


def sha256(path: Path) -> str:
    """The sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written(out: Path, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Hash and size of each file a recipe wrote, by name inside the artifact."""
    paths = sorted(path for path in out.rglob("*") if path.is_symlink() or not path.is_dir())
    odd = [path.name for path in paths if path.is_symlink() or not path.is_file() or path == out / MANIFEST]
    if odd or not paths:
        raise StoreError(
            f"{recipe.describe()} wrote {odd or 'no files'}; build() must write plain files "
            f"into `out`, no links, and leave {MANIFEST} to the store"
        )
    names = [path.relative_to(out).as_posix() for path in paths]
    return {name: {"sha256": sha256(out / name), "bytes": (out / name).stat().st_size} for name in names}
