"""`ws diff A B --bisect CASE`: the plan and its cost, the runs, and which input moved the number."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ws.changes.asking import seeds_of
from ws.changes.bisect.inputs import Inputs, inputs
from ws.changes.bisect.runs import Result, Runs
from ws.changes.cases import Case, Moved
from ws.changes.known import Known
from ws.changes.lookup import meant
from ws.changes.sides import Place, Side
from ws.changes.text import wrapped
from ws.changes.why import behind
from ws.errors import CommandError
from ws.report.numbers import number, told_apart
from ws.store import Store
from ws.store.progress import clock, say

FOLDER = "bisect"
"""The folder of a store with what bisections have built and found."""


def bisected(
    old: Side, new: Side, asked: str, place: Place, *, store: Path, python: str | None = None, dry_run: bool = False
) -> Iterator[str]:
    """The plan, and then what was found.

    Raises: CommandError unless both sides are commits of one repository, and the id names a case on one model.
    """
    if old.commit is None or new.commit is None:
        raise CommandError("--bisect rebuilds a case by the code of two commits; name two commits, such as HEAD~3 HEAD")
    cases = meant(asked, {**old.cases, **new.cases}.values())
    if len(cases) > 1:
        models = ", ".join(case.id[0] for case in cases)
        raise CommandError(f"{asked} is recorded on {models}; name the model too: TEST[MODEL-CASE]")
    [case] = cases
    tests = place.inside or "."
    found = inputs(old.commit, new.commit, case, tests, python=sys.executable, other_python=python)
    digest = hashlib.sha256(json.dumps([old.commit.id, new.commit.id, case.id]).encode()).hexdigest()[:16]
    runs = Runs(store / FOLDER / digest, old.commit.repository, case, tests, _seeds(case, old, new))
    known = Known((*old.evidence.values(), *new.evidence.values()), (store,) if store.is_dir() else ())
    yield _plan(found, runs, known)
    if dry_run:
        return
    first, last = (_run(runs, tree_number, found) for tree_number in (0, 1))
    if _is_same(first, last):
        yield _told([first, last], case, "both commits come to the same here: what was recorded differs by the machine")
        return
    others = [_run(runs, tree_number, found) for tree_number in range(2, len(found.all))]
    yield _told([first, *others, last], case, _conclusion(first, others, last))
    yield "\n".join(_recorded(old, new, case, first, last))


def rebuilt(
    old: str, new: str | None, case: str, tests: Path, store: Store, *, python: Path | None, dry_run: bool
) -> Iterator[str]:
    """A case by the code of two commits, and by that of the old one with one input of the new one."""
    place = Place(tests, store.root)
    sides = place.side(old), place.side("HEAD" if new is None else new)
    other = None if python is None else str(python.expanduser().absolute())
    if other is not None and not os.access(other, os.X_OK):
        raise CommandError(f"--python {python} cannot be run; name the Python of an environment: .venv/bin/python")
    return bisected(*sides, case, place, store=store.root, python=other, dry_run=dry_run)


def _seeds(case: Case, *sides: Side) -> int | None:
    """The seeds that both sides were recorded with, if not those by default, which may be what differs."""
    named = {seeds_of(case, side.cases.values()) for side in sides}
    return named.pop() if len(named) == 1 else None


def _plan(found: Inputs, runs: Runs, known: Known) -> str:
    kinds, seconds = behind(runs.case, known)
    done = sum(runs.known(tree) is not None for tree in found.all)
    lines = wrapped(f"{runs.case.name} on {runs.case.id[0]}: {len(found.all)} runs, {done} of them done already")
    lines += [line for tree in found.all[:2] for line in wrapped(tree.name, "  ")]
    lines += [line for tree in found.changed for line in wrapped(f"{found.old.name}, but {tree.name}", "  ")]
    if seconds:
        made = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        most = clock(seconds * (len(found.all) - done))
        lines += wrapped(
            f"to build the case once took {clock(seconds)} ({made}), so at most {most}; a run builds again only what "
            "its change gives other keys"
        )
    else:
        lines += wrapped("how long its artifacts take is not recorded; a run builds only what has other keys")
    lines += wrapped(f"kept in {runs.folder}: the same command goes on there after a stop; `ws store gc` removes it")
    return "\n".join([*lines, ""])


def _run(runs: Runs, number_of: int, found: Inputs) -> Result:
    tree = found.all[number_of]
    say(f"run {number_of + 1} of {len(found.all)}: {tree.name}")
    return runs.run(tree)


def _is_same(one: Result, other: Result) -> bool:
    """Whether two runs came to the same verdict and number, and interval."""
    if one.record is None or other.record is None:
        return one.record is other.record
    names = ("outcome", "value", "low", "high", "p_holds", "p_refuted")
    return all(one.record.get(name) == other.record.get(name) for name in names)


def _conclusion(first: Result, others: Sequence[Result], last: Result) -> str:
    if first.record is None or last.record is None:
        return "one of the commits comes to no verdict here, so nothing can be said of what lies between them"
    failed = [one for one in others if one.record is None]
    moving = [one for one in others if one.record is not None and not _is_same(first, one)]
    beside = f"; {len(failed)} cannot be changed alone" if failed else ""
    if not moving:
        return f"no input moves it alone, but all of them together do{beside}"
    whole = [one.name for one in moving if _is_same(one, last)]
    if whole:
        return f"moved by {' and by '.join(whole)}, alone as far as by all together{beside}"
    return f"moved by {', and by '.join(one.name for one in moving)}; together as far as the last line{beside}"


def _told(results: Sequence[Result], case: Case, conclusion: str) -> str:
    lines = [""]
    first = results[0].value
    tolerance = case.number("tolerance") or 0.0
    for one in results:
        lines += wrapped(one.name)
        if one.record is None:
            lines += wrapped(f"no verdict: {one.error}", "    ")
            continue
        lines += wrapped(f"{one.outcome}; {_number(first, one.value, tolerance)}", "    ")
    return "\n".join([*lines, "", *wrapped(conclusion), ""])


def _number(first: float | None, value: float | None, tolerance: float) -> str:
    if first is None or value is None or first == value:
        return number(value)
    steps = f", {abs(value - first) / tolerance:.2g} times its tolerance from the first" if tolerance > 0 else ""
    return f"{told_apart(first, value)[1]}{steps}"


def _recorded(old: Side, new: Side, case: Case, first: Result, last: Result) -> Iterator[str]:
    """How what was built here compares with what both commits recorded."""
    for side, one in ((old, first), (new, last)):
        recorded = side.cases.get(case.id)
        if recorded is None or one.record is None:
            continue
        built = Case(case.id, json.dumps(dict(one.record)).encode(), "this run")
        moved = Moved(recorded, built)
        within = "agrees with" if (moved.step or 0.0) <= 1 and recorded.outcome == built.outcome else "differs from"
        said = number(recorded.number("value"))
        yield from wrapped(f"what {side.asked} comes to here {within} what it recorded: {recorded.outcome} {said}")
    yield ""
