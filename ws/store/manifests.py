"""The manifest beside an artifact's files: what they are, what made them where, and what its key is made of.

    class, key, files         which artifact this is; name, sha256 and size of each file
    recipe, inputs            the recipe without loss; an input is its key, and `inputs` has every one's recipe
    source, versions          what the key covers beside the recipe: `ws.store.texts` has the code behind `source`
    origin, created, seconds  commit, machine and releases of libraries; when, and how long
    notes                     how it was made where its key does not say
    carried                   only if it was re-keyed by audit: from which key, by what evidence
    taken                     only if it was built elsewhere: the supply that it was taken from, and when

Stores of older versions have manifests with `fields` in place of recipe and inputs, and no source.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ws.errors import StoreError
from ws.store.origin import now, origin, versions
from ws.store.recipes import Recipe
from ws.store.written import Keys, written_down

MANIFEST = "manifest.json"


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
        said = json.loads(inside(home, MANIFEST).read_text(encoding="utf-8"))
        found = Manifest(home, said)
        whole = isinstance(found.key + found.kind + found.created, str) and found.bytes + found.seconds >= 0
    except (OSError, Untrusted, ValueError, LookupError, TypeError, AttributeError):
        return None
    return found if whole and found.key == home.name else None


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


def made_here(seconds: float, notes: dict[str, str]) -> dict[str, Any]:
    """What a manifest says of an artifact that this process has made just now."""
    return {"seconds": round(seconds, 3), "created": now(), "origin": origin(), "notes": notes}


def write_said(home: Path, said: Mapping[str, Any]) -> None:
    """Write a manifest beside the artifact's files, a line for each field."""
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in said.items())
    (home / MANIFEST).write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def damage(home: Path, key: str) -> str | None:
    """The first thing that does not match the manifest, in words; None if everything does."""
    if home.is_symlink() or not home.is_dir():
        return "it is not a folder"
    try:
        manifest = json.loads(inside(home, MANIFEST).read_text(encoding="utf-8"))
        if manifest["key"] != key:
            return f"its manifest is of {manifest['key']}"
        listed = {name: (inside(home, name), entry["sha256"]) for name, entry in manifest["files"].items()}
    except (FileNotFoundError, IsADirectoryError):
        return f"{MANIFEST} is missing"
    except Untrusted as error:
        return str(error)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return f"its manifest cannot be read ({error!r})"
    if not listed:
        return "its manifest lists no files"
    for name, (path, digest) in listed.items():
        if not path.is_file():
            return f"{name} is missing"
        if sha256(path) != digest:
            return f"{name} does not have the sha256 of the manifest"
    return None


class Untrusted(Exception):
    """A file name that would lead out of its artifact."""


def inside(home: Path, name: str) -> Path:
    """The path of an artifact's file, refusing names that lead elsewhere."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or not pure.parts:
        raise Untrusted(f"the file name {name!r} leads out of it")
    path = home
    for part in pure.parts:
        path = path / part
        if path.is_symlink():
            raise Untrusted(f"{name} is a symbolic link")
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
