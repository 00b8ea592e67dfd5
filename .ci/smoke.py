"""Mutants of the formulas behind claims, judged by the claims themselves on the tiny model.

A mutant is drawn from functions and constants that the claims use: that run while they are judged, or that a key of
their artifacts covers. Each gets a copy of the store in hard links, without the artifacts whose keys cover what it
changes and without those made of them. There the changed code makes them anew, and numbers are compared as ever.
"""

import gzip
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

import pytest
from forks import first_failure, say
from mutation import ROOT, Mutant, mutants

ROOMS = ("lenses", "scoring", "stats", "study", "contest")
APART = ("own_", "search")
"""How modules begin that no claim is made with."""
WORDS = ("describe", "post_init", "repr", "why_not", "check")
"""How functions begin that make words or refuse arguments, after underscores."""
SEED = 0
LIMIT_SECONDS = 600.0


def judged_by_smoke(modules: Sequence[str], sample: int | None) -> int:
    """Draw mutants, run the claims on each, and print which survive; the exit status."""
    judge = SmokeBreaker(modules or [*_modules()], sample)
    return int(pytest.main(["--smoke", "claims", "-q", "-p", "no:cacheprovider", "--tb=no"], plugins=[judge]))


def _modules() -> Iterator[str]:
    for room in ROOMS:
        for path in sorted((ROOT / "ws" / room).glob("*.py")):
            if not path.stem.startswith(APART) and path.stem != "__init__":
                yield f"{room}/{path.stem}"


class SmokeBreaker:
    """A plugin that runs the claims once for each mutant, each time in a fork and on a store of its own."""

    def __init__(self, modules: Sequence[str], sample: int | None) -> None:
        self.modules, self.sample = modules, sample

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        from fixtures.options import SETTINGS

        with tempfile.TemporaryDirectory(dir=session.config.stash[SETTINGS].store) as folder:
            ran = self._sound(session, Path(folder))
            survivors = self._tried(session, Warm(session.config.stash[SETTINGS].store, Path(folder)), ran)
        session.testsfailed = len(survivors)
        return True

    def _sound(self, session: pytest.Session, folder: Path) -> frozenset[str]:
        """The names of the functions that run while the claims are judged; they must pass."""
        noted = folder / "ran"
        failed = first_failure(session.items, partial(_note_calls, noted), limit=LIMIT_SECONDS)
        if failed is not None:
            raise pytest.UsageError(f"the claims fail before anything is broken: {failed}")
        return frozenset(noted.read_text().splitlines())

    def _tried(self, session: pytest.Session, warm: "Warm", ran: frozenset[str]) -> list[Mutant]:
        chosen, survivors = self._drawn(ran | warm.covered), []
        say(f"{len(chosen)} mutants of {len({mutant.module for mutant in chosen})} modules")
        for number, mutant in enumerate(chosen, 1):
            name, began = name_of(mutant), time.monotonic()
            gone = warm.reached_by(name)
            items = _in_order(session.items, gone)
            failed = first_failure(items, partial(_begin, session.config, warm, mutant, gone), limit=LIMIT_SECONDS)
            if failed is None:
                survivors.append(mutant)
            told = f"{'SURVIVED' if failed is None else 'killed'}\t{mutant.line}\t{mutant.name}\t{failed or ''}"
            say(f"{number}\t{time.monotonic() - began:.0f} s\t{len(gone)} artifacts\t{told}")
        say(f"{len(chosen) - len(survivors)} of {len(chosen)} killed")
        return survivors

    def _drawn(self, used: Collection[str]) -> list[Mutant]:
        """A sample of the mutants of what claims use, the same each time."""
        every = [mutant for module in self.modules for mutant in mutants(module) if _is_formula(mutant, used)]
        if self.sample is None or self.sample >= len(every):
            return every
        return sorted(random.Random(SEED).sample(every, self.sample), key=every.index)


def _is_formula(mutant: Mutant, used: Collection[str]) -> bool:
    """Whether a mutant changes what a used function computes, and not a message or a refusal."""
    last = mutant.within.rpartition(".")[2].lstrip("_")
    return name_of(mutant) in used and not last.startswith(WORDS) and not mutant.before.startswith("raise ")


def name_of(mutant: Mutant) -> str:
    """The name of what a mutant changes, as the code behind keys is listed: functions after a colon."""
    return f"ws.{mutant.module.replace('/', '.')}{'.' if mutant.within.isupper() else ':'}{mutant.within}"


class Warm:
    """A store with all artifacts of the claims, and what each of them is made with."""

    def __init__(self, root: Path, folder: Path) -> None:
        """`folder` is for copies, on the same disk."""
        self.root, self.folder = root, folder
        self.said: dict[str, dict[str, object]] = {}
        for path in root.glob("*/*/manifest.json"):
            said = json.loads(path.read_text())
            self.said[said["key"]] = {"home": path.parent, "source": said["source"], "inputs": said["inputs"].keys()}
        self._names = {source: self._names_in(source) for source in {str(one["source"]) for one in self.said.values()}}
        self.covered = frozenset(name for names in self._names.values() for name in names)

    def _names_in(self, source: str) -> frozenset[str]:
        text = gzip.decompress((self.root / "code" / f"{source}.json.gz").read_bytes())
        return frozenset(name.removeprefix("member ") for name in json.loads(text))

    def reached_by(self, name: str) -> frozenset[str]:
        """The keys of artifacts that a function or constant makes, and of those made of these."""
        own = {key for key, one in self.said.items() if name in self._names[str(one["source"])]}
        return frozenset(key for key, one in self.said.items() if key in own or not own.isdisjoint(one["inputs"]))

    def without(self, gone: Collection[str]) -> Path:
        """A copy of the store without some artifacts, in hard links; the copy made before is removed."""
        copy = self.folder / "store"
        shutil.rmtree(copy, ignore_errors=True)
        for key, one in self.said.items():
            if key not in gone:
                home = Path(str(one["home"]))
                shutil.copytree(home, copy / home.relative_to(self.root), copy_function=os.link)
        copy.mkdir(exist_ok=True)
        return copy


def _begin(config: pytest.Config, warm: Warm, mutant: Mutant, gone: Collection[str]) -> None:
    """In a fork: break the code, and give the claims a store in which what it makes is missing."""
    from fixtures.options import STORE
    from ws.store import Store

    config.stash[STORE] = Store(warm.without(gone))
    mutant.apply()


def _in_order(items: Sequence[pytest.Item], gone: Collection[str]) -> list[pytest.Item]:
    """The items, those first whose numbers are made of what is gone, so that most mutants are killed soon."""
    from fixtures.cases import CASE
    from fixtures.snapshots import snapshot_path

    def is_later(item: pytest.Item) -> bool:
        if CASE not in item.stash:
            return True
        return gone.isdisjoint(json.loads(snapshot_path(item, item.stash[CASE]).read_text())["keys"])

    return sorted(items, key=is_later) if gone else list(items)


def _note_calls(path: Path) -> None:
    """Write the name of every function of the package that is called from now on, once."""
    seen, file, root = set(), path.open("w", buffering=1), str(ROOT / "ws")

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code not in seen:
            seen.add(code)
            if code.co_filename.startswith(root):
                module = Path(code.co_filename).relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
                file.write(f"{module}:{code.co_qualname.replace('.<locals>', '').partition('.<')[0]}\n")

    sys.setprofile(note)
