"""What makes two keys differ: the recipe, its inputs, versions of libraries or the code, down to the first cause."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ws.upkeep.accounts import Account, Accounts

Flat = dict[str, str]
"""Values by their place in a recipe, such as `shape.rank` or `questions[3].text`."""


@dataclass(frozen=True)
class Change:
    """One thing that differs between the two sides; None for a side that does not have it."""

    what: str
    """`class`, `field`, `version` or `code`."""
    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Step:
    """An artifact, or one of its inputs, whose own recipe, versions or code differ."""

    path: tuple[str, ...]
    """The fields that lead to this input from the artifact that was asked about; empty for the artifact itself."""
    old: Account
    new: Account
    changes: tuple[Change, ...]
    unknown: tuple[str, ...] = ()
    """Things that cannot be compared, since a side did not record them."""


def differences(old: Accounts, new: Accounts) -> list[Step]:
    """Every step, from an artifact down to its inputs, at which something differs; nearest first, each pair once."""
    steps, seen, told = [], set(), set[Change]()
    waiting: list[tuple[tuple[str, ...], Account, Account]] = [((), old.top, new.top)]
    for path, before, after in waiting:
        if before.key == after.key or (before.key, after.key) in seen:
            continue
        seen.add((before.key, after.key))
        changes = tuple(change for change in _changes(before, after) if change not in told)
        told |= {change for change in changes if change.what in ("code", "version")}
        unknown = tuple(_unknown(before, after))
        if changes or unknown:
            steps.append(Step(path, before, after, changes, unknown))
        kept, now = inputs_of(before.recipe), inputs_of(after.recipe)
        waiting += [
            ((*path, name), old.inputs[kept[name]], new.inputs[now[name]])
            for name in kept
            if name in now and kept[name] in old.inputs and now[name] in new.inputs
        ]
    return steps


def flat(said: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every value of a recipe in its JSON form, except inputs, with its place."""
    match said:
        case {"input": _}:
            return
        case {"class": _, "items": items}:
            yield from flat(items, name)
        case {"class": _, "fields": fields}:
            for field, value in fields.items():
                yield from flat(value, f"{name}.{field}" if name else field)
        case dict():
            for field, value in said.items():
                if field != "class":
                    yield from flat(value, f"{name}.{field}" if name else field)
        case list() if said:
            for place, value in enumerate(said):
                yield from flat(value, f"{name}[{place}]")
        case list():
            yield name, "()"
        case _:
            yield name, repr(said)


def inputs_of(said: Any, name: str = "") -> Flat:
    """The key of each input of a recipe in its JSON form, by its place."""
    match said:
        case {"input": key}:
            return {name: key}
        case {"fields": fields}:
            parts = {f"{name}.{field}" if name else field: value for field, value in fields.items()}
        case {"items": items} | list(items):
            parts = {f"{name}[{place}]": value for place, value in enumerate(items)}
        case _:
            return {}
    return {where: key for part, value in parts.items() for where, key in inputs_of(value, part).items()}


def _changes(old: Account, new: Account) -> Iterator[Change]:
    if old.kind != new.kind:
        yield Change("class", "class", old.kind, new.kind)
    yield from _apart("field", dict(flat(old.recipe)), dict(flat(new.recipe)))
    if old.versions is not None and new.versions is not None:
        yield from _apart("version", old.versions, new.versions)
    if old.source != new.source and old.texts is not None and new.texts is not None:
        yield from _apart("code", old.texts, new.texts)


def _unknown(old: Account, new: Account) -> Iterator[str]:
    for side, account in (("old", old), ("new", new)):
        if account.source is None:
            yield f"{side}: its code was not recorded"
        elif account.texts is None and old.source != new.source:
            yield f"{side}: the store no longer has the text of its code, sha256 {account.source[:12]}"


def _apart(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Change(what, name, old.get(name), new.get(name))
