"""Damage of every kind to every file of a store: it is noticed and mended or harms nothing, and is never served."""

import os
import random
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ws.errors import StoreError
from ws.store import MANIFEST, Recipe, Store, StoreWarning
from ws.store.manifests import read_manifest
from ws.tests.torture.recipes import all_of
from ws.tests.torture.sameness import Whole, judge
from ws.tests.torture.tally import Tally


class FromWhole:
    """A supply of what a whole store has, so that mending takes no time."""

    def __init__(self, whole: Whole) -> None:
        self._homes = {name.partition("/")[2]: whole.root / name for name in whole.contents}

    def has(self, key: str) -> bool:
        return key in self._homes

    def bring(self, key: str, out: Path) -> Mapping[str, Any] | None:
        home = self._homes.get(key)
        found = read_manifest(home) if home else None
        if home is None or found is None:
            return None
        shutil.copytree(home, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        return {name: found.said[name] for name in ("origin", "created", "seconds", "notes")}


def flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def lengthen(path: Path, rng: random.Random) -> None:
    with path.open("ab") as file:
        file.write(rng.randbytes(rng.randrange(1, 9)))


def blank(path: Path, rng: random.Random) -> None:
    """As a disk that lost power leaves it."""
    path.write_bytes(bytes(path.stat().st_size))


def delete(path: Path, rng: random.Random) -> None:
    path.unlink()


def folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path, rng: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def dead_link(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def link_out(path: Path, rng: random.Random) -> None:
    """The same bytes, by a link that leads out of the artifact."""
    aside = path.parents[2] / f"aside-{path.name}"
    os.replace(path, aside)
    path.symlink_to(aside)


def nested(path: Path, rng: random.Random) -> None:
    path.write_text("[" * 5000)


def stray(path: Path, rng: random.Random) -> None:
    path.with_name(f"{path.name}.more").write_bytes(b"more")


ON_FILES: tuple[Callable[[Path, random.Random], None], ...] = (
    *(flip, flip, flip, flip, cut, cut, lengthen, blank, delete, folder, pipe, dead_link, link_out, nested, stray),
)
"""Flips come most: they are what nothing else would notice."""


def swap(first: Path, second: Path) -> None:
    """Exchange two files, or two folders."""
    aside = first.with_name("aside")
    os.replace(first, aside)
    os.replace(second, first)
    os.replace(aside, second)


def in_place_of_a_folder(path: Path, rng: random.Random) -> None:
    """A file where the store has a folder."""
    os.replace(path, path.with_name(f"aside-{path.name}"))
    path.write_text("")


def damages(part: str, wanted: Sequence[Recipe], whole: Whole, room: Path, *, count: int, rng: random.Random) -> Tally:
    """So many damages, one after the other, each followed by a run that asks for everything."""
    tally, everything = Tally(part), all_of(wanted)
    root = room / "store"
    _renew(root, whole)
    for _ in range(count):
        bad = tally.bad.total()
        _judge_run(root, everything, whole, tally, _damage(root, whole, rng))
        if tally.bad.total() > bad:
            _renew(root, whole)
        tally.done += 1
        shutil.rmtree(root / "damaged", ignore_errors=True)
    return tally


def _damage(root: Path, whole: Whole, rng: random.Random) -> str:
    """Do one damage; what it was, in words."""
    homes = sorted(whole.contents)
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.stat().st_size]
    lot = rng.random()
    if lot < 0.05:
        place = rng.choice([path for path in sorted(root.iterdir()) if path.is_dir()])
        in_place_of_a_folder(place, rng)
        return f"a file in place of {place.name}"
    if lot < 0.15:
        first, second = (root / name for name in rng.sample(homes, 2))
        if rng.random() < 0.5:
            swap(first, second)
            return "two artifacts swapped"
        swap(first / MANIFEST, second / MANIFEST)
        return "two manifests swapped"
    # Half of them hit a manifest or a small file, which are few bytes of a store and most of its files.
    path = rng.choice(files)
    done = rng.choice(ON_FILES)
    done(path, rng)
    return f"{done.__name__} of {path.relative_to(root)}"


def _judge_run(root: Path, wanted: Sequence[Recipe], whole: Whole, tally: Tally, name: str) -> None:
    store = Store(root, supplies=(FromWhole(whole),))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", StoreWarning)
        try:
            served = {store.key(recipe): store.get(recipe) for recipe in wanted}
        except StoreError as error:
            if "--store PATH" not in str(error):
                tally.blame("wrong", f"{name}: no advice in {error}")
            tally.said["refused by name"] += 1
            _renew(root, whole)
            return
        except Exception as error:
            tally.blame("wrong", f"{name}: {type(error).__name__}: {error}")
            _renew(root, whole)
            return
    tally.said["mended" if seen or store.built else "harmless"] += 1
    _judge_served(served, whole, tally, name)
    judge(root, whole, tally, complete=True)


def _judge_served(served: Mapping[str, Path], whole: Whole, tally: Tally, name: str) -> None:
    """Blame files that were handed out with other bytes."""
    for key, home in served.items():
        for path in (whole.root / home.parent.name / key).rglob("*"):
            there = home / path.relative_to(whole.root / home.parent.name / key)
            if not path.is_file() or path.name == MANIFEST:
                continue
            if not there.is_file() or there.read_bytes() != path.read_bytes():
                tally.blame("wrong", f"{name}: {there} was served")


def _renew(root: Path, whole: Whole) -> None:
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole.root, root)
