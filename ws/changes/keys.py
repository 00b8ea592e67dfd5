"""Why an artifact that a case reads has another key than the one that it read before."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ws.changes.cases import Cause
from ws.changes.definitions import Between, Edited
from ws.changes.known import Known, origin_of
from ws.upkeep.accounts import Account, Accounts
from ws.upkeep.differences import Change, differences, flat, inputs_of

SEEDS = frozenset({"seed", "random_seed"})
DATA = frozenset(
    {"questions", "messages", "positive", "negative", "prompts", "answers", "pair", "pairs", "prefill", "text", "pool"}
)
"""The fields in which recipes have what a model is asked and trained on."""

MACHINE = frozenset({"device", "on"})
WEIGHTS = "ModelWeights"
Compared = Callable[[Mapping[str, Any], Mapping[str, Any]], Between | str]
"""What differs between the commits that two records name; or in words, why that cannot be said."""

VALUE = 24
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Rekeyed:
    """Why keys differ: the inputs that are proven to, and what must have, or may have, changed beside them."""

    causes: tuple[Cause, ...]
    by_code: tuple[str, ...] = ()
    """The classes, with their modules, whose code must differ, since nothing else of them does."""
    is_open: bool = False
    """Whether a side does not say by which code or versions it was made, so that these may differ as well."""


def paired(old: Iterable[str], new: Iterable[str], known: Known) -> tuple[list[tuple[str, str]], list[str]]:
    """The keys of one side only, each with the most similar one of its kind on the other; and those without any."""
    before, now = sorted(set(old) - set(new)), sorted(set(new) - set(old))
    accounts = {key: found for key in (*before, *now) if (found := known.accounts(key)) is not None}
    pairs, taken = [], set[str]()
    for is_twin in (True, False):
        for key in (one for one in before if one in accounts and one not in taken):
            rest = [one for one in now if one in accounts and one not in taken]
            twin = _twin(accounts[key], {one: accounts[one] for one in rest}, known, exact=is_twin)
            if twin is not None:
                taken |= {key, twin}
                pairs.append((key, twin))
    return pairs, [key for key in (*before, *now) if key not in taken]


def _twin(one: Accounts, others: Mapping[str, Accounts], known: Known, *, exact: bool) -> str | None:
    alike = {key: it for key, it in others.items() if it.top.kind == one.top.kind}
    if exact:
        wanted = known.digest(one)
        return next((key for key, it in alike.items() if known.digest(it) == wanted), None)
    own = _values(one)
    return max(alike, key=lambda key: (len(own & _values(alike[key])), key), default=None)


def _values(one: Accounts) -> set[tuple[str, str]]:
    return {leaf for account in (one.top, *one.inputs.values()) for leaf in flat(account.recipe)}


def rekeyed(old: Accounts, new: Accounts, known: Known) -> Rekeyed:
    """Why two keys differ, as far as both sides say."""
    causes: list[Cause] = []
    by_code: list[str] = []
    is_open = False
    for before, now, inner in _pairs(old, new):
        found = _own(known.with_code(before), known.with_code(now))
        causes += found
        is_open |= before.source is None or now.source is None
        if not found and not inner:
            name = before.recipe["class"]
            is_told = before.versions is not None and now.versions is not None
            by_code += [name] * is_told
            causes += [Cause("code or versions", f"of {_short(name)}")] * (not is_told)
    return Rekeyed(tuple(dict.fromkeys(causes)), tuple(dict.fromkeys(by_code)), is_open)


def _own(old: Account, new: Account) -> list[Cause]:
    """Why the keys of two artifacts differ, apart from their inputs."""
    return [cause for step in differences(Accounts(old, {}), Accounts(new, {})) for cause in _causes(old, step.changes)]


def _pairs(old: Accounts, new: Accounts) -> Iterator[tuple[Account, Account, bool]]:
    """Every artifact and input with another key beside its counterpart, and whether an input of it has another too."""
    waiting, seen = [(old.top, new.top)], set[tuple[str, str]]()
    for before, now in waiting:
        if before.key == now.key or (before.key, now.key) in seen:
            continue
        seen.add((before.key, now.key))
        then, today = inputs_of(before.recipe), inputs_of(now.recipe)
        inner = any(then[place] != today.get(place) for place in then) or bool(today.keys() - then.keys())
        yield before, now, inner
        waiting += [
            (old.inputs[then[place]], new.inputs[today[place]])
            for place in then
            if place in today and then[place] in old.inputs and today[place] in new.inputs
        ]


def _causes(account: Account, changes: Sequence[Change]) -> Iterator[Cause]:
    """The inputs behind the changes of one artifact; changes of many items of one field are one."""
    fields: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        match change.what:
            case "version":
                yield Cause("versions", f"{change.name} {change.old} -> {change.new}")
            case "class":
                yield Cause("settings", f"{change.old} -> {change.new}")
            case "field":
                place = re.sub(r"\[\d+\]", "", change.name)
                fields.setdefault((_input(account, place), place), []).append(change)
    if code := [change for change in changes if change.what == "code"]:
        yield Cause("code", _definitions(code))
    for (what, place), found in fields.items():
        name = f"{account.kind}.{place}"
        one = f"{_cut(found[0].old)} -> {_cut(found[0].new)}"
        yield Cause(what, f"{name} {one}" if len(found) == 1 else f"{name}: {len(found)} values")


def _input(account: Account, place: str) -> str:
    names = place.split(".")
    if names[-1] in SEEDS:
        return "seeds"
    if account.kind == WEIGHTS:
        return "model"
    if MACHINE & set(names):
        return "machine"
    return "data" if DATA & set(names) else "settings"


def _definitions(code: Sequence[Change]) -> str:
    """The definitions whose code is known to differ; those that hold only a changed constant come last."""
    places: dict[str, list[str]] = {}
    for change in sorted(code, key=lambda one: len(f"{one.old}{one.new}")):
        module, _, name = change.name.rpartition(":") if ":" in change.name else change.name.rpartition(".")
        places.setdefault(module, []).append(name)
    return "; ".join(f"{module}: {', '.join(names)}" for module, names in places.items())


def code_of(pair: tuple[str, str], by_code: Sequence[str], known: Known, compared: Compared) -> Cause:
    """The code that must have made two keys differ: the definitions that changed between the commits that made both."""
    kinds = ", ".join(_short(name) for name in by_code)
    between = compared(*(origin_of(known, key) for key in pair))
    if isinstance(between, str):
        return Cause("code", f"of {kinds}; which is not known: {between}")
    starts = [f"{name.rpartition('.')[0].replace('.', '/')}.py" for name in by_code]
    if not set(starts) & between.after.keys():
        return Cause("code", f"of {kinds}, which commit {between.new.short} has elsewhere")
    found = between.within(*starts)
    return Cause("code", told_of(found) if found else f"of {kinds}; nothing that it imports differs by its text")


def told_of(edited: Sequence[Edited]) -> str:
    """Definitions by their files, in one line."""
    return "; ".join(map(str, edited))


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _cut(value: str | None) -> str:
    text = "nothing" if value is None else value
    return text if len(text) <= VALUE else f"{text[: VALUE - 3]}..."
