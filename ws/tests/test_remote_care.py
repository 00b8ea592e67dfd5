"""Looking after a store behind a URL: what it holds, what may go, what a key is made of, and copies of it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ws.errors import StoreError
from ws.remote import RemoteStore
from ws.remote.copying import to_folder, to_url
from ws.remote.garbage import changed, garbage_of, remove
from ws.report import remote_commands, store_commands
from ws.store import Recipe, Store
from ws.tests import machines as recipes
from ws.tests.machines import Bucket, Machines, Words, text_of
from ws.upkeep.garbage import DAY

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path)


@dataclass(frozen=True)
class Others(Recipe):
    """Texts in another way."""

    text: str

    def build(self, out: Path, store: Store) -> None:
        (out / "text.txt").write_text(self.text.upper())


def aged(bucket: Bucket, *, days: float) -> None:
    """Let all objects be written so long ago."""
    for file in bucket.store.values():
        file.created = datetime.fromtimestamp(time.time() - days * DAY, UTC)


def changed_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Words another key."""
    monkeypatch.setattr(recipes.Words, "build", Others.build)


def test_a_store_is_shown_by_what_is_below_its_url(machines: Machines) -> None:
    machines.start("a").get(Words("a"))
    shown = store_commands.overview(machines.start("b"))
    assert shown.startswith("memory://bucket/shared\n")
    assert [line.split()[:2] for line in shown.splitlines() if line.startswith("Words")] == [["Words", "1"]]
    assert f"working copy on this machine: {machines.folder / 'b'}" in shown


def test_a_key_is_explained_by_a_machine_that_has_nothing_of_it(machines: Machines) -> None:
    store = machines.start("a")
    store.get(Words("the text"))
    second = machines.start("b")
    explained = store_commands.why(second, store.key(Words("the text"))[:8], None)
    assert "the text" in explained
    assert "Words" in explained
    assert not (second.root / "Words").exists()


def test_garbage_is_what_this_code_makes_another_key_of(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    store = machines.start("a")
    store.get(Words("a"))
    store.get(recipes.Slow("b", str(machines.folder / "diary"), 0.0))
    before = machines.bucket.names()
    changed_code(monkeypatch)
    key = store.key(Words("a"))
    assert "1 would free" in store_commands.gc(machines.start("b"), dry_run=True, older_than=0.0)
    assert machines.bucket.names() == before
    said = store_commands.gc(machines.start("c"), dry_run=False, older_than=0.0)
    assert "its key is another today" in said
    assert set(before) - set(machines.bucket.names()) == {name for name in before if key in name}
    assert f"manifests/{key}.json" not in machines.bucket.names()
    assert len([name for name in machines.bucket.names() if name.startswith("manifests")]) == 1


def test_a_manifest_goes_before_its_files(machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = machines.start("a")
    store.get(Words("a"))
    changed_code(monkeypatch)
    (tmp_path / "empty").mkdir()
    found = garbage_of(store.objects, tmp_path / "empty")
    assert [name.partition("/")[0] for name in found.waste[0].names] == ["manifests", "files", "files"]


def test_what_is_new_or_being_built_stays(machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = machines.start("a")
    store.get(Words("a"))
    key = store.key(Words("a"))
    changed_code(monkeypatch)
    for folder in ("young", "busy"):
        (tmp_path / folder).mkdir()
    assert garbage_of(store.objects, tmp_path / "young", older_than_days=1.0).waste == ()
    machines.bucket.put(f"leases/{key}.json", b"{}")
    busy = garbage_of(store.objects, tmp_path / "busy")
    assert (busy.waste, busy.busy) == ((), 1)


def test_what_cut_uploads_and_killed_builds_left_goes_after_a_day(machines: Machines, tmp_path: Path) -> None:
    store = machines.start("a")
    store.get(Words("a"))
    key = store.key(Words("a"))
    left = {
        f"files/{key}/{'0' * 64}",
        f"files/{'1' * 32}/{'2' * 64}",
        f"leases/{'3' * 32}.json",
        f"runs/one/{'4' * 32}",
    }
    left |= {f"code/{'5' * 64}.json.gz", f"manifests/{'6' * 32}.json"}
    kept = set(machines.bucket.names())
    for name in left:
        machines.bucket.put(name, b"x")
    (tmp_path / "young").mkdir()
    unreadable = {name for one in garbage_of(store.objects, tmp_path / "young").waste for name in one.names}
    assert unreadable == {f"manifests/{'6' * 32}.json"}
    aged(machines.bucket, days=1.1)
    (tmp_path / "old").mkdir()
    found = garbage_of(store.objects, tmp_path / "old")
    assert {name for one in found.waste for name in one.names} == left
    remove(store.objects, found)
    assert set(machines.bucket.names()) == kept
    assert text_of(machines.start("b"), Words("a"))["text.txt"] == "a"


@pytest.mark.parametrize(
    "entry",
    [
        {"LastModified": datetime(2026, 1, 2, tzinfo=UTC)},
        {"mtime": datetime(2026, 1, 2, tzinfo=UTC).timestamp()},
        {"updated": "2026-01-02T00:00:00.000Z"},
        {"created": datetime(2026, 1, 2, tzinfo=UTC)},
    ],
    ids=lambda entry: next(iter(entry)),
)
def test_each_file_system_says_when_in_its_own_way(entry: dict[str, object]) -> None:
    assert changed(entry) == datetime(2026, 1, 2, tzinfo=UTC).timestamp()


def test_what_has_no_date_is_new() -> None:
    assert changed({"mtime": "yesterday", "size": 1}) > time.time() - 60


def test_nothing_is_carried_behind_a_url(machines: Machines) -> None:
    with pytest.raises(StoreError, match=r"ws store copy memory://bucket/shared FOLDER.*copy back"):
        next(store_commands.carry(machines.start("a"), tolerance=1e-5, sample=0, seed=0, dry_run=True))


def test_a_folder_is_copied_to_a_url_and_back(machines: Machines, tmp_path: Path) -> None:
    first = Store(tmp_path / "first")
    for name in "ab":
        first.get(Words(name))
    objects = machines.start("x").objects
    assert (to_url(first.root, objects).copied, to_url(first.root, objects).copied) == (2, 0)
    done = to_folder(objects, tmp_path / "second")
    assert (done.copied, done.there, done.damaged) == (2, 0, {})
    second = Store(tmp_path / "second")
    assert text_of(second, Words("b")) == text_of(first, Words("b"))
    assert second.built == []
    assert (tmp_path / "second" / "code").is_dir()
    again = to_folder(objects, tmp_path / "second")
    assert (again.copied, again.there) == (0, 2)


def test_what_is_damaged_is_left_out_of_a_copy_and_named(machines: Machines, tmp_path: Path) -> None:
    first = Store(tmp_path / "first")
    keys = [first.key(Words(name)) for name in "ab"]
    (first.get(Words("a")) / "text.txt").write_text("x")
    first.get(Words("b"))
    objects = machines.start("x").objects
    done = to_url(first.root, objects)
    assert (done.copied, list(done.damaged)) == (1, [keys[0]])
    assert "does not have the sha256" in remote_commands.copied_text(done)
    machines.bucket.put(f"manifests/{keys[1]}.json", b"{")
    back = to_folder(objects, tmp_path / "second")
    assert (back.copied, list(back.damaged)) == (0, [keys[1]])
    assert not list((tmp_path / "second").glob("Words/*"))


@pytest.mark.parametrize("pair", [("a", "b"), ("memory://a/b", "memory://a/c")], ids=["folders", "urls"])
def test_a_copy_needs_a_folder_and_a_url(pair: tuple[str, str]) -> None:
    with pytest.raises(StoreError, match="expected a folder and a URL"):
        remote_commands.copy(*pair)


def test_the_copy_of_a_url_is_a_store_of_its_own(machines: Machines) -> None:
    store = machines.start("a")
    store.get(Words("a"))
    alone = Store(store.root)
    assert isinstance(store, RemoteStore)
    assert text_of(alone, Words("a"))["text.txt"] == "a"
    assert alone.built == []
