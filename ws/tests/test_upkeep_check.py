"""`ws store check`: every file of a store against its hash."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ws.errors import StoreError
from ws.report import store_commands
from ws.store import MANIFEST, Store
from ws.store.manifests import read_manifest
from ws.tests.shelf import OTHER, SMALL, WHOLE


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with three artifacts, of which the first is made of the others."""
    monkeypatch.setenv("WS_QUIET", "1")
    made = Store(tmp_path / "store")
    made.get(WHOLE)
    return made


def home(store: Store, name: str = "") -> Path:
    """Where one of the inputs is, or a file of it."""
    return store.home(SMALL, store.key(SMALL)) / name


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def unseal(path: Path) -> None:
    """A manifest as older versions wrote it."""
    head, seal, rest = path.read_text().split("\n", 2)
    assert seal.startswith(' "sha256": ')
    path.write_text(f"{head}\n{rest}")


def test_a_sound_store_is_said_to_be(store: Store) -> None:
    [text] = store_commands.check(store)
    assert text.startswith(f"{store.root}: 3 of 3 artifacts are whole, ")
    assert text.count("\n") == 1


def test_manifests_of_older_versions_are_counted(store: Store) -> None:
    unseal(home(store, MANIFEST))
    [text] = store_commands.check(store)
    assert "3 of 3 artifacts are whole" in text
    assert text.endswith("manifests of older versions, which have no hash of their own: 1\n")
    assert read_manifest(home(store)) is not None


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda store: flip(home(store, "rows.parquet"), 9), "rows.parquet does not have the sha256 of the manifest"),
        (lambda store: flip(home(store, MANIFEST), -9), "its manifest does not have the sha256 that it begins with"),
        (lambda store: home(store, "more").write_text(""), "more is not in its manifest"),
        (lambda store: home(store, "report.json").unlink(), "report.json is missing"),
        (lambda store: home(store).rename(home(store).parent.parent / "Sum" / home(store).name), "is of a Numbers"),
    ],
)
def test_a_run_that_needs_no_input_serves_on_and_a_check_finds_its_damage(
    store: Store, damage: Callable[[Store], object], why: str
) -> None:
    damage(store)
    warm = Store(store.root)
    warm.get(WHOLE)
    assert warm.built == []
    said = store_commands.check(store)
    text = next(said)
    assert why in text
    assert "2 of 3 artifacts are whole" in text
    with pytest.raises(StoreError, match="1 of 3 artifacts are damaged; a run that asks for one sets it aside"):
        next(said)


def test_a_file_that_cannot_be_read_is_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def failing(path: Path, *args: str, **options: str) -> object:
        if path.name == "sum.txt":
            raise OSError(5, "Input/output error", str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(Path, "open", failing)
    assert "sum.txt cannot be read: Input/output error" in next(store_commands.check(store))
    assert Store(store.root).has(OTHER)


def test_an_empty_store_is_no_sound_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no artifacts; name a store's folder"):
        next(store_commands.check(Store(tmp_path)))
