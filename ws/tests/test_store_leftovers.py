"""What killed builds leave behind: cleared away once it is sure that nobody works on it, or put in its place."""

import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ws.store import MANIFEST, Recipe, Store, locks, owners, progress, scratch
from ws.store.scratch import clear_away
from ws.tests.told import Told

ELSEWHERE = "f" * 12
KEY = "a" * 32
TWO_DAYS = 2 * scratch.SECONDS_UNTIL_ABANDONED


@dataclass(frozen=True)
class Word(Recipe):
    word: str

    def build(self, out: Path, store: Store) -> None:
        (out / "word.txt").write_text(self.word)


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """The lines of progress."""
    monkeypatch.setenv("WS_QUIET", "0")
    monkeypatch.delenv("WS_RUN_ID", raising=False)
    lines = Told()
    monkeypatch.setattr(progress, "_chosen", lines)
    monkeypatch.setattr(progress, "_column", int)
    return lines


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with an artifact."""
    Store(tmp_path / "store").get(Word("there"))
    return tmp_path / "store"


def leave(root: Path, name: str, *, age: float = 0.0) -> Path:
    """Half an artifact in tmp/, untouched for so many seconds."""
    path = root / scratch.FOLDER / name
    path.mkdir(parents=True)
    (path / "half.txt").write_text("half")
    for one in (path / "half.txt", path):
        os.utime(one, (time.time() - age,) * 2)
    return path


@pytest.mark.parametrize(
    ("name", "age", "goes"),
    [
        (f"{KEY}-{owners.this_machine()}-1", 0.0, True),
        (f"{KEY}-{owners.this_machine()}-1-old", 0.0, True),
        (f"{KEY}-1", 0.0, True),
        (f"{KEY}-{ELSEWHERE}-1", 0.0, False),
        (f"{KEY}-{ELSEWHERE}-1", -TWO_DAYS, False),
        (f"{KEY}-{ELSEWHERE}-1", TWO_DAYS, True),
        (f"texts-{owners.this_machine()}-{2**31 - 1}", 0.0, True),
        (f"texts-{owners.this_machine()}-{os.getpid()}", TWO_DAYS, False),
        (f"texts-{ELSEWHERE}-1", 0.0, False),
        (f"texts-{ELSEWHERE}-1", TWO_DAYS, True),
        ("what is this", 0.0, False),
        ("what is this", TWO_DAYS, True),
    ],
    ids=[
        "ours-dead",
        "ours-dead-old",
        "unsigned",
        "elsewhere-fresh",
        "elsewhere-from-the-future",
        "elsewhere-old",
        "texts-ours-dead",
        "texts-ours-alive",
        "texts-elsewhere-fresh",
        "texts-elsewhere-old",
        "unknown-fresh",
        "unknown-old",
    ],
)
def test_a_leftover_goes_if_it_is_sure_that_it_is_one(root: Path, name: str, age: float, goes: bool) -> None:
    path = leave(root, name, age=age)
    clear_away(root)
    assert path.exists() is not goes


def test_a_file_that_grows_elsewhere_keeps_its_folder(root: Path) -> None:
    path = leave(root, f"{KEY}-{ELSEWHERE}-1", age=TWO_DAYS)
    (path / "half.txt").write_text("more")
    clear_away(root)
    assert path.exists()


def test_what_somebody_builds_stays(root: Path) -> None:
    path = leave(root, f"{KEY}-1")
    with locks.held(root, KEY, what="it"):
        clear_away(root)
        assert path.exists()
    clear_away(root)
    assert not path.exists()


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, lambda path: path.symlink_to("/nowhere")])
def test_a_leftover_that_is_no_folder_goes_too(root: Path, make: object) -> None:
    assert callable(make)
    path = root / scratch.FOLDER / f"{KEY}-1"
    path.parent.mkdir(exist_ok=True)
    make(path)
    clear_away(root)
    assert not os.path.lexists(path)


def test_lock_files_that_nobody_holds_go(root: Path) -> None:
    left = root / locks.FOLDER / f"{KEY}.lock"
    left.touch()
    clear_away(root)
    assert not left.exists()


@pytest.mark.parametrize("name", ["{}-1", f"{{}}-{ELSEWHERE}-1-old"])
def test_what_was_finished_but_not_in_its_place_is_put_there(root: Path, name: str) -> None:
    home = Store(root).get(Word("there"))
    (root / scratch.FOLDER).mkdir(exist_ok=True)
    left = root / scratch.FOLDER / name.format(home.name)
    home.rename(left)
    os.utime(left, (0, 0))
    for path in left.iterdir():
        os.utime(path, (0, 0))
    made = Store(root)
    made.tidy()
    assert (made.get(Word("there")) / "word.txt").read_text() == "there"
    assert made.built == []
    assert not left.exists()


@pytest.mark.parametrize("spoilt", ["word.txt", MANIFEST])
def test_what_was_not_finished_is_never_put_in_place(root: Path, spoilt: str) -> None:
    home = Store(root).get(Word("there"))
    (root / scratch.FOLDER).mkdir(exist_ok=True)
    left = root / scratch.FOLDER / f"{home.name}-1"
    home.rename(left)
    (left / spoilt).write_text("half")
    made = Store(root)
    made.tidy()
    assert not left.exists()
    assert not made.has(Word("there"))


def test_a_run_that_goes_on_says_what_it_found(root: Path, told: Told) -> None:
    finished = Store(root).get(Word("finished"))
    finished.rename(root / scratch.FOLDER / f"{finished.name}-1")
    leave(root, f"{KEY}-1")
    told.clear()
    made = Store(root)
    made.get(Word("new"))
    made.get(Word("newer"))
    assert told[0] == (
        "going on after a build that was killed: artifacts there: 2, of these finished but not yet in place: 1, "
        f"taken over ({finished.name[:6]}), half built: 1, cleared away (aaaaaa; 0.0 MB)"
    )
    assert [line for line in told if "going on" in line] == [told[0]]


def test_a_run_that_finds_nothing_odd_says_nothing(root: Path, told: Told) -> None:
    told.clear()
    Store(root).get(Word("new"))
    assert not [line for line in told if "going on" in line]


@dataclass(frozen=True)
class Met(Recipe):
    """In the middle of its build, another machine that has locks of its own builds it too."""

    folder: str

    def build(self, out: Path, store: Store) -> None:
        (out / "first.txt").write_text("first")
        flag = Path(self.folder) / "met"
        if not flag.exists():
            flag.touch()
            with pytest.MonkeyPatch.context() as patch:
                boot = Path(self.folder) / "boot_id"
                boot.write_text("of another machine")
                patch.setattr(owners, "BOOT_ID", boot)
                patch.setattr(locks, "FOLDER", "locks of another machine")
                Store(store.root).get(self)
        (out / "second.txt").write_text("second")


def test_two_machines_without_common_locks_leave_each_other_s_work_alone(tmp_path: Path) -> None:
    made = Store(tmp_path / "store")
    home = made.get(Met(str(tmp_path)))
    assert {path.name for path in home.iterdir()} == {"first.txt", "second.txt", MANIFEST}
    assert Store(tmp_path / "store").has(Met(str(tmp_path)))
    assert list((tmp_path / "store" / scratch.FOLDER).iterdir()) == []


def test_texts_of_code_that_are_spoilt_or_of_other_code_are_kept_anew(root: Path) -> None:
    from ws.store.texts import kept_texts, text_path

    made = Store(root)
    source = made.source(Word("there"))
    path, whole = text_path(root, source), kept_texts(root, source)
    assert whole is not None
    other = text_path(root, hashlib.sha256().hexdigest())
    shutil.copy(path, other)
    assert kept_texts(root, hashlib.sha256().hexdigest()) is None
    path.write_bytes(path.read_bytes()[:-9])
    assert kept_texts(root, source) is None
    made.get(Word("new"))
    assert kept_texts(root, source) == whole


@pytest.mark.parametrize("times", [1, 3])
def test_what_another_machine_puts_there_at_the_same_moment_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    made, real, left = Store(tmp_path / "store"), os.replace, [times]
    home = made.home(Word("new"), made.key(Word("new")))

    def raced(source: Path, target: Path) -> None:
        if Path(target) == home and left[0]:
            left[0] -= 1
            home.mkdir(parents=True)
            (home / "word.txt").write_text("of another machine")
        real(source, target)

    monkeypatch.setattr(os, "replace", raced)
    made.get(Word("new"))
    assert left == [0]
    assert (home / "word.txt").read_text() == "new"
    assert list((tmp_path / "store" / scratch.FOLDER).iterdir()) == []


def test_what_another_machine_puts_there_while_one_looks_is_not_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Store(tmp_path / "store")
    home = made.home(Word("new"), made.key(Word("new")))
    real = made._damage

    def looked(at: Path, key: str) -> str | None:
        said = real(at, key)
        home.mkdir(parents=True, exist_ok=True)
        return said

    monkeypatch.setattr(made, "_damage", looked)
    # The first look is before the lock.
    monkeypatch.setattr(made, "tidy", lambda: home.rmdir())
    made.get(Word("new"))
    assert not (tmp_path / "store" / "damaged").exists()
    assert (home / "word.txt").read_text() == "new"


def test_a_leftover_that_vanishes_while_one_looks_is_somebody_s(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = leave(root, f"{KEY}-{ELSEWHERE}-1", age=TWO_DAYS)
    real = Path.rglob

    def vanishing(at: Path, pattern: str) -> object:
        yield from real(at, pattern)
        yield at / "gone"

    monkeypatch.setattr(Path, "rglob", vanishing)
    clear_away(root)
    assert path.exists()


@pytest.mark.parametrize("fresh", [False, True])
def test_what_another_machine_has_put_in_place_stays_unless_all_is_built_anew(root: Path, fresh: bool) -> None:
    home = Store(root).get(Word("there"))
    before = (home / "word.txt").stat().st_ino
    made = Store(root, fresh=fresh)
    made._build(Word("there"), home.name, home)
    assert ((home / "word.txt").stat().st_ino == before) is not fresh
    assert (home / "word.txt").read_text() == "there"
    assert list((root / scratch.FOLDER).iterdir()) == []
