"""Artifacts: named by what makes them, built once, verified, replaced when damaged."""

import errno
import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ws.errors import StoreError
from ws.live.builds import Builds
from ws.store import MANIFEST, Recipe, Store, StoreWarning, default_root, manifests, progress, versions
from ws.store import artifacts as store
from ws.store.texts import keep_texts, kept_texts
from ws.tests.manifest_words import say

GREETING = "hello"


def greeted(name: str) -> str:
    return f"{GREETING} {name}"


@dataclass(frozen=True)
class Shape:
    """A plain value inside a recipe."""

    family: str
    rank: int = 4


@dataclass(frozen=True)
class Text(Recipe):
    """A file of text, and one in a folder."""

    name: str
    times: float | int = 1.0
    shape: Shape | None = None

    def build(self, out: Path, store: Store) -> None:
        (out / "text.txt").write_text(greeted(self.name) * int(self.times))
        (out / "more").mkdir()
        (out / "more" / "name.txt").write_text(self.name)


@dataclass(frozen=True)
class Pair(Recipe):
    """Two texts as one."""

    first: Text
    others: tuple[Text, ...] = ()

    def build(self, out: Path, store: Store) -> None:
        texts = [(store.get(text) / "text.txt").read_text() for text in (self.first, *self.others)]
        (out / "pair.txt").write_text(" ".join(texts))


@dataclass(frozen=True)
class Fragile(Recipe):
    """Writes half of its files and then raises what the file `trouble` names, while there is one."""

    trouble: str

    def build(self, out: Path, store: Store) -> None:
        (out / "half.txt").write_text("half")
        store.note(trouble="none yet")
        trouble = Path(self.trouble)
        if trouble.exists():
            raise RAISED[trouble.read_text()]()
        (out / "other.txt").write_text("other half")


class Broken(Exception):
    """What goes wrong in a build."""


def no_space() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def locked_elsewhere() -> OSError:
    return PermissionError(errno.EACCES, "Permission denied", "/elsewhere/model.gguf")


RAISED = {
    "Broken": Broken,
    "KeyboardInterrupt": KeyboardInterrupt,
    "no space": no_space,
    "locked elsewhere": locked_elsewhere,
}

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty store that does not exist yet."""
    return tmp_path / "store"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The progress lines of a test."""
    monkeypatch.setenv("WS_QUIET", "0")
    stream = io.StringIO()
    monkeypatch.setattr(progress, "_chosen", stream)
    monkeypatch.setattr(progress, "builds", Builds())
    monkeypatch.setattr(progress, "_column", int)
    return stream


def files_of(folder: Path) -> dict[str, str]:
    """Every file below a folder with its text."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def counted(made: Store) -> list[str]:
    """The class names of what a store built, in order."""
    return [type(artifact.recipe).__name__ for artifact in made.built]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Pair(Text("b")), id="field of an input"),
        pytest.param(Pair(Text("a", times=2.0)), id="number of an input"),
        pytest.param(Pair(Text("a"), (Text("a"),)), id="one more input"),
        pytest.param(Pair(Text("a", shape=Shape("lora"))), id="a value instead of None"),
    ],
)
def test_the_key_changes_with_a_field(root: Path, other: Recipe) -> None:
    key = Store(root).key
    assert key(Pair(Text("a"))) != key(other)
    assert key(Text("a", shape=Shape("lora"))) != key(Text("a", shape=Shape("lora", rank=8)))
    assert key(Pair(Text("a"), (Text("b"), Text("c")))) != key(Pair(Text("a"), (Text("c"), Text("b"))))


def test_equal_recipes_have_one_key(root: Path) -> None:
    assert Text("a", times=2.0) == Text("a", times=2)
    assert Store(root).key(Text("a", times=2.0)) == Store(root).key(Text("a", times=2))
    assert Store(root).key(Text("a", times=True)) == Store(root).key(Text("a"))


def test_a_key_is_32_hex_digits_and_needs_no_store_on_disk(root: Path) -> None:
    key = Store(root).key(Text("a"))
    assert len(key) == 32
    assert int(key, 16) > 0
    assert not root.exists()


def test_the_key_changes_with_the_code_of_build(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Store(root).key(Text("a"))
    monkeypatch.setattr(Text, "build", Pair.build)
    assert Store(root).key(Text("a")) != before


@pytest.mark.parametrize("recipe", [Text("a"), Pair(Text("a"))], ids=["itself", "through an input"])
@pytest.mark.parametrize(("name", "value"), [("GREETING", "bye"), ("greeted", counted)])
def test_the_key_changes_with_what_build_uses(
    root: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe, name: str, value: object
) -> None:
    before = Store(root).key(recipe)
    monkeypatch.setattr(sys.modules[__name__], name, value)
    assert Store(root).key(recipe) != before


def test_the_key_changes_with_a_minor_version(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Store(root).key(Text("a"))
    monkeypatch.setattr(store, "versions", lambda: versions() | {"torch": "99.0"})
    assert Store(root).key(Text("a")) != before


@dataclass(frozen=True)
class Loose(Recipe):
    value: Any


class Undecorated(Text):
    extra: int = 0


@dataclass(frozen=True)
class Uncompared(Recipe):
    value: int = field(default=0, compare=False)


@dataclass
class Thawed:
    value: int = 0


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        pytest.param(Loose([1]), r"Loose\.value is a list; .* tuples", id="list"),
        pytest.param(Loose(({},)), r"Loose\.value is a dict", id="dict in a tuple"),
        pytest.param(Loose(Path("x")), r"Loose\.value is a PosixPath", id="path"),
        pytest.param(Loose(Thawed()), r"Loose\.value is a Thawed; .*frozen=True", id="dataclass that is not frozen"),
        pytest.param(Loose(float("nan")), r"Loose\.value is nan; .* finite", id="nan"),
        pytest.param(Undecorated("a"), r"Undecorated is a Undecorated; .*frozen=True", id="undecorated subclass"),
        pytest.param(Uncompared(), r"Uncompared\.value has compare=False", id="field that does not compare"),
    ],
)
def test_what_no_key_can_be_made_of_is_refused(root: Path, recipe: Recipe, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        Store(root).key(recipe)


def test_a_recipe_is_built_once_with_its_inputs(root: Path) -> None:
    made = Store(root)
    recipe = Pair(Text("a"), (Text("b"), Text("a")))
    assert not made.has(recipe)
    home = made.get(recipe)
    assert (home / "pair.txt").read_text() == "hello a hello b hello a"
    assert made.get(recipe) == home == root / "Pair" / made.key(recipe)
    assert counted(made) == ["Text", "Text", "Pair"]
    assert made.has(recipe)


def test_another_process_finds_what_is_there(root: Path) -> None:
    Store(root).get(Pair(Text("a")))
    warm = Store(root)
    assert warm.has(Pair(Text("a")))
    warm.get(Pair(Text("a")))
    assert warm.built == []


def test_what_was_built_is_listed_with_its_own_seconds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 100.0, 103.0, 110.0])
    monkeypatch.setattr(store, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    made = Store(root)
    made.get(Pair(Text("a")))
    assert [(one.key, one.seconds) for one in made.built] == [
        (made.key(Text("a")), 3.0),
        (made.key(Pair(Text("a"))), 107.0),
    ]


def test_the_manifest_says_what_the_artifact_is(root: Path) -> None:
    made = Store(root)
    recipe = Pair(Text("a", shape=Shape("lora")))
    manifest = json.loads((made.get(recipe) / MANIFEST).read_text())
    assert manifest["class"] == "ws.tests.test_store.Pair"
    assert manifest["recipe"]["fields"] == {"first": {"input": made.key(recipe.first)}, "others": []}
    assert manifest["inputs"][made.key(recipe.first)]["fields"]["name"] == "a"
    assert manifest["key"] == made.key(recipe)
    assert manifest["files"]["pair.txt"]["bytes"] == len("hello a")
    assert manifest["versions"] == versions()
    assert manifest["origin"]["releases"].keys() == {"python", "torch", "transformers", "peft", "numpy"}
    assert manifest["origin"]["machine"]["cores"] > 0
    assert {"seconds", "created", "notes"} <= manifest.keys()


def test_the_store_keeps_the_code_behind_a_key(root: Path) -> None:
    made = Store(root)
    manifest = json.loads((made.get(Text("a")) / MANIFEST).read_text())
    texts = kept_texts(root, manifest["source"])
    assert texts is not None
    assert any("hello" in text for text in texts.values())
    made.get(Text("b"))
    assert len(list((root / "code").iterdir())) == 1
    keep_texts(root, manifest["source"], lambda: pytest.fail("walked the code again"))


def test_a_built_artifact_is_announced(root: Path, said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 31.23])
    monkeypatch.setattr(store, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    made = Store(root)
    made.get(Text("a"))
    assert said.getvalue() == f"built Text a times 1.0  31.2 s  {made.key(Text('a'))[:6]}\n"


@dataclass(frozen=True)
class Empty(Recipe):
    def build(self, out: Path, store: Store) -> None:
        (out / "folder").mkdir()


@dataclass(frozen=True)
class Linked(Recipe):
    target: str

    def build(self, out: Path, store: Store) -> None:
        (out / "link").symlink_to(self.target)


@dataclass(frozen=True)
class Forged(Recipe):
    def build(self, out: Path, store: Store) -> None:
        (out / MANIFEST).write_text("{}")


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Empty(), "Empty wrote no files"),
        (Linked("/etc/hostname"), r"wrote \['link'\].* no links"),
        (Linked("/etc"), r"wrote \['link'\].* no links"),
        (Forged(), rf"wrote \['{MANIFEST}'\].* leave {MANIFEST} to the store"),
    ],
    ids=["nothing", "link to a file", "link to a folder", "manifest"],
)
def test_a_build_must_leave_plain_files(root: Path, recipe: Recipe, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        Store(root).get(recipe)
    assert not Store(root).has(recipe)


@dataclass(frozen=True)
class Ouroboros(Recipe):
    def build(self, out: Path, store: Store) -> None:
        store.get(self)


def test_a_recipe_that_needs_itself_is_refused(root: Path) -> None:
    with pytest.raises(StoreError, match="Ouroboros asks for itself"):
        Store(root).get(Ouroboros())


@pytest.mark.parametrize(
    ("trouble", "error"),
    [("Broken", Broken), ("KeyboardInterrupt", KeyboardInterrupt), ("no space", StoreError)],
)
def test_a_build_that_fails_leaves_nothing_behind(
    root: Path, tmp_path: Path, trouble: str, error: type[BaseException]
) -> None:
    flag = tmp_path / "trouble"
    flag.write_text(trouble)
    made, recipe = Store(root), Fragile(str(flag))
    with pytest.raises(error):
        made.get(recipe)
    assert files_of(root / "tmp") == {}
    assert not made.has(recipe)
    assert made.built == []
    assert list((root / "locks").iterdir()) == []
    flag.unlink()
    assert (made.get(recipe) / "other.txt").exists()
    assert json.loads((made.get(recipe) / MANIFEST).read_text())["notes"] == {"trouble": "none yet"}


def flip_a_bit(home: Path) -> None:
    path = home / "text.txt"
    first, *rest = path.read_bytes()
    path.write_bytes(bytes([first ^ 1, *rest]))


def manifest_with(**entries: object) -> Callable[[Path], object]:
    """Change entries of the manifest."""

    def change(home: Path) -> None:
        say(home, **entries)

    return change


def in_place(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Put something else under the name of a file."""

    def change(home: Path) -> None:
        (home / name).unlink()
        make(home / name)

    return change


def listing_also(name: str) -> Callable[[Path], object]:
    """Add a file outside to the manifest under its true hash, so that only the name can be at fault."""

    def change(home: Path) -> None:
        outside = home.parent / "outside.txt"
        outside.write_text("secret")
        files = json.loads((home / MANIFEST).read_text())["files"]
        entry = {"sha256": manifests.sha256(outside), "bytes": outside.stat().st_size}
        manifest_with(files=files | {name.format(outside): entry})(home)

    return change


def linked(name: str) -> Callable[[Path], object]:
    """Move a file, a folder or the artifact itself out and leave a link in its place."""

    def change(home: Path) -> None:
        inside, outside = home / name, home.parent / "outside"
        inside.rename(outside)
        inside.symlink_to(outside)

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_bit, r"text\.txt does not have the sha256"),
        (lambda home: (home / "more" / "name.txt").unlink(), r"more/name\.txt is missing"),
        (lambda home: (home / MANIFEST).unlink(), r"manifest\.json is missing"),
        (lambda home: (home / MANIFEST).write_text('{"key": '), "manifest cannot be read"),
        (lambda home: (home / MANIFEST).write_text("[" * 200_000), "manifest cannot be read"),
        (lambda home: (home / MANIFEST).write_text("{}"), "manifest cannot be read"),
        (lambda home: (home / MANIFEST).write_text('{"key": "a"}'), "manifest has lost its own sha256"),
        (lambda home: os.truncate(home / MANIFEST, 2**40), "1,099,511,627,776 bytes, and 67,108,864 are the most"),
        (in_place(MANIFEST, os.mkfifo), r"manifest\.json is no file"),
        (in_place(MANIFEST, os.mkdir), r"manifest\.json is no file"),
        (in_place("text.txt", os.mkfifo), r"text\.txt is no file"),
        (lambda home: (home / "config.json").write_text("{}"), r"config\.json is not in its manifest"),
        (lambda home: (home / "config.json").symlink_to("text.txt"), r"config\.json is not in its manifest"),
        (manifest_with(files={}), "manifest lists no files"),
        (manifest_with(key="0" * 32), "manifest is of 0000"),
        (manifest_with(files=["text.txt"]), "manifest cannot be read"),
        (listing_also("../outside.txt"), r"'\.\./outside\.txt' leads out of it"),
        (listing_also("more/../../outside.txt"), r"'more/\.\./\.\./outside\.txt' leads out of it"),
        (listing_also("{}"), r"outside\.txt' leads out of it"),
        (linked("text.txt"), r"text\.txt is a symbolic link"),
        (linked("more"), r"more/name\.txt is a symbolic link"),
        (linked(MANIFEST), r"manifest\.json is a symbolic link"),
        (linked("."), "is not a folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_artifact_is_set_aside_and_built_again(
    root: Path, damage: Callable[[Path], object], message: str
) -> None:
    home = Store(root).get(Text("a"))
    whole = files_of(home)
    damage(home)
    again = Store(root)
    assert not again.has(Text("a"))
    with pytest.warns(StoreWarning, match=message):
        again.get(Text("a"))
    assert counted(again) == ["Text"]
    assert files_of(home).keys() == whole.keys()
    assert (home / "text.txt").read_text() == whole["text.txt"]
    assert len(list((root / "damaged").iterdir())) == 1
    assert Store(root).has(Text("a"))
    # Nothing outside is set aside with it.
    outside = home.parent / "outside.txt"
    assert not outside.exists() or outside.read_text() == "secret"


def test_a_warning_turned_error_leaves_a_store_that_heals(root: Path) -> None:
    flip_a_bit(Store(root).get(Text("a")))
    made = Store(root)
    with warnings.catch_warnings():
        warnings.simplefilter("error", StoreWarning)
        with pytest.raises(StoreWarning, match="damaged"):
            made.get(Text("a"))
    assert (made.get(Text("a")) / "text.txt").read_text() == "hello a"


def test_files_are_read_once_a_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Store(root).get(Text("a"))
    warm = Store(root)
    warm.get(Text("a"))
    monkeypatch.setattr(manifests, "sha256", lambda path: pytest.fail(f"read {path} again"))
    assert warm.get(Text("a")) == home


def test_files_just_built_are_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Store(root)
    home = made.get(Text("a"))
    monkeypatch.setattr(manifests, "sha256", lambda path: pytest.fail(f"read {path} again"))
    assert made.get(Text("a")) == home


def test_an_artifact_deleted_under_a_running_process_is_built_again(root: Path) -> None:
    made = Store(root)
    home = made.get(Text("a"))
    home.rename(root / "gone")
    made.get(Text("a"))
    assert counted(made) == ["Text", "Text"]


TWO = """
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ws.store import Recipe, Store


@dataclass(frozen=True)
class Slow(Recipe):
    log: str

    def build(self, out: Path, store: Store) -> None:
        with open(self.log, "a") as log:
            log.write("built\\n")
        time.sleep(0.3)
        (out / "slow.txt").write_text("done")


recipe, store = Slow(sys.argv[2]), Store(Path(sys.argv[1]))
store.key(recipe)
print("ready", flush=True)
sys.stdin.readline()
print((store.get(recipe) / "slow.txt").read_text(), len(store.built))
"""


def test_two_processes_build_a_key_once(root: Path, tmp_path: Path) -> None:
    script, log = tmp_path / "two.py", tmp_path / "log"
    script.write_text(TWO)
    command = [sys.executable, str(script), str(root), str(log)]
    path = os.pathsep.join([str(Path(store.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    both = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in both] == ["ready\n", "ready\n"]
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=30)[0] for process in both]
    assert sorted(outputs) == ["done 0\n", "done 1\n"]
    assert log.read_text() == "built\n"


def test_a_fresh_run_builds_each_key_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Store(root).get(Pair(Text("a")))
    (home / ".stray.txt").write_text("of the old artifact")
    monkeypatch.setenv("WS_RUN_ID", "first")
    worker, other = Store(root, fresh=True), Store(root, fresh=True)
    assert not worker.has(Pair(Text("a")))
    worker.get(Pair(Text("a")))
    worker.get(Pair(Text("a")))
    assert counted(worker) == ["Text", "Pair"]
    assert worker.has(Pair(Text("a")))
    other.get(Pair(Text("a")))
    assert other.built == []
    assert not (home / ".stray.txt").exists()
    assert list((root / "tmp").iterdir()) == []


def test_the_next_fresh_run_builds_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_RUN_ID", "first")
    Store(root, fresh=True).get(Text("a"))
    monkeypatch.setenv("WS_RUN_ID", "second")
    second = Store(root, fresh=True)
    second.get(Text("a"))
    assert counted(second) == ["Text"]


def test_without_a_run_id_each_fresh_store_is_a_run(root: Path) -> None:
    Store(root, fresh=True).get(Text("a"))
    second = Store(root, fresh=True)
    second.get(Text("a"))
    assert counted(second) == ["Text"]


def test_a_fresh_build_that_fails_keeps_the_old_artifact(root: Path, tmp_path: Path) -> None:
    flag = tmp_path / "trouble"
    home = Store(root).get(Fragile(str(flag)))
    before = files_of(home)
    flag.write_text("Broken")
    with pytest.raises(Broken):
        Store(root, fresh=True).get(Fragile(str(flag)))
    assert files_of(home) == before


def test_a_fresh_build_that_cannot_move_in_puts_the_old_artifact_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Store(root).get(Text("a"))
    before, real, moves = files_of(home), os.replace, []

    def replaced(source: Path, target: Path) -> None:
        moves.append(target)
        if len(moves) == 2:
            raise no_space()
        real(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    with pytest.raises(StoreError, match="No space left"):
        Store(root, fresh=True).get(Text("a"))
    assert files_of(home) == before


@pytest.mark.parametrize("name", ["../up", "a/b", ".", "..", "a b"])
def test_a_run_id_that_is_no_folder_name_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("WS_RUN_ID", name)
    with pytest.raises(StoreError, match=r"WS_RUN_ID=.* cannot name a folder"):
        Store(root)


@pytest.fixture
def cannot_write(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes every new folder fail with an error number; permission bits would not stop root."""

    def forbid(number: int) -> None:
        def mkdir(self: Path, *args: object, **options: object) -> None:
            raise OSError(number, os.strerror(number), str(self))

        monkeypatch.setattr(Path, "mkdir", mkdir)

    return forbid


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_disk_that_cannot_be_written_is_named(root: Path, cannot_write: Callable[[int], None], number: int) -> None:
    cannot_write(number)
    with pytest.raises(StoreError, match=rf"{os.strerror(number)}: {root}.*--store PATH or WS_STORE=PATH"):
        Store(root).get(Text("a"))


def test_a_read_only_store_serves_what_it_has(root: Path, cannot_write: Callable[[int], None]) -> None:
    home = Store(root).get(Text("a"))
    cannot_write(errno.EROFS)
    assert Store(root).get(Text("a")) == home


def test_a_file_that_cannot_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Store(root).get(Text("a"))

    def denied(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(manifests, "sha256", denied)
    with pytest.raises(StoreError, match=rf"{home}/.*--store"):
        Store(root).get(Text("a"))


def test_a_file_outside_the_store_is_not_the_store_s_fault(root: Path, tmp_path: Path) -> None:
    (tmp_path / "trouble").write_text("locked elsewhere")
    with pytest.raises(PermissionError, match=r"/elsewhere/model\.gguf"):
        Store(root).get(Fragile(str(tmp_path / "trouble")))


def test_the_root_is_chosen_by_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_STORE", str(tmp_path))
    assert default_root() == tmp_path


@pytest.mark.parametrize("unset", [None, ""])
def test_the_root_is_the_cache_folder_of_the_user_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unset: str | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("WS_STORE", raising=False)
    if unset is not None:
        monkeypatch.setenv("WS_STORE", unset)
    assert default_root().name == "weight-steering"


def test_a_relative_root_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = Store(Path("here"))
    monkeypatch.chdir("/")
    assert made.get(Text("a")).is_relative_to(tmp_path / "here")
