"""What `ws store why` prints: what keys are made of, and what makes them differ."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from ws.report.store_text import SHOWN, WIDTH, bytes_text, cut, gap_text, more, wrapped
from ws.store.manifests import Manifest
from ws.upkeep.accounts import Account, Accounts
from ws.upkeep.differences import Change, Step, flat, inputs_of
from ws.upkeep.lookup import Snapshot
from ws.upkeep.recall import RecipeGone, recalled

DIFFS = 3
"""Number of changed definitions whose changes are printed."""

CONTEXT = 20
"""Characters printed before and after a change."""


def made_of(manifest: Manifest, kept: Accounts, now: Accounts | None, gone: str) -> str:
    """What the key of an artifact is made of, and whether today's code computes the same key."""
    lines = [f"{manifest.kind} {manifest.key}", *wrapped(_phrase(manifest), "  "), *_origin(manifest)]
    lines += ["", *_today(manifest, now, gone), "", "fields", *_fields(kept.top)]
    lines += ["", "inputs", *_inputs(kept), "", "libraries", f"  {_named(kept.top.versions or {}) or 'not recorded'}"]
    return "\n".join([*lines, "", "code", *_code(kept.top), ""])


def compared(steps: Sequence[Step], *, old: str, new: str) -> str:
    """What makes two keys differ, nearest first, with the code that changed."""
    if not steps:
        return f"the same key: nothing differs between {old} and {new}\n"
    lines, diffs = wrapped(f"- {old}", "") + wrapped(f"+ {new}", ""), DIFFS
    for step in steps:
        path = "".join(f" > {name}" for name in step.path)
        lines += ["", *wrapped(f"{step.old.kind}{path}: {step.old.key[:12]} -> {step.new.key[:12]}", "")]
        for what, words in (("class", "class"), ("field", "fields"), ("version", "libraries")):
            found = [change for change in step.changes if change.what == what]
            lines += [f"  {words}"] * bool(found) + [line for change in found[:SHOWN] for line in _sides(change)]
            lines += more(found, "    ")
        # Constants before the functions that hold them.
        code = sorted((one for one in step.changes if one.what == "code"), key=lambda one: len(f"{one.old}{one.new}"))
        lines += [f"  code: {len(code)} definitions differ"] * bool(code)
        lines += [line for change in code[:SHOWN] for line in wrapped(f"{_sign(change)} {change.name}", "    ")]
        lines += more(code, "    ")
        changed = [change for change in code if change.old is not None and change.new is not None][:diffs]
        diffs -= len(changed)
        lines += [line for change in changed for line in _diff(change)]
        lines += [line for unknown in step.unknown for line in wrapped(unknown, "  ")]
    return "\n".join([*lines, ""])


def snapshot_text(snapshot: Snapshot, keys: Iterable[tuple[str, str]]) -> str:
    """A recorded verdict, its origin, and the state of each of its keys."""
    said, recorded = snapshot.said, snapshot.said.get("recorded", {})
    lines = [f"{said['test']}[{said['case']}]" if said["case"] else said["test"], f"  {snapshot.path}"]
    lines += wrapped(f"{said['claim']} {said['outcome']} on {said['model']} ({said['device']})", "  ")
    by = f"recorded {recorded.get('date', 'at an unknown date')} by commit {_commit(recorded)}"
    lines += wrapped(f"{by}{'; keys ' + recorded['keys'] if 'keys' in recorded else ''}", "  ")
    listed = list(keys)
    lines += ["", f"{len(listed)} keys"] + [
        line for key, what in listed for line in wrapped(f"{key[:12]}  {what}", "  ")
    ]
    return "\n".join([*lines, ""])


def _phrase(manifest: Manifest) -> str:
    try:
        return recalled(manifest.said).describe()
    except RecipeGone:
        return "a recipe that this code does not know"


def _origin(manifest: Manifest) -> list[str]:
    said, origin = manifest.said, manifest.said.get("origin")
    built = f"built {manifest.created} in {manifest.seconds:.1f} s, {bytes_text(manifest.bytes)}"
    if origin is None:
        lines = wrapped(f"{built}; {said.get('platform', 'machine not recorded')}; commit not recorded", "  ")
    else:
        machine = [f"{value}{' cores' if name == 'cores' else ''}" for name, value in origin["machine"].items()]
        lines = wrapped(f"{built}, by commit {_commit(origin)}", "  ") + wrapped(f"on {', '.join(machine)}", "  ")
        lines += wrapped(f"with {_named(origin['releases'])}", "  ")
    lines += [line for name, note in said.get("notes", {}).items() for line in wrapped(f"{name}: {note}", "  ")]
    return lines + [line for entry in manifest.carried for line in _carried(entry)]


def _carried(entry: Mapping[str, Any]) -> list[str]:
    earlier = f", and of other strata by {', '.join(entry['earlier'])}" if entry.get("earlier") else ""
    return wrapped(
        f"carried {entry['date']} from {entry['from'][:12]} by audit {entry['audit']}: {entry['sample']} of "
        f"{entry['of']} built anew by commit {_commit(entry)}{earlier}, largest difference "
        f"{gap_text(entry['largest_difference'])}, tolerance {entry['tolerance']:g}",
        "  ",
    )


def _commit(said: Mapping[str, Any]) -> str:
    commit = said.get("commit")
    if commit is None:
        return "unknown"
    return f"{str(commit)[:12]} and uncommitted changes" if said.get("uncommitted") else str(commit)[:12]


def _today(manifest: Manifest, now: Accounts | None, gone: str) -> list[str]:
    if now is None:
        return wrapped(f"today no recipe makes it: {gone}", "")
    if now.top.key == manifest.key:
        return ["today's code makes the same key"]
    return [f"today's code makes it {now.top.key}; what differs is below"]


def _fields(account: Account) -> list[str]:
    values = list(_values(account.recipe, ""))
    return [cut(f"  {name} = {value}") for name, value in values[:SHOWN]] + more(values, "  ")


def _values(said: object, name: str) -> Iterator[tuple[str, str]]:
    """The values of a recipe as a manifest keeps it, each tuple in one line."""
    match said:
        case {"input": _}:
            return
        case {"fields": dict(fields)}:
            for field, value in fields.items():
                yield from _values(value, f"{name}.{field}".strip("."))
        case list() if not inputs_of(said):
            yield name, _tuple(said)
        case _:
            yield from flat(said, name)


def _tuple(said: list[object]) -> str:
    values = ", ".join(value for _, value in flat(said))
    return f"({values})" if len(said) < SHOWN else f"{len(said)} of ({values})"


def _inputs(kept: Accounts) -> list[str]:
    found = inputs_of(kept.top.recipe)
    lines = [f"  {name}: {kept.inputs[key].kind if key in kept.inputs else '?'} {key}" for name, key in found.items()]
    return [cut(line) for line in lines[:SHOWN]] + more(lines, "  ") or ["  none"]


def _code(account: Account) -> list[str]:
    if account.source is None:
        return ["  not recorded: the manifest is of an older store"]
    if account.texts is None:
        return [f"  sha256 {account.source[:16]}, whose text this store does not have"]
    modules = Counter(_module(name) for name in account.texts)
    most = ", ".join(f"{module} {number}" for module, number in modules.most_common(SHOWN))
    return wrapped(f"{len(account.texts)} definitions, sha256 {account.source[:16]}: {most}, ...", "  ")


def _module(name: str) -> str:
    """The module of a definition."""
    return name.partition(":")[0].split()[-1] if ":" in name else name.rpartition(".")[0] or name


def _named(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _sides(change: Change) -> list[str]:
    sides = [("-", change.old), ("+", change.new)]
    return [cut(f"    {sign} {change.name} = {value}") for sign, value in sides if value is not None]


def _sign(change: Change) -> str:
    return "+" if change.old is None else "-" if change.new is None else "~"


def _diff(change: Change) -> list[str]:
    """The change in a definition with a little text around it, since a normal form is one long line."""
    old, new = str(change.old), str(change.new)
    start = _shared(old, new)
    end = _shared(old[start:][::-1], new[start:][::-1])
    return [
        cut(f"    {change.name}"),
        *(f"      {sign} {_around(text, start, end)}" for sign, text in (("-", old), ("+", new))),
    ]


def _shared(one: str, other: str) -> int:
    """The length of the beginning that two texts share."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _around(text: str, start: int, end: int) -> str:
    """The part of a text from `start` to `end` characters before its end, with text around it, cut to a line."""
    first, last = max(0, start - CONTEXT), len(text) - max(0, end - CONTEXT)
    shown = f"{'...' if first else ''}{text[first:last]}{'...' if last < len(text) else ''}"
    return shown if len(shown) <= WIDTH - 8 else f"{shown[: WIDTH - 11]}..."
