"""Mutants of the formulas behind claims, judged by the claims themselves on the tiny model.

A mutant is drawn from functions and constants that the claims use: that run while they are judged, or that a key of
their artifacts covers. The artifacts whose keys cover what it changes, and those made of them, count as missing: the
changed code makes them anew, and numbers are compared as ever. Cases that call it or read what it makes are tried first
with all mutants, those first whose artifacts are made soonest; a mutant survives if all other cases pass too.
"""

import random
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from forks import first_failure, say, seconds_of_forks
from kept import Kept
from mutation import ROOT, Mutant, freeze, mutants
from traces import Trace, Tracer, traces

if TYPE_CHECKING:
    from warm import Warm

ROOMS = ("lenses", "scoring", "stats", "study", "contest")
APART = ("own_", "search")
"""How modules begin that no claim is made with."""
WORDS = ("describe", "post_init", "repr", "why_not", "check", "refuse", "announce")
"""How functions begin that make words or refuse arguments, after underscores."""
SEED = 0
LIMIT_SECONDS = 600.0
ROUNDS = "first", "near", "far"
"""Some cases that call what a mutant changes or read what it makes; the others; those that do not by themselves."""
FEW, SOON = 40, 10.0
"""How many cases are in the first round, one or more, and how many seconds their artifacts may take to build."""


def judged_by_smoke(modules: Sequence[str], sample: int | None, kept: Path | None) -> int:
    """Draw mutants, run the claims on each, and print which survive; the exit status."""
    judge = SmokeBreaker(modules or [*_modules()], sample, kept)
    options = ["--smoke", "--rejudge", "claims", "-q", "-p", "no:cacheprovider", "--tb=no"]
    return int(pytest.main(options, plugins=[judge]))


def _modules() -> Iterator[str]:
    for room in ROOMS:
        for path in sorted((ROOT / "ws" / room).glob("*.py")):
            if not path.stem.startswith(APART) and path.stem != "__init__":
                yield f"{room}/{path.stem}"


class SmokeBreaker:
    """A plugin that runs the claims for each mutant, each time in a fork and on a store of its own."""

    def __init__(self, modules: Sequence[str], sample: int | None, kept: Path | None) -> None:
        self.modules, self.sample, self.kept = modules, sample, kept

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        from fixtures.settings import SETTINGS

        root = Path(session.config.stash[SETTINGS].store)
        with tempfile.TemporaryDirectory(dir=root) as folder:
            kept = Kept(self.kept or Path(folder))
            traced = self._sound(session, kept.traces)
            # Only now, with the tests collected, are shapes checked in what this loads.
            from warm import Warm

            warm = Warm(root, frozenset().union(*(trace.keys for trace in traced.values())))
            session.testsfailed = self._tried(session, warm, traced, kept, Path(folder) / "store")
        return True

    def _sound(self, session: pytest.Session, path: Path) -> dict[str, Trace]:
        """What each test calls and reads; they must pass."""
        if not path.exists():
            half, manager = path.with_suffix(".half"), session.config.pluginmanager
            failed = first_failure(session.items, lambda: manager.register(Tracer(half)), limit=LIMIT_SECONDS)
            if failed is not None:
                raise pytest.UsageError(f"the claims fail before anything is broken: {failed}")
            half.rename(path)
        return traces(path)

    def _tried(
        self, session: pytest.Session, warm: "Warm", traced: Mapping[str, Trace], kept: Kept, folder: Path
    ) -> int:
        """How many mutants survive."""
        chosen, order = self._drawn(warm.covered.union(*(it.ran for it in traced.values()))), Order(warm, traced)
        say(f"{len(chosen)} mutants of {len({mutant.module for mutant in chosen})} modules")
        freeze()
        for turn in ROUNDS:
            for number, mutant in enumerate(chosen, 1):
                if kept.killed(mutant) or (mutant.name, turn) in kept.found:
                    continue
                gone = warm.reached_by(name_of(mutant))
                items = order.rounds(session.items, name_of(mutant), gone)[turn]
                before = seconds_of_forks()
                begin = partial(_begin, session.config, mutant, folder, warm, gone)
                failed = first_failure(items, begin, limit=LIMIT_SECONDS) if items else None
                kept.add(mutant, turn, failed)
                told = f"lives, {turn}" if failed is None else "killed"
                took = f"{seconds_of_forks() - before:.1f} s\t{len(items)} cases\t{len(gone)} artifacts"
                say(f"{number}\t{took}\t{told}\t{mutant.line}\t{mutant.name}\t{failed or ''}")
        survivors = [mutant for mutant in chosen if not kept.killed(mutant)]
        for mutant in survivors:
            say(f"SURVIVED\t{mutant.line}\t{mutant.name}")
        say(f"{len(chosen) - len(survivors)} of {len(chosen)} killed")
        return len(survivors)

    def _drawn(self, used: Collection[str]) -> list[Mutant]:
        """A sample of the mutants of what claims use, the same each time; a smaller one begins a larger one."""
        every = [mutant for module in self.modules for mutant in mutants(module) if _is_formula(mutant, used)]
        return random.Random(SEED).sample(every, len(every))[: self.sample]


class Order:
    """Which tests are tried first with a mutant."""

    def __init__(self, warm: "Warm", traced: Mapping[str, Trace]) -> None:
        self._warm, self._traced = warm, traced
        self._made_of = {test: warm.made_of(trace.keys) for test, trace in traced.items()}

    def rounds(self, items: Sequence[pytest.Item], name: str, gone: Collection[str]) -> dict[str, list[pytest.Item]]:
        """All tests, in rounds; within one, those first whose artifacts are built soonest, and one of each kind."""
        missing = {item: self._made_of[item.nodeid] & gone for item in items}
        near = [item for item in items if missing[item] or name in self._traced[item.nodeid].ran]
        before: Counter[str] = Counter()
        place = {}
        for item in near:
            kind, seconds = item.nodeid.partition("[")[0], self._warm.seconds(missing[item])
            place[item] = seconds // 2, before[kind], seconds
            before[kind] += 1
        near.sort(key=place.__getitem__)
        first = 1
        while first < min(FEW, len(near)) and self._seconds(near[: first + 1], gone) < SOON:
            first += 1
        return {"first": near[:first], "near": near[first:], "far": [item for item in items if item not in place]}

    def _seconds(self, items: Sequence[pytest.Item], gone: Collection[str]) -> float:
        """How long what these tests miss took to build."""
        return self._warm.seconds(frozenset().union(*(self._made_of[item.nodeid] for item in items)) & gone)


def _is_formula(mutant: Mutant, used: Collection[str]) -> bool:
    """Whether a mutant changes what a used function computes, and not a message, a refusal or the name of a file."""
    last = mutant.within.rpartition(".")[2].lstrip("_")
    tells = last.startswith(WORDS) or mutant.before.startswith("raise ") or " / '" in mutant.before
    return name_of(mutant) in used and not tells


def name_of(mutant: Mutant) -> str:
    """The name of what a mutant changes, as the code behind keys is listed: functions after a colon."""
    return f"ws.{mutant.module.replace('/', '.')}{'.' if mutant.within.isupper() else ':'}{mutant.within}"


def _begin(config: pytest.Config, mutant: Mutant, folder: Path, warm: "Warm", gone: Collection[str]) -> None:
    """In a fork: break the code, and give the claims a store in which what it makes is missing."""
    from warm import Faulty

    from fixtures.settings import STORE

    config.stash[STORE] = Faulty(folder, warm, gone)
    mutant.apply()
