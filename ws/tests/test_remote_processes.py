"""Processes with folders of their own and one URL: nothing is built twice, nothing is half, nothing is lost."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ws.remote import RemoteStore
from ws.remote.leases import Pace
from ws.remote.objects import Objects
from ws.store import manifests
from ws.tests.machines import Slow, text_of
from ws.upkeep.standing import manifests_in

ROOT = Path(__file__).parents[2]
NAMES = ("a", "b", "c", "d")

HANGS = """
import sys
import time
from pathlib import Path
from fsspec.implementations.local import LocalFileSystem
from ws.tests import machines

def half(self, lpath, rpath, **kwargs):
    Path(rpath).parent.mkdir(parents=True, exist_ok=True)
    Path(rpath).write_bytes(Path(lpath).read_bytes()[:1])
    print("half", flush=True)
    time.sleep(600)

LocalFileSystem.put_file = half
machines.main(*sys.argv[1:])
"""


class Machine:
    """A process on a machine of its own."""

    def __init__(self, folder: Path, name: str, *texts: str, hangs: bool = False) -> None:
        self.copy, self.diary = folder / name, folder / "diary"
        program = ["-c", HANGS] if hangs else ["-m", "ws.tests.machines"]
        self.process = subprocess.Popen(
            [sys.executable, *program, f"file://{folder}/shared", str(self.copy), str(self.diary), *texts],
            env={**os.environ, "WS_QUIET": "1", "PYTHONPATH": str(ROOT)},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def built(self) -> int:
        """How many artifacts it built, once it has ended."""
        count = int(self.line())
        assert self.process.wait() == 0
        return count

    def killed(self) -> None:
        """Kill it, and see that it is gone."""
        os.kill(self.process.pid, signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def started() -> Iterator[list[Machine]]:
    """Machines that end with the test."""
    machines: list[Machine] = []
    yield machines
    for machine in machines:
        machine.end()


def opened(folder: Path, name: str) -> RemoteStore:
    objects = Objects(f"file://{folder}/shared", patience=(0.0,))
    return RemoteStore(objects, folder / name, pace=Pace(beat=0.05, lasts=60.0, poll=0.01, settle=0.05))


def test_two_processes_build_each_artifact_once(tmp_path: Path, started: list[Machine]) -> None:
    started += [Machine(tmp_path, "a", *NAMES), Machine(tmp_path, "b", *reversed(NAMES))]
    for machine in started:
        machine.go()
    assert sum(machine.built() for machine in started) == len(NAMES)
    assert sorted((tmp_path / "diary").read_text().split()) == list(NAMES)
    whole = [
        (machine.copy.name, manifests.damage(manifest.home, manifest.key))
        for machine in started
        for manifest in manifests_in(machine.copy)
    ]
    assert whole == [("a", None)] * len(NAMES) + [("b", None)] * len(NAMES)
    third = opened(tmp_path, "c")
    assert [text_of(third, Slow(name, str(tmp_path / "diary"))) for name in NAMES] == [{"text.txt": n} for n in NAMES]
    assert third.built == []
    assert list((tmp_path / "shared" / "leases").iterdir()) == []


def test_a_process_killed_in_the_middle_of_an_upload_leaves_nothing_half(
    tmp_path: Path, started: list[Machine]
) -> None:
    started.append(Machine(tmp_path, "a", "a", hangs=True))
    started[0].go()
    assert started[0].line() == "half"
    started[0].killed()
    recipe = Slow("a", str(tmp_path / "diary"))
    # Its machine comes back and uploads what it had built.
    again = opened(tmp_path, "a")
    assert text_of(again, recipe) == {"text.txt": "a"}
    other = opened(tmp_path, "b")
    assert text_of(other, recipe) == {"text.txt": "a"}
    assert (tmp_path / "diary").read_text() == "a\n"


def test_another_machine_goes_on_where_one_was_killed(tmp_path: Path, started: list[Machine]) -> None:
    started.append(Machine(tmp_path, "a", "a", hangs=True))
    started[0].go()
    assert started[0].line() == "half"
    started[0].killed()
    started.append(Machine(tmp_path, "b", "a"))
    started[1].go()
    assert started[1].built() == 1
    third = opened(tmp_path, "c")
    recipe = Slow("a", str(tmp_path / "diary"))
    assert text_of(third, recipe) == text_of(opened(tmp_path, "a"), recipe) == {"text.txt": "a"}
    assert (tmp_path / "diary").read_text() == "a\na\n"
    assert third.built == []
