"""What the commands of `ws store` do for a store behind a URL."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ws.errors import StoreError
from ws.remote import RemoteStore
from ws.remote.copying import Copied, check_pair, to_folder, to_url
from ws.remote.garbage import RemoteGarbage, garbage_of, remove
from ws.remote.mirror import Mirror
from ws.remote.objects import Objects
from ws.remote.opening import named_place
from ws.report import store_text
from ws.upkeep.lookup import is_test
from ws.upkeep.standing import manifests_in


def overview(store: RemoteStore) -> str:
    """The kinds of artifacts below the URL."""
    with _mirrored(store) as mirror:
        text = store_text.overview(store.objects.name, manifests_in(mirror.root), _beside(store.objects))
    return f"{text}working copy on this machine: {store.root}\n"


@contextmanager
def to_explain(store: RemoteStore, asked: str) -> Iterator[Mirror]:
    """The manifests that a question about a key or a test needs, with their code."""
    with _mirrored(store, asked="" if is_test(asked) else asked, with_code=True) as mirror:
        yield mirror


def gc(store: RemoteStore, *, dry_run: bool, older_than: float) -> str:
    """Text about what was removed below the URL, or would be."""
    with tempfile.TemporaryDirectory(prefix="ws-remote-") as folder:
        found = garbage_of(store.objects, Path(folder), older_than_days=older_than)
    if not dry_run:
        remove(store.objects, found)
    return garbage_text(found, dry=dry_run)


def garbage_text(found: RemoteGarbage, *, dry: bool) -> str:
    """What would be removed, or was, by group and reason."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for one in found.waste:
        groups[one.group, "its key is another today" if one.why.startswith("its key is") else one.why].append(one.bytes)
    rows = [
        (group, str(len(sizes)), store_text.bytes_text(sum(sizes)), why)
        for (group, why), sizes in sorted(groups.items())
    ]
    lines = store_text.table([("what", "number", "size", "why"), *rows]) if rows else ["nothing to remove"]
    verb = "would free" if dry else "freed"
    lines += ["", f"{len(found.waste)} {verb} {store_text.bytes_text(found.bytes)}; {found.kept} artifacts stay"]
    if found.busy:
        lines.append(f"{found.busy} more are being built, or were within a day, and stay")
    return "\n".join([store_text.cut(line) for line in lines] + [""])


def refuse_to_carry(store: RemoteStore) -> None:
    """Raises: StoreError, always."""
    name = store.objects.name
    raise StoreError(
        f"`ws store carry` compares all files of a store and gives them new keys in place, which {name} cannot do; "
        f"copy it (`ws store copy {name} FOLDER`), carry there (`--store FOLDER`), and copy back what has a new key "
        f"(`ws store copy FOLDER {name}`)"
    )


def copy(source: str, target: str) -> str:
    """Text about what was copied. Raises: StoreError unless one is a folder and the other a URL."""
    there, here = named_place(source), named_place(target)
    check_pair(there, here)
    if isinstance(there, Path) and isinstance(here, str):
        if not there.is_dir():
            raise StoreError(f"{there} is no folder; name a store to copy from")
        return copied_text(to_url(there, Objects(here)))
    return copied_text(to_folder(Objects(str(there)), Path(here)))


def copied_text(done: Copied) -> str:
    """How many artifacts were copied, were there, or were left out as damaged."""
    lines = [f"copied {done.copied} artifacts; {done.there} were there"]
    lines += [f"left out, damaged: {key[:12]}: {why}" for key, why in done.damaged.items()]
    return "\n".join([*lines, ""])


@contextmanager
def _mirrored(store: RemoteStore, *, asked: str = "", with_code: bool = False) -> Iterator[Mirror]:
    store.remote.ready()
    with tempfile.TemporaryDirectory(prefix="ws-remote-") as folder:
        yield Mirror(store.objects, Path(folder), chosen=lambda key: key.startswith(asked), with_code=with_code)


def _beside(objects: Objects) -> int:
    """Bytes of what are no artifacts."""
    return sum(sum(objects.sizes(folder).values()) for folder in ("code", "leases", "runs"))
