"""What goes wrong with a disk: an error of ours that says where and what to do."""

import errno
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from ws.errors import StoreError
from ws.store import Recipe, Store, trouble
from ws.store.steady import steady

FULL = os.strerror(errno.ENOSPC)
RUST = f"Error while serializing: I/O error: {FULL} (os error {errno.ENOSPC})"
ARROW = f"Error writing bytes to file. Detail: [errno {errno.ENOSPC}] {FULL}"


@dataclass(frozen=True)
class Word(Recipe):
    """A word, unless there is something to raise."""

    error: str = ""
    said: str = ""

    def build(self, out: Path, store: Store) -> None:
        (out / "word.txt").write_text("word")
        if self.error:
            raise {"safetensors": SafetensorError, "arrow": OSError, "other": RuntimeError}[self.error](self.said)


@dataclass(frozen=True)
class Tensor(Recipe):
    """A tensor of 8,000 bytes."""

    def build(self, out: Path, store: Store) -> None:
        save_file({"a": np.zeros(1000)}, out / "a.safetensors")


pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where a store is to be."""
    return tmp_path / "store"


@pytest.mark.parametrize(("error", "said"), [("safetensors", RUST), ("arrow", ARROW), ("other", RUST)])
def test_a_disk_that_is_full_while_a_library_writes_is_named(root: Path, error: str, said: str) -> None:
    recipe = Word(error, said)
    with pytest.raises(StoreError, match=rf"{FULL}: {root}/tmp/.*make room, as `ws store gc` does.*--store PATH"):
        Store(root).get(recipe)


def test_safetensors_says_so_in_these_words(root: Path) -> None:
    made, limits = Store(root), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(StoreError, match=rf"{os.strerror(errno.EFBIG)}: {root}/tmp/.*ulimit -f.*--store PATH"):
            made.get(Tensor())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("error", "said", "kind"),
    [
        ("safetensors", "invalid header", SafetensorError),
        ("other", "(os error 2)", RuntimeError),
        ("arrow", "no numbers", OSError),
    ],
)
def test_other_errors_of_libraries_stay_what_they_are(root: Path, error: str, said: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised:
        Store(root).get(Word(error, said))
    assert type(raised.value) is kind
    assert str(raised.value) == said


def a_file(path: Path) -> None:
    path.write_text("")


def a_dead_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "at all")


def a_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("place", [".", "Word", "locks", "tmp", "code", "runs"])
@pytest.mark.parametrize("make", [a_file, a_dead_link, a_loop])
def test_what_lies_where_a_folder_of_the_store_belongs_is_named(
    root: Path, place: str, make: Callable[[Path], None]
) -> None:
    if place != ".":
        root.mkdir()
    make(root / place)
    with pytest.raises(
        StoreError, match=rf"cannot use the store: [\w ]+: {root / place}.*--store PATH or WS_STORE=PATH"
    ):
        Store(root, fresh=place == "runs").get(Word())


def test_a_folder_in_the_place_of_a_lock_is_named(root: Path) -> None:
    made = Store(root)
    lock = root / "locks" / f"{made.key(Word())}.lock"
    lock.mkdir(parents=True)
    with pytest.raises(StoreError, match=rf"{lock}; something else lies where a store has"):
        made.get(Word())


def test_what_keeps_a_path_from_being_a_folder(tmp_path: Path) -> None:
    a_file(tmp_path / "file")
    a_dead_link(tmp_path / "dead")
    a_loop(tmp_path / "loop")
    assert trouble.why_no_folder(tmp_path) is None
    assert trouble.why_no_folder(tmp_path / "new" / "er") is None
    assert trouble.why_no_folder(tmp_path / "file") == f"{tmp_path / 'file'} is no folder"
    assert trouble.why_no_folder(tmp_path / "file" / "in") == f"{tmp_path / 'file'} is no folder"
    for name in ("dead", "loop"):
        assert trouble.why_no_folder(tmp_path / name / "in") == f"{tmp_path / name} is a link that leads nowhere"


WORDS = {"family": "lora", "sign": "plus", "ä": '\x7f \u2028 \\" \n', "format": "pt"}


def test_safetensors_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    tensors = {"b": np.arange(3.0), "a": np.ones((2, 2), dtype=np.float32)}
    found = set()
    for _ in range(12):
        save_file(tensors, tmp_path / "a.safetensors", metadata=WORDS)
        steady(tmp_path)
        found.add((tmp_path / "a.safetensors").read_bytes())
    assert len(found) == 1
    with safe_open(tmp_path / "a.safetensors", "numpy") as file:
        assert file.metadata() == WORDS
    assert {name: value.tolist() for name, value in load_file(tmp_path / "a.safetensors").items()} == {
        name: value.tolist() for name, value in tensors.items()
    }


@pytest.mark.parametrize("content", [b"", b"text", b"\x04\0\0\0\0\0\0\0[3] ", b"\xff" * 40])
def test_what_only_has_the_name_of_safetensors_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    steady(tmp_path)
    assert (tmp_path / "a.safetensors").read_bytes() == content
