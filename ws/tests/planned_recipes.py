"""Recipes that take no time, for tests of plans; a module of its own, so that a worker can import them."""

import gc
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import ws
from ws.errors import DataError
from ws.models.language import Placed
from ws.store import Recipe, Store


@dataclass(frozen=True)
class Said(Recipe):
    """A text, behind those of its inputs."""

    text: str
    after: tuple["Said", ...] = ()
    times: tuple[int, ...] = ()

    def describe(self) -> str:
        return f"said {self.text}"

    def build(self, out: Path, store: Store) -> None:
        before = [(store.get(one) / "said.txt").read_text() for one in self.after]
        (out / "said.txt").write_text(" ".join([*before, self.text]))


@dataclass(frozen=True)
class Refused(Said):
    """What cannot be built."""

    def build(self, out: Path, store: Store) -> None:
        raise DataError(f"{self.text} cannot be said\nand so on")


@dataclass(frozen=True)
class Killed(Said):
    """What kills the process that builds it."""

    def build(self, out: Path, store: Store) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class KilledOnce(Said):
    """What kills the first process that builds it; `text` is a file that remembers."""

    def build(self, out: Path, store: Store) -> None:
        if not Path(self.text).exists():
            Path(self.text).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (out / "said.txt").write_text("said at last")


@dataclass(frozen=True)
class Held(Said):
    """What is built only once the file is there that it is told of."""

    gate: str = ""

    def build(self, out: Path, store: Store) -> None:
        while not Path(self.gate).exists():
            time.sleep(0.05)
        super().build(out, store)


@dataclass(frozen=True)
class Computed(Said):
    """What is computed with a model."""

    on: Placed | None = None


@dataclass(frozen=True)
class Surroundings(Said):
    """What the process that builds it finds; `text` is a variable of its environment."""

    def build(self, out: Path, store: Store) -> None:
        found = {"shared": gc.get_freeze_count(), "code": ws.__file__, "variable": os.environ.get(self.text)}
        (out / "found.json").write_text(json.dumps(found))
