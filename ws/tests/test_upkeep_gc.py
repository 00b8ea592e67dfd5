"""Artifacts that no recipe reaches are removed, with leftovers of killed builds; everything else stays."""

import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from ws.errors import StoreError
from ws.report import store_commands
from ws.store import MANIFEST, Recipe, Store
from ws.store.remembered import Remembered
from ws.tests import shelf
from ws.tests.manifest_words import say
from ws.tests.shelf import OTHER, SMALL, WHOLE
from ws.upkeep.garbage import freed, garbage_of, remove
from ws.upkeep.standing import manifests_in, standing


@dataclass(frozen=True)
class Owned(Recipe):
    """An artifact of files that stay where their owner has them."""

    name: str
    kind: str

    def build(self, out: Path, store: Store) -> None:
        (out / "a.txt").write_text(f"{self.name}{shelf.SUFFIX}")


pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with three artifacts of today's code."""
    made = Store(tmp_path)
    made.get(WHOLE)
    return made


def home(store: Store, recipe: Recipe) -> Path:
    return store.home(recipe, store.key(recipe))


def wasted(store: Store, **options: float) -> set[Path]:
    return {one.path for one in garbage_of(store, **options).waste}


def gone(store: Store) -> set[Path]:
    """What `ws store gc` really removes, of the paths that were there."""
    before = set(store.root.rglob("*"))
    store_commands.gc(store, dry_run=False, older_than=0.0)
    return {path for path in before if not path.exists()}


def test_what_the_code_reaches_stays(store: Store) -> None:
    assert gone(store) == set()
    assert store.has(WHOLE)


def test_what_has_another_key_today_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "SUFFIX", " changed")
    old = home(Store(store.root), WHOLE)
    new = Store(store.root)
    [there] = (store.root / "Sum").iterdir()
    assert there != old
    removed = gone(new)
    assert there in removed
    assert new.has(SMALL)
    assert new.has(OTHER)
    assert not [path for path in removed if path.is_relative_to(store.root / "Numbers")]


def test_a_dry_run_removes_nothing_and_names_sizes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "SUFFIX", " changed")
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    text = store_commands.gc(Store(store.root), dry_run=True, older_than=0.0)
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before
    [line] = [line for line in text.splitlines() if line.startswith("Sum")]
    assert "its key is another today" in line
    assert " KB" in line
    assert "would free" in text
    assert "2 artifacts stay" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        (
            {"class": "ws.tests.shelf.Gone", "recipe": {"class": "ws.tests.shelf.Gone", "fields": {}}},
            "no class is called",
        ),
        ({"recipe": {"class": "ws.tests.shelf.Numbers", "fields": {"size": 3}}}, "other fields today"),
        ({"recipe": {"class": "ws.tests.shelf.Numbers", "fields": []}}, "cannot be read"),
    ],
)
def test_what_has_no_recipe_today_goes(store: Store, entries: dict[str, Any], why: str) -> None:
    say(home(store, SMALL), **entries)
    [waste] = [one for one in garbage_of(store).waste if one.path == home(store, SMALL)]
    assert why in waste.why
    assert home(store, SMALL) in gone(store)


def older(value: object) -> Any:
    return {"class": type(value).__name__} | {one.name: getattr(value, one.name) for one in fields(value)}  # type: ignore[arg-type]


def test_a_manifest_of_an_older_store_is_judged_by_its_recipe(store: Store) -> None:
    path = home(store, SMALL) / MANIFEST
    said = json.loads(path.read_text())
    kept = {name: said[name] for name in ("class", "key", "files", "versions", "seconds", "created")}
    path.write_text(json.dumps(kept | {"fields": {"count": 3, "config": older(SMALL.config)}}))
    assert home(store, SMALL) not in wasted(store)
    path.write_text(json.dumps(kept | {"fields": {"count": 5, "config": older(SMALL.config)}}))
    assert home(store, SMALL) in wasted(store)


def test_artifacts_of_other_packages_stay(store: Store) -> None:
    say(home(store, SMALL), **{"class": "lab.Gone", "recipe": {"class": "lab.Gone", "fields": {}}})
    text = store_commands.gc(store, dry_run=False, older_than=0.0)
    assert home(store, SMALL).exists()
    assert "1 of other packages" in text


def test_models_of_one_s_own_stay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.root / "models" / "mine@0123abcd").mkdir(parents=True)
    (store.root / "models" / "mine@0123abcd" / "model.json").write_text("{}")
    kept, other = store.get(Owned("a", "files")), store.get(Owned("b", "tiny"))
    monkeypatch.setattr(shelf, "SUFFIX", " changed")
    new = Store(store.root)
    assert wasted(new) >= {other}
    removed = gone(new)
    assert kept not in removed
    assert not [path for path in removed if path.is_relative_to(store.root / "models")]


def leave(root: Path, name: str) -> Path:
    """A leftover in a store."""
    path = root / name
    path.mkdir(parents=True)
    (path / "half.txt").write_text("x" * 10)
    return path


def test_leftovers_go(store: Store) -> None:
    names = (f"tmp/{'a' * 32}-1", f"damaged/Text-{'b' * 32}-1", "carry/0123", "sources/0123", f"Numbers/{'c' * 32}")
    left = [leave(store.root, name) for name in names]
    lock, text = store.root / "locks" / f"{'d' * 32}.lock", store.root / "code" / f"{'e' * 64}.json.gz"
    lock.touch()
    text.write_bytes(b"")
    half = text.with_name(f"{next((store.root / 'code').glob('*.json.gz')).name}.123")
    half.write_bytes(b"")
    assert wasted(store) == {*left, lock, text, half}
    assert {one.bytes for one in garbage_of(store).waste} == {0, 10}
    gone(store)
    assert not any(path.exists() for path in (*left, lock, text, half))
    assert store.has(WHOLE)


def test_what_was_worked_out_goes_with_what_it_was_read_from(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.get(SMALL)
    for name, recipe in (("lasting", SMALL), ("fleeting", WHOLE)):
        Remembered(store).keep(name, "grounds", 1, keys=[store.key(recipe)])
    half = store.root / "judged" / "half.tmp"
    half.write_text("{")
    assert wasted(store) == {half}
    monkeypatch.setattr(shelf, "SUFFIX", " changed")
    gone(Store(store.root))
    assert [Remembered(store).recall(name, "grounds") for name in ("lasting", "fleeting")] == [1, None]
    assert len(list(half.parent.iterdir())) == 1


def test_a_run_that_may_still_be_at_work_keeps_its_notes(store: Store) -> None:
    run = leave(store.root, "runs/abc")
    assert run not in wasted(store)
    os.utime(run, (time.time() - 2 * 24 * 3600,) * 2)
    assert run in wasted(store)


def test_only_what_is_old_enough_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    left = leave(store.root, f"tmp/{'a' * 32}-1")
    monkeypatch.setattr(shelf, "SUFFIX", " changed")
    [old] = (store.root / "Sum").iterdir()
    say(old, created="2020-01-01T00:00:00+00:00")
    assert wasted(Store(store.root), older_than_days=30.0) == {old}
    say(old, carried=[{"from": "a", "date": "2999-01-01T00:00:00+00:00"}])
    assert wasted(Store(store.root), older_than_days=30.0) == set()
    os.utime(left, (0, 0))
    assert wasted(Store(store.root), older_than_days=30.0) == {left}


@pytest.mark.parametrize("what", ["artifact", "tmp", "lock"])
def test_nothing_is_removed_while_a_build_holds_what_would_go(
    store: Store, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(shelf, "SUFFIX", " changed")
    [old] = (store.root / "Sum").iterdir()
    key = old.name if what == "artifact" else "a" * 32
    if what == "tmp":
        leave(store.root, f"tmp/{key}-1")
    new = Store(store.root)
    with FileLock(store.root / "locks" / f"{key}.lock"):
        found = garbage_of(new)
        with pytest.raises(StoreError, match="is in use: another process builds or carries it; run this again"):
            remove(new, found)
    assert all(one.path.exists() for one in found.waste)
    remove(new, found)
    assert not any(one.path.exists() for one in found.waste)


def test_a_file_that_another_artifact_shares_frees_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "x").write_text("123")
    os.link(tmp_path / "a" / "x", tmp_path / "b" / "x")
    (tmp_path / "b" / "y").write_text("12345")

    def together(*names: str) -> int:
        return freed(paths(tmp_path, names))

    assert (together("a"), together("b"), together("a", "b"), together("a", "c")) == (0, 5, 8, 0)


def paths(folder: Path, names: Iterable[str]) -> list[Path]:
    return [folder / name for name in names]


def test_the_overview_counts_kinds(store: Store) -> None:
    text = store_commands.overview(store)
    rows = [line.split() for line in text.splitlines()]
    assert ["Numbers", "2"] in [row[:2] for row in rows]
    assert ["all", "3"] in [row[:2] for row in rows]
    assert "code, locks and leftovers" in text


def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    nowhere = Store(tmp_path / "nowhere")
    assert "nothing to remove" in store_commands.gc(nowhere, dry_run=False, older_than=0.0)
    assert "all" in store_commands.overview(nowhere)
    assert not nowhere.root.exists()


def test_standings_are_those_of_today(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(home(store, OTHER))
    assert [one.kind for one in manifests_in(store.root)] == ["Numbers", "Sum"]
    monkeypatch.setattr(shelf, "SUFFIX", " changed")
    new = Store(store.root)
    found = {one.kind: standing(new, one) for one in manifests_in(store.root)}
    assert (found["Numbers"].is_reached, found["Sum"].is_reached) == (True, False)
    assert found["Sum"].key == new.key(WHOLE)
