"""What a recorded case says, what it was read from, and what has changed since: `ws why`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from ws.changes.cases import Case, Cause
from ws.changes.keys import code_of, rekeyed, told_of
from ws.changes.known import Known
from ws.changes.recordings import Recordings, uncommitted
from ws.changes.text import through, wrapped
from ws.report.numbers import number
from ws.report.register import Entry
from ws.store import Store
from ws.store.progress import clock
from ws.upkeep.accounts import Accounts, accounts_now
from ws.upkeep.recall import RecipeGone, recalled

SHOWN = 12
"""So many artifacts are told one by one."""


@dataclass(frozen=True)
class Read:
    """One artifact that a case was read from, and its key today."""

    key: str
    phrase: str
    state: str
    """In words, how its key of today compares."""
    causes: tuple[Cause, ...] = ()
    """Through what its key is another today."""


@dataclass(frozen=True)
class Today:
    """The code of today, with which a recording is compared."""

    store: Store
    known: Known
    recordings: Recordings
    recorded: Mapping[str, Any]
    """The commit that is checked out, as a recording names it."""
    edited: tuple[str, ...] = ()
    """Files that differ from it."""

    def read(self, key: str) -> Read:
        """An artifact by the key that a case names."""
        accounts = self.known.accounts(key)
        if accounts is None:
            return Read(key, "", "not known: neither the evidence nor the store has its recipe")
        try:
            recipe = recalled(_said(accounts))
        except RecipeGone as gone:
            return Read(key, accounts.top.kind, f"no recipe of today makes it: {gone}")
        today = self.store.key(recipe)
        if today == key:
            return Read(key, recipe.describe(), "the same key today")
        found = rekeyed(accounts, accounts_now(self.store, recipe), self.known)
        by_code = [code_of((key, today), found.by_code, self.known, self._compared)] if found.by_code else []
        return Read(key, recipe.describe(), f"today {today[:12]}", (*found.causes, *by_code))

    def _compared(self, old: Mapping[str, Any], _: Mapping[str, Any]) -> Any:
        return self.recordings.of_library(old, self.recorded)


def why(case: Case, today: Today, entry: Entry | None, asked_again: str | None) -> str:
    """All that there is to say of a recorded case; `asked_again` is the command that asks it again."""
    reads = [today.read(key) for key in case.keys]
    lines = [
        *_case(case, entry, asked_again),
        "",
        *_artifacts(case, reads, today.known),
        "",
        *_since(case, reads, today),
    ]
    return "\n".join([*lines, ""])


def _case(case: Case, entry: Entry | None, asked_again: str | None) -> Iterator[str]:
    said = case.said
    on = ", ".join(filter(None, [case.id[0], case.behavior]))
    yield from wrapped(f"{case.claim} {case.outcome} {case.name} on {on} ({said.get('device', '?')})")
    if entry is not None:
        yield from wrapped(entry.sentence, "  ")
    low, high = number(case.number("low")), number(case.number("high"))
    tolerance = case.number("tolerance")
    may = "" if tolerance is None else f"; tolerance {tolerance:.2g} ({said.get('tolerance_from', '?')})"
    yield from wrapped(f"{number(case.number('value'))} [{low}, {high}] {said.get('relation', '')}{may}", "  ")
    yield from wrapped(f"{said.get('n_seeds', '?')} seeds, {said.get('n_rows', '?')} rows", "  ")
    yield from (line for gate in said.get("gates", ()) for line in wrapped(gate, "  "))
    if said.get("published"):
        yield from wrapped(f"published: {said['published']}", "  ")
    recorded = case.recorded
    machine = recorded.get("machine")
    where = " ".join(map(str, machine.values())) if isinstance(machine, dict) else "a machine that was not recorded"
    releases = ", ".join(f"{name} {one}" for name, one in recorded.get("releases", said.get("versions", {})).items())
    changed = " with uncommitted changes" if uncommitted(recorded) else ""
    commit = str(recorded.get("commit") or "unknown")[:7]
    yield from wrapped(f"recorded {recorded.get('date', 'at an unknown date')} by commit {commit}{changed}", "  ")
    yield from wrapped(f"on {where}; {releases}", "  ")
    if asked_again is not None:
        # In one line, however long, so that it can be copied.
        yield f"  {asked_again}"


def _artifacts(case: Case, reads: Sequence[Read], known: Known) -> Iterator[str]:
    if not reads:
        yield "it does not name what it was read from"
        return
    yield f"read from {len(reads)} artifacts; `ws store why KEY` says more of one"
    for one in reads[:SHOWN]:
        yield from wrapped(
            f"{one.key[:12]} {one.phrase}: {one.state}" if one.phrase else f"{one.key[:12]} {one.state}", "  "
        )
    if len(reads) > SHOWN:
        yield f"  ... and {len(reads) - SHOWN} more"
    below, seconds = behind(case, known)
    if below:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(below.items()))
        yield from wrapped(f"made of {kinds}; all of it took {clock(seconds)} to build", "  ")


def behind(case: Case, known: Known) -> tuple[Counter[str], float]:
    """How many inputs of each kind lie behind what a case reads, and the seconds that all took, as far as is known."""
    accounts = [found for key in case.keys if (found := known.accounts(key)) is not None]
    inputs = {key: one.kind for found in accounts for key, one in found.inputs.items()}
    seconds = fsum(known.seconds(key) or 0.0 for key in {*inputs, *(found.top.key for found in accounts)})
    return Counter(kind for key, kind in inputs.items() if key not in case.keys), seconds


def _since(case: Case, reads: Sequence[Read], today: Today) -> Iterator[str]:
    yield "since it was recorded"
    causes = [cause for one in reads for cause in one.causes]
    if test := today.recordings.test_of(case.test, case.recorded, today.recorded):
        causes.append(Cause("claim", test))
    judging = today.recordings.judging(case.recorded, today.recorded)
    if isinstance(judging, str):
        causes.append(Cause("unknown", f"which code judged it: {judging}"))
    elif judging:
        causes.append(Cause("judgement", told_of(judging)))
    for title, detail in through(causes):
        yield from wrapped(f"{title}: {detail}", "  ")
    unsaid = [one for one in reads if one.state.startswith(("not known", "no recipe"))]
    if not causes:
        same = len(reads) - len(unsaid)
        yield from wrapped(f"nothing: {same} of {len(reads)} keys are the same today, and no code that judges it", "  ")
    if today.edited:
        yield from wrapped(f"the commit has changes that are not compared here: {', '.join(today.edited[:3])}", "  ")


def _said(accounts: Accounts) -> Mapping[str, Any]:
    """Accounts in the form of a manifest, from which a recipe is made again."""
    inputs = {key: one.recipe for key, one in accounts.inputs.items()}
    return {"class": accounts.top.recipe["class"], "recipe": accounts.top.recipe, "inputs": inputs}
