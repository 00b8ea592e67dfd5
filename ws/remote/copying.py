"""Copying artifacts between a folder and a URL: those that the other side lacks, each checked on its way."""

from dataclasses import dataclass, field
from pathlib import Path

from ws.errors import StoreError
from ws.remote.documents import decoded
from ws.remote.layout import code_name, manifest_name
from ws.remote.mirror import kind_of
from ws.remote.objects import Objects
from ws.remote.supply import RemoteSupply
from ws.remote.uploads import Uploads
from ws.store import manifests
from ws.store.manifests import Damaged, write_said
from ws.store.placing import move_into_place
from ws.store.progress import track
from ws.store.scratch import folder_for
from ws.store.texts import text_path
from ws.upkeep.standing import homes_in


@dataclass
class Copied:
    """What became of a copy."""

    there: int
    """Artifacts that the other side had before."""
    copied: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    """By key, what was wrong with an artifact, which was left out."""


def to_url(root: Path, objects: Objects) -> Copied:
    """Upload what a folder of artifacts has and the URL lacks."""
    supply, uploads = RemoteSupply(objects), Uploads(root, objects)
    supply.ready()
    there = supply.keys()
    homes = list(homes_in(root))
    done = Copied(sum(home.name in there for home in homes))
    for home in track([home for home in homes if home.name not in there], f"copying to {objects.name}"):
        if (why := manifests.damage(home, home.name)) is not None:
            done.damaged[home.name] = why
            continue
        uploads.send(home, resume=True)
        done.copied += 1
    return done


def to_folder(objects: Objects, root: Path) -> Copied:
    """Fetch what the URL has and a folder of artifacts lacks."""
    supply = RemoteSupply(objects)
    supply.ready()
    keys, here = supply.keys(), {home.name for home in homes_in(root)}
    done = Copied(len(keys & here))
    for key in track(sorted(keys - here), f"copying from {objects.name}"):
        try:
            _fetch(supply, key, root)
        except Damaged as why:
            done.damaged[key] = str(why)
        else:
            done.copied += 1
    return done


def _fetch(supply: RemoteSupply, key: str, root: Path) -> None:
    """Put one artifact into a folder, with its manifest as it is there."""
    content = supply.objects.read(manifest_name(key))
    if content is None:
        raise Damaged("its manifest is gone")
    said = decoded(content, key)
    home = root / kind_of(said) / key
    with folder_for(root, key) as out:
        told = supply.bring(key, out)
        if told is None:
            raise Damaged(supply.doubts.pop(key, "its manifest is gone"))
        write_said(out, {**said, "fetched": told["fetched"]})
        if (why := manifests.damage(out, key)) is not None:
            raise Damaged(why)
        move_into_place(out, home)
    _fetch_code(supply.objects, said.get("source"), root)


def _fetch_code(objects: Objects, source: object, root: Path) -> None:
    texts = text_path(root, str(source))
    if isinstance(source, str) and len(source) == 64 and source.isalnum() and not texts.exists():
        texts.parent.mkdir(parents=True, exist_ok=True)
        scratch = texts.with_name(f"{texts.name}.new")
        if objects.download(code_name(source), scratch):
            scratch.replace(texts)


def check_pair(source: object, target: object) -> None:
    """Raises: StoreError unless one is a URL and the other a folder."""
    if isinstance(source, Path) == isinstance(target, Path):
        raise StoreError(
            f"{source} and {target} are two {'folders' if isinstance(source, Path) else 'URLs'} to copy between; "
            "expected a folder and a URL, in this or the other order: name one (`cp -r` copies a folder)"
        )
