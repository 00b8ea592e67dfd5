"""Free memory goes back to the system once a process holds much of it."""

import os
import sys
from itertools import count
from pathlib import Path

import pytest

from ws.models.hardware import tune_malloc
from ws.store import Store, memory
from ws.tests import pages
from ws.tests.test_store import Text

MIB = 1 << 20
BLOCKS = 8

glibc = pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives memory back on request")


@glibc
def test_what_is_free_between_what_stays_is_given_back() -> None:
    tune_malloc()
    pairs = [(pages.allocate(MIB), pages.allocate(64)) for _ in range(BLOCKS)]
    large, small = zip(*pairs, strict=True)
    pages.free(*large)
    kept = [page for block in large for page in pages.held(block, MIB)]
    assert memory.give_back(above=0)
    left = [page for block in large for page in pages.held(block, MIB)]
    pages.free(*small)
    assert all(kept)
    # Lists of this test, and headers of blocks, may occupy some of these pages by now.
    assert sum(left) < len(left) / 4


@glibc
def test_a_small_process_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "resident_bytes", lambda: memory.ENOUGH_BYTES)
    assert not memory.give_back()
    monkeypatch.setattr(memory, "resident_bytes", lambda: memory.ENOUGH_BYTES + 1)
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("musl", "1"))
    assert not memory.give_back()


def test_resident_memory_is_what_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statm = tmp_path / "statm"
    monkeypatch.setattr(memory, "STATM", statm)
    assert memory.resident_bytes() == 0
    statm.write_text("900 70 5 1 0 40 0\n")
    assert memory.resident_bytes() == 70 * os.sysconf("SC_PAGE_SIZE")


def test_every_build_ends_with_giving_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = count()
    monkeypatch.setattr("ws.store.artifacts.give_back", lambda: next(times))
    store = Store(tmp_path)
    store.get(Text("a"))
    store.get(Text("a"))
    assert next(times) == 1


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system that tells of 4 MiB of free memory, and whose process is in the control group a/b without a limit."""
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:   4096 kB\n")
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    (tmp_path / "groups/a/b").mkdir(parents=True)
    for name, path in (("MEMINFO", "meminfo"), ("OWN_CGROUP", "cgroup"), ("CGROUPS", "groups")):
        monkeypatch.setattr(memory, name, tmp_path / path)
    return tmp_path


def limit(told: Path, group: str, *, most: str, used: int, dropped: int) -> None:
    folder = told / "groups" / group
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {dropped}\nactive_file 7\n")


@pytest.mark.parametrize(
    ("most", "left"),
    [(3 * MIB, 3 * MIB - 1000 + 10), (9 * MIB, 4 * MIB)],
    ids=["the limit is less", "the machine has less"],
)
@pytest.mark.parametrize("group", ["a", "a/b"])
def test_a_container_s_limit_counts_where_it_is_less_than_the_machine_has(
    told: Path, group: str, most: int, left: int
) -> None:
    limit(told, group, most=str(most), used=1000, dropped=10)
    assert memory.available_bytes() == left


def test_without_a_limit_all_of_the_machine_s_memory_is_available(told: Path) -> None:
    limit(told, "a/b", most="max", used=1000, dropped=10)
    assert memory.available_bytes() == 4 * MIB


def test_a_system_that_does_not_tell_is_not_guessed(told: Path, tmp_path: Path) -> None:
    (tmp_path / "meminfo").unlink()
    assert memory.available_bytes() is None
