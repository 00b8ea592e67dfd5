"""Judging tests on sound evidence, and again with one arm of their evidence spoilt in one way.

A test is a case of a claim, or checks an identity: that parts of dW make up the whole. A case is judged by its record;
a test of an identity has none, and passes or fails.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ws.errors import DataError
from ws.falsify.arms import Arm
from ws.falsify.overlay import Overlay
from ws.falsify.plan import rounds
from ws.falsify.shelf import Shelf
from ws.falsify.turning import How, Trial, turned
from ws.lenses.identity import Identity
from ws.report.verdicts import Record
from ws.store import Recipe, Store, progress


class Test(NamedTuple):
    """What identifies a test in a table."""

    model: str
    claim: str
    """IDENTITY for a test of one."""
    name: str
    case: str


class Said(NamedTuple):
    """What came of a test."""

    record: Record | None
    """None if it comes to no verdict."""
    error: str
    """Why it failed; empty if it passed."""


Judge = Callable[[Sequence[str], Overlay], Iterator[tuple[str, Said]]]
"""Runs tests, which are known by their names, on the evidence of a store."""


@dataclass(frozen=True, eq=False)
class Sound:
    """What tests say on sound evidence, and the arms that each of them reads."""

    shelf: Shelf
    tests: Mapping[str, Test]
    said: Mapping[str, Said]
    reads: Mapping[str, tuple[Arm, ...]]


def sound(cases: Mapping[str, Test], identities: Mapping[str, Test], judge: Judge, store: Store) -> Sound:
    """The tests on sound evidence. Raises: DataError if a case comes to no verdict, or an identity fails."""
    keys, recipes, said = dict[str, list[str]](), dict[str, Recipe](), dict[str, Said]()
    overlay = Overlay(store)
    for name, found in progress.track(judge(list(cases), overlay), "judge sound evidence", total=len(cases)):
        if found.record is None:
            raise DataError(f"{name} has no verdict on sound evidence, so it cannot be tried on another: {found.error}")
        said[name], keys[name] = found, found.record.keys
    recipes |= {key: overlay.asked[key] for read in keys.values() for key in read}
    for name in progress.track(identities, "check identities"):
        # Each in a store of its own: what one has read before, another does not ask for again.
        overlay = Overlay(store)
        [(_, said[name])] = judge([name], overlay)
        if said[name].error:
            raise DataError(f"{name} fails on sound evidence, so it cannot be tried on another: {said[name].error}")
        keys[name] = [key for key, recipe in overlay.asked.items() if isinstance(recipe, Identity)]
        recipes |= {key: overlay.asked[key] for key in keys[name]}
    shelf = Shelf(store, recipes)
    reads = {name: tuple(dict.fromkeys(shelf.arm_of[key] for key in read)) for name, read in keys.items()}
    return Sound(shelf, {**cases, **identities}, said, reads)


def trials(before: Sound, judge: Judge, corruption: str) -> list[Trial]:
    """Every test once for each of its arms, with that arm spoilt, unless the corruption means nothing to the arm."""
    groups = rounds(before.reads)
    found: list[Trial] = []
    for number, arms in enumerate(groups, 1):
        with tempfile.TemporaryDirectory() as folder:
            spoilt = {arm: before.shelf.spoil(arm, corruption, Path(folder)) for arm in arms}
            hit = {name: arm for name, read in before.reads.items() for arm in read if spoilt.get(arm)}
            overlay = Overlay(before.shelf.store, {key: at for homes in spoilt.values() for key, at in homes.items()})
            label = f"{corruption}, {number} of {len(groups)}"
            for name, said in progress.track(judge(list(hit), overlay), label, total=len(hit)):
                how, why = _how(before.said[name], said, overlay)
                arm = hit[name]
                found.append(Trial(*before.tests[name], corruption, arm.name, arm.is_base, str(how), why))
    return found


def _how(before: Said, after: Said, overlay: Overlay) -> tuple[How, str]:
    if overlay.unbuilt:
        return How.UNBUILT, overlay.unbuilt.pop()
    if before.record is None:
        return (How.RED, after.error) if after.error else (How.BLIND, "")
    if after.record is None:
        return How.ERROR, after.error
    return turned(before.record, after.record)
