"""Stores survive a short torture; and the torture notices a store that does not."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import ws
from ws.tests.torture.power import Disk
from ws.tests.torture.tally import BAD

SLOW_COPY = """
import shutil, time
from ws.store import artifacts

def copied(new, home, **_):
    for path in sorted(new.rglob("*")):
        if path.is_file():
            target = home / path.relative_to(new)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            time.sleep(0.02)

artifacts.move_into_place = copied
"""
NO_HASHES = """
from ws.store import manifests
manifests.damage = lambda home, key: None if home.is_dir() else "it is not there"
"""
NO_LOCKS = """
from contextlib import nullcontext
from ws.store import locks
locks.held = lambda root, key, what: nullcontext()
"""


def ran(*words: str, spoil: str = "", sync: str = "1") -> tuple[int, dict[str, dict[str, int]]]:
    """The status of a torture, and by part what its table counts."""
    code = f"{spoil}\nimport sys\nfrom ws.tests.torture.__main__ import main\nsys.exit(main({words!r}))"
    path = os.pathsep.join([str(Path(ws.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    # It forks, of which newer Pythons warn in a process with threads; it starts without any.
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path, "WS_SYNC": sync},
    )
    lines = [line for line in done.stdout.splitlines()[1:] if "  " in line]
    cells = [[cell for cell in line.split("  ") if cell] for line in lines]
    assert cells, done.stderr
    return done.returncode, {name: dict(zip(BAD, map(int, rest[1:5]), strict=True)) for name, *rest in cells}


def test_stores_survive_a_short_torture() -> None:
    status, counted = ran("--short")
    assert {part for part, bad in counted.items() if any(bad.values())} == set()
    assert len(counted) == 9
    assert status == 0


@pytest.mark.parametrize(
    ("part", "bad", "spoil", "sync"),
    [
        ("kills", "half", SLOW_COPY, "1"),
        ("damages", "wrong", NO_HASHES, "1"),
        ("workers", "lost", NO_LOCKS, "1"),
        ("power", "lost", "", "0"),
    ],
)
def test_the_torture_notices_a_store_that_lacks_a_safeguard(part: str, bad: str, spoil: str, sync: str) -> None:
    status, counted = ran("--short", "--only", part, spoil=spoil, sync=sync)
    assert counted[part][bad] > 0
    assert status == 1


def test_a_part_that_does_not_exist_is_no_success() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ws.tests.torture", "--only", "nothing"], capture_output=True, check=False
    )
    assert done.returncode == 1


def outcomes(disk: Disk, tmp_path: Path) -> set[str | None]:
    """What may be left of the file `text`, over many losses of power; None where it is gone."""
    found = set()
    tmp_path.mkdir()
    for number in range(60):
        out = tmp_path / f"after {number}"
        disk.crash(out, random.Random(number))
        text = out / "text"
        found.add(text.read_text() if text.exists() else None)
    return found


def test_a_simulated_disk_keeps_what_was_waited_for_and_may_lose_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = Disk(folder)
    text = folder / "text"
    text.write_text("one")
    assert outcomes(disk, tmp_path / "a") >= {None, "", "\0\0\0"}
    disk.waited(text)
    disk.waited(folder)
    assert outcomes(disk, tmp_path / "b") == {"one"}
    text.write_text("other")
    assert outcomes(disk, tmp_path / "c") >= {"one", "\0" * 5}
    (folder / "new").write_text("new")
    disk.waited(folder / "new")
    (folder / "new").replace(text)
    assert "new" in outcomes(disk, tmp_path / "d")
    disk.waited(folder)
    assert outcomes(disk, tmp_path / "e") == {"new"}
    disk.release()
