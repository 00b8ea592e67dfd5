"""A key is explained: what it is made of, and what makes other code compute a different one."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ws
from ws.errors import StoreError
from ws.evidence.homes import home_of
from ws.report import store_commands
from ws.store import MANIFEST, Recipe, Store, artifacts
from ws.store import origin as origins
from ws.tests import shelf
from ws.tests.shelf import OTHER, SMALL, WHOLE, Config, Numbers, Sum
from ws.upkeep import accounts
from ws.upkeep.accounts import Accounts, accounts_now, kept_accounts
from ws.upkeep.commits import accounts_at
from ws.upkeep.differences import Change, differences, flat, inputs_of
from ws.upkeep.lookup import manifest_of, snapshots_of

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with three artifacts of today's code."""
    made = Store(tmp_path / "store")
    made.get(WHOLE)
    return made


def now(recipe: Recipe, root: Path) -> Accounts:
    return accounts_now(Store(root), recipe)


def changes(old: Accounts, new: Accounts) -> dict[tuple[str, ...], list[tuple[str, str]]]:
    """What differs at each step."""
    return {step.path: [(one.what, one.name) for one in step.changes] for step in differences(old, new)}


def test_what_was_stored_and_what_is_computed_agree(store: Store) -> None:
    kept = kept_accounts(store, manifest_of(store.root, store.key(WHOLE)))
    assert kept == accounts_now(store, WHOLE)
    assert differences(kept, accounts_now(store, WHOLE)) == []
    assert Accounts.loaded(kept.dumped()) == kept


def test_a_field_that_differs_is_named(tmp_path: Path) -> None:
    found = differences(now(SMALL, tmp_path), now(replace(SMALL, count=5), tmp_path))
    [step] = found
    assert step.changes == (Change("field", "count", "3", "5"),)


def test_an_input_that_differs_is_walked_down_to(tmp_path: Path) -> None:
    other = Sum((SMALL, replace(OTHER, config=replace(OTHER.config, part="low"))))
    assert changes(now(WHOLE, tmp_path), now(other, tmp_path)) == {("parts[1]",): [("field", "config.part")]}


def test_a_definition_that_differs_is_shown_once_with_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = now(WHOLE, tmp_path)
    monkeypatch.setattr(shelf, "ROUNDING", 0.25)
    after = now(WHOLE, tmp_path)
    found = changes(before, after)
    assert list(found) == [("parts[0]",)]
    assert ("code", "ws.tests.shelf.ROUNDING") in found["parts[0]",]
    assert ("code", "ws.tests.shelf:Numbers.build") in found["parts[0]",]


def test_a_library_that_differs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = now(WHOLE, tmp_path)
    for module in (artifacts, accounts, origins):
        monkeypatch.setattr(module, "versions", lambda: before.top.versions | {"torch": "99.0"})
    assert changes(before, now(WHOLE, tmp_path)) == {(): [("version", "torch")]}


def test_recipes_of_other_classes_differ_by_class(tmp_path: Path) -> None:
    assert ("class", "class") in changes(now(WHOLE, tmp_path), now(SMALL, tmp_path))[()]


def test_fields_and_inputs_are_told_by_where_they_stand() -> None:
    said = {
        "class": "a.B",
        "fields": {
            "on": {"class": "a.C", "fields": {"weights": {"input": "k1"}, "device": "cpu"}},
            "spots": [{"class": "a.D", "items": ["x", 1.5]}, {"input": "k2"}],
            "none": [],
        },
    }
    assert dict(flat(said)) == {"on.device": "'cpu'", "spots[0][0]": "'x'", "spots[0][1]": "1.5", "none": "()"}
    assert inputs_of(said) == {"on.weights": "k1", "spots[1]": "k2"}


def test_a_key_is_explained_to_people(store: Store) -> None:
    text = store_commands.why(store, store.key(WHOLE)[:8], None)
    assert store.key(WHOLE) in text
    assert f"parts[0]: Numbers {store.key(SMALL)}" in text
    assert "today's code makes the same key" in text
    assert "torch" in text
    assert "definitions, sha256" in text
    assert max(map(len, text.splitlines())) <= 80
    small = store_commands.why(store, store.key(SMALL)[:8], None)
    assert "config.family = 'lora'" in small


def test_what_is_long_is_cut_at_80_columns(store: Store) -> None:
    long = Numbers(3, Config("lora", "x" * 200))
    store.get(long)
    text = store_commands.why(store, store.key(long), None)
    assert f"config.part = '{'x' * 20}" in text
    assert max(map(len, text.splitlines())) == 80


def test_a_key_that_moved_shows_what_moved_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old = store.key(WHOLE)
    monkeypatch.setattr(shelf, "SUFFIX", " changed")
    text = store_commands.why(Store(store.root), old, None)
    assert "what differs is below" in text
    assert "~ ws.tests.shelf.SUFFIX" in text
    assert "- ''" in text
    assert "+ ' changed'" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_manifest_of_an_older_store_says_what_it_does_not_say(store: Store) -> None:
    path = store.home(SMALL, store.key(SMALL)) / MANIFEST
    said = json.loads(path.read_text())
    kept = {name: said[name] for name in ("class", "key", "files", "versions", "seconds", "created")}
    config = {"class": "Config", "family": "lora", "part": "top"}
    path.write_text(json.dumps(kept | {"fields": {"count": 3, "config": config}, "platform": "Python 3"}))
    text = store_commands.why(store, store.key(SMALL), None)
    assert "not recorded: the manifest is of an older store" in text
    assert "commit not recorded" in " ".join(text.split())
    assert "config.part = 'top'" in text
    path.write_text(json.dumps(kept | {"fields": {"size": 3}}))
    assert "today no recipe makes it" in store_commands.why(store, store.key(SMALL), None)


def test_another_store_is_compared(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    other.get(Numbers(7))
    text = store_commands.why(store, store.key(SMALL), str(other.root))
    assert "- count = 3" in text
    assert "+ count = 7" in text
    other.get(SMALL)
    assert "the same key: nothing differs" in store_commands.why(store, store.key(SMALL), str(other.root))
    with pytest.raises(StoreError, match="has no Sum; nothing to compare"):
        store_commands.why(store, store.key(WHOLE), str(other.root))


@pytest.mark.parametrize(
    ("start", "why"),
    [("abc", "'abc' is no key"), ("xyz12", "is no key"), ("ffff0000", "has no artifact ffff0000"), ("", "is no key")],
)
def test_what_names_no_artifact_is_refused(store: Store, start: str, why: str) -> None:
    with pytest.raises(StoreError, match=why):
        manifest_of(store.root, start)


def test_the_start_of_several_keys_is_refused(store: Store) -> None:
    home = store.home(SMALL, store.key(SMALL))
    shutil.copytree(home, home.with_name(home.name[:8] + "0" * 24))
    with pytest.raises(StoreError, match=f"2 keys in .* begin with {home.name[:6]}: Numbers/.*; give more digits"):
        manifest_of(store.root, home.name[:6])


@pytest.fixture
def case(store: Store, tmp_path: Path) -> Path:
    """A claim with a snapshot that names two keys, one of them in the store."""
    folder = tmp_path / "claims" / "__snapshots__" / "tiny"
    folder.mkdir(parents=True)
    said: dict[str, Any] = {"claim": "C05", "test": "test_it", "case": "lora-raw", "model": "tiny", "outcome": "HOLDS"}
    said |= {"device": "cpu", "keys": [store.key(WHOLE), "f" * 32], "recorded": {"commit": "c" * 40, "date": "2026"}}
    (folder / "test_it[lora-raw].json").write_text(json.dumps(said))
    (folder / "test_it_again[lora-raw].json").write_text(json.dumps(said | {"test": "test_it_again"}))
    return tmp_path / "claims" / "test_c.py"


@pytest.mark.parametrize("name", ["lora-raw", "tiny-lora-raw"])
def test_a_test_is_explained_by_the_keys_of_its_snapshot(store: Store, case: Path, name: str) -> None:
    text = " ".join(store_commands.why(store, f"{case}::test_it[{name}]", None).split())
    assert "C05 HOLDS on tiny (cpu)" in text
    assert f"by commit {'c' * 12}" in text
    assert f"{store.key(WHOLE)[:12]} Sum" in text
    assert "the same today" in text
    assert f"{'f' * 12} not in" in text
    assert "test_it_again" not in text


def test_a_test_that_nothing_is_recorded_of_is_refused_with_what_is(case: Path) -> None:
    with pytest.raises(StoreError, match=r"no snapshot of .*\[oft\]; its recorded cases are lora-raw"):
        snapshots_of(f"{case}::test_it[oft]")
    with pytest.raises(StoreError, match="nothing is recorded of test_other in"):
        snapshots_of(f"{case}::test_other")


@pytest.mark.parametrize("home", ["models/mine@12345678/snapshots", "behaviors/patience@12345678/snapshots/tiny"])
def test_snapshots_of_what_is_one_s_own_are_explained_too(store: Store, case: Path, home: str) -> None:
    own, rest = store.root.joinpath(*Path(home).parts[:2]), Path(*Path(home).parts[2:])
    folder = home_of(case.parent, own) / rest
    folder.mkdir(parents=True)
    shutil.copy(case.parent / "__snapshots__" / "tiny" / "test_it[lora-raw].json", folder)
    assert store_commands.why(store, f"{case}::test_it[lora-raw]", None).count("C05 HOLDS on tiny") == 2
    others = home_of(case.parent / "others", own) / rest
    others.mkdir(parents=True)
    shutil.copy(folder / "test_it[lora-raw].json", others)
    assert store_commands.why(store, f"{case}::test_it[lora-raw]", None).count("C05 HOLDS on tiny") == 2


THINGS = """
from dataclasses import dataclass
from pathlib import Path

from ws.store import Recipe, Store

RATE = 2


@dataclass(frozen=True)
class Thing(Recipe):
    name: str

    def build(self, out: Path, store: Store) -> None:
        (out / "a.txt").write_text(self.name * RATE)
"""
BUILD = """
from pathlib import Path

from ws.store import Store
from ws.things import Thing

Store(Path("s")).get(Thing("a"))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of a small project with three commits: an artifact, a constant that changed, a recipe that is gone."""
    root = tmp_path_factory.mktemp("project")
    source = Path(ws.__file__).parent
    for name in ("live", "code", "store", "upkeep"):
        shutil.copytree(source / name, root / "ws" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "errors.py"):
        shutil.copyfile(source / name, root / "ws" / name)
    (root / ".gitignore").write_text("s/\n__pycache__/\n")
    ask(root, "git", "init", "-q")
    for rate in ("2", "3", None):
        text = THINGS.replace("RATE = 2", f"RATE = {rate}") if rate else ""
        (root / "ws" / "things.py").write_text(text)
        ask(root, "git", "add", "-A")
        ask(root, "git", "-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-qm", str(rate))
        if rate == "2":
            ask(root, sys.executable, "-c", BUILD)
    return root


def ask(folder: Path, *command: str) -> str:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), "WS_QUIET": "1"}
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def test_another_commit_is_asked_by_running_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    kept = Store(project / "s")
    manifest = manifest_of(kept.root, next((project / "s" / "Thing").iterdir()).name)
    recorded = Accounts(replace(kept_accounts(kept, manifest).top), {})
    assert manifest.said["origin"]["commit"] == ask(project, "git", "rev-parse", "HEAD~2").strip()
    same = accounts_at("HEAD~2", manifest.said, project=project)
    assert same.top.key == manifest.key
    later = accounts_at("HEAD~1", manifest.said, project=project)
    [step] = differences(recorded, later)
    assert Change("code", "ws.things.RATE", "2", "3") in step.changes
    with pytest.raises(StoreError, match="HEAD has no such recipe: no class is called Thing"):
        accounts_at("HEAD", manifest.said, project=project)


def test_a_commit_that_cannot_be_asked_says_why(project: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"'nowhere' is no folder of a store, and .* has no such commit"):
        accounts_at("nowhere", {}, project=project)
    with pytest.raises(StoreError, match="is no git checkout"):
        accounts_at("HEAD", {}, project=tmp_path)
