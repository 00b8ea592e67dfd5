"""What the commands of `ws store` print, for people at 80 columns."""

import math
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, takewhile
from math import fsum
from typing import Any

from ws.store.manifests import Manifest
from ws.store.progress import clock
from ws.store.recall import RecipeGone, recalled
from ws.upkeep.accounts import Account, Accounts
from ws.upkeep.carry import Finding, Plan
from ws.upkeep.differences import Change, Step, flat, inputs_of
from ws.upkeep.garbage import Garbage, freed
from ws.upkeep.lookup import Snapshot

WIDTH = 80
SHOWN = 12
"""Number of lines of one kind that are printed; the rest is only counted."""

DIFFS = 3
"""Number of changed definitions whose changes are printed."""

CONTEXT = 20
"""Characters printed before and after a change."""


def bytes_text(size: int | float) -> str:
    """A size in the unit that a reader would choose."""
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def overview(root: object, manifests: Sequence[Manifest], others: int) -> str:
    """The kinds of artifacts of a store, how many, how large, and how long they took."""
    kinds: dict[str, list[Manifest]] = defaultdict(list)
    for manifest in manifests:
        kinds[manifest.kind].append(manifest)
    rows = [
        (kind, str(len(made)), bytes_text(sum(one.bytes for one in made)), clock(fsum(one.seconds for one in made)))
        for kind, made in sorted(kinds.items())
    ]
    total = bytes_text(sum(one.bytes for one in manifests)), clock(fsum(one.seconds for one in manifests))
    table = _table([("artifact", "number", "size", "built in"), *rows, ("all", str(len(manifests)), *total)])
    return "\n".join([str(root), "", *table, "", f"code, locks and leftovers: {bytes_text(others)}", ""])


def made_of(manifest: Manifest, kept: Accounts, now: Accounts | None, gone: str) -> str:
    """What the key of an artifact is made of, and whether today's code computes the same key."""
    lines = [f"{manifest.kind} {manifest.key}", *_wrapped(_phrase(manifest), "  "), *_origin(manifest)]
    lines += ["", *_today(manifest, now, gone), "", "fields", *_fields(kept.top)]
    lines += ["", "inputs", *_inputs(kept), "", "libraries", f"  {_named(kept.top.versions or {}) or 'not recorded'}"]
    return "\n".join([*lines, "", "code", *_code(kept.top), ""])


def compared(steps: Sequence[Step], *, old: str, new: str) -> str:
    """What makes two keys differ, nearest first, with the code that changed."""
    if not steps:
        return f"the same key: nothing differs between {old} and {new}\n"
    lines, diffs = _wrapped(f"- {old}", "") + _wrapped(f"+ {new}", ""), DIFFS
    for step in steps:
        path = "".join(f" > {name}" for name in step.path)
        lines += ["", *_wrapped(f"{step.old.kind}{path}: {step.old.key[:12]} -> {step.new.key[:12]}", "")]
        for what, words in (("class", "class"), ("field", "fields"), ("version", "libraries")):
            found = [change for change in step.changes if change.what == what]
            lines += [f"  {words}"] * bool(found) + [line for change in found[:SHOWN] for line in _sides(change)]
            lines += _more(found, "    ")
        # Constants before the functions that hold them.
        code = sorted((one for one in step.changes if one.what == "code"), key=lambda one: len(f"{one.old}{one.new}"))
        lines += [f"  code: {len(code)} definitions differ"] * bool(code)
        lines += [line for change in code[:SHOWN] for line in _wrapped(f"{_sign(change)} {change.name}", "    ")]
        lines += _more(code, "    ")
        changed = [change for change in code if change.old is not None and change.new is not None][:diffs]
        diffs -= len(changed)
        lines += [line for change in changed for line in _diff(change)]
        lines += [line for unknown in step.unknown for line in _wrapped(unknown, "  ")]
    return "\n".join([*lines, ""])


def snapshot_text(snapshot: Snapshot, keys: Iterable[tuple[str, str]]) -> str:
    """A recorded verdict, its origin, and the state of each of its keys."""
    said, recorded = snapshot.said, snapshot.said.get("recorded", {})
    lines = [f"{said['test']}[{said['case']}]" if said["case"] else said["test"], f"  {snapshot.path}"]
    lines += _wrapped(f"{said['claim']} {said['outcome']} on {said['model']} ({said['device']})", "  ")
    by = f"recorded {recorded.get('date', 'at an unknown date')} by commit {_commit(recorded)}"
    lines += _wrapped(f"{by}{'; keys ' + recorded['keys'] if 'keys' in recorded else ''}", "  ")
    listed = list(keys)
    lines += ["", f"{len(listed)} keys"] + [
        line for key, what in listed for line in _wrapped(f"{key[:12]}  {what}", "  ")
    ]
    return "\n".join([*lines, ""])


def garbage(found: Garbage, *, dry: bool) -> str:
    """What would be removed, or was, by group and reason, with sizes."""
    groups: dict[tuple[str, str], list[object]] = defaultdict(list)
    for one in found.waste:
        groups[one.group, "its key is another today" if one.why.startswith("its key is") else one.why].append(one.path)
    rows = [
        (group, str(len(paths)), bytes_text(freed(paths)), why)  # type: ignore[arg-type]
        for (group, why), paths in sorted(groups.items())
    ]
    kept = bytes_text(sum(one.manifest.bytes for one in found.kept))
    lines = _table([("what", "number", "size", "why"), *rows]) if rows else ["nothing to remove"]
    verb = "would free" if dry else "to free"
    lines += ["", f"{len(found.waste)} {verb} {bytes_text(found.bytes)}; {len(found.kept)} artifacts stay ({kept})"]
    if found.foreign:
        lines.append(f"{len(found.foreign)} of other packages, whose recipes are not known here, stay with them")
    return "\n".join([_cut(line) for line in lines] + [""])


def carried_plan(plan: Plan) -> str:
    """What would be carried, and the cost of the audit."""
    strata = Counter(move.stratum[0] for move in plan.moves)
    sampled, numbers = Counter(move.stratum[0] for move in plan.sample), Counter(m.stratum for m in plan.moves)
    seconds: dict[str, float] = defaultdict(float)
    for move in plan.sample:
        seconds[move.stratum[0]] += move.manifest.seconds
    groups = Counter(stratum[0] for stratum in numbers)
    rows = [
        (kind, str(moved), str(groups[kind]), str(sampled[kind]), clock(seconds[kind]))
        for kind, moved in sorted(strata.items())
    ]
    whole = fsum(move.manifest.seconds for move in plan.moves)
    lines = _table([("artifact", "moved", "strata", "sample", "to build"), *rows]) if rows else []
    lines += ["", f"{len(plan.moves)} artifacts have another key today, {len(plan.pending)} of them not yet carried"]
    lines.append(f"{plan.reached} have the key that they had, {len(plan.gone)} no recipe any more")
    lines += [f"{len(plan.damaged)} are damaged and stay where they are"] * bool(plan.damaged)
    lines += _wrapped(
        f"audit {plan.id}: builds {len(plan.sample)} of {len(numbers)} strata anew in about "
        f"{clock(fsum(seconds.values()))}, where building all would take {clock(whole)}; tolerance {plan.tolerance:g}",
        "",
    )
    return "\n".join([*lines, ""])


def findings(plan: Plan, found: Sequence[Finding]) -> str:
    """How the sample compares with what is stored, worst first."""
    apart = sorted((one for one in found if one.largest > plan.tolerance), key=lambda one: -one.largest)
    largest = max((one.largest for one in found), default=0.0)
    lines = [f"{len(found) - len(apart)} of {len(found)} agree within {plan.tolerance:g}; largest {_gap(largest)}"]
    for one in apart[:SHOWN]:
        lines += _wrapped(f"{one.move.recipe.describe()} ({one.move.manifest.key[:12]})", "  ")
        worst = sorted((gap for gap in one.gaps if gap.size > plan.tolerance), key=lambda gap: -gap.size)
        for gap in worst[:3]:
            lines += _wrapped(f"{gap.file} {gap.where}: {_gap(gap.size)}, {gap.old} -> {gap.new}", "    ")
        lines += _more(worst, "    ", shown=3)
    return "\n".join([*lines, *_more(apart, "  "), ""])


def _gap(size: float) -> str:
    return "no comparison" if math.isinf(size) else f"{size:.2g}"


def _phrase(manifest: Manifest) -> str:
    try:
        return recalled(manifest.said).describe()
    except RecipeGone:
        return "a recipe that this code does not know"


def _origin(manifest: Manifest) -> list[str]:
    said, origin = manifest.said, manifest.said.get("origin")
    built = f"built {manifest.created} in {manifest.seconds:.1f} s, {bytes_text(manifest.bytes)}"
    if origin is None:
        lines = _wrapped(f"{built}; {said.get('platform', 'machine not recorded')}; commit not recorded", "  ")
    else:
        machine = [f"{value}{' cores' if name == 'cores' else ''}" for name, value in origin["machine"].items()]
        lines = _wrapped(f"{built}, by commit {_commit(origin)}", "  ") + _wrapped(f"on {', '.join(machine)}", "  ")
        lines += _wrapped(f"with {_named(origin['releases'])}", "  ")
    lines += [line for name, note in said.get("notes", {}).items() for line in _wrapped(f"{name}: {note}", "  ")]
    return lines + [line for entry in manifest.carried for line in _carried(entry)]


def _carried(entry: Mapping[str, Any]) -> list[str]:
    return _wrapped(
        f"carried {entry['date']} from {entry['from'][:12]} by audit {entry['audit']}: {len(entry['sample'])} of "
        f"{entry['of']} built anew by commit {_commit(entry)}, largest difference "
        f"{_gap(entry['largest_difference'])}, tolerance {entry['tolerance']:g}",
        "  ",
    )


def _commit(said: Mapping[str, Any]) -> str:
    commit = said.get("commit")
    if commit is None:
        return "unknown"
    return f"{str(commit)[:12]} and uncommitted changes" if said.get("uncommitted") else str(commit)[:12]


def _today(manifest: Manifest, now: Accounts | None, gone: str) -> list[str]:
    if now is None:
        return _wrapped(f"today no recipe makes it: {gone}", "")
    if now.top.key == manifest.key:
        return ["today's code makes the same key"]
    return [f"today's code makes it {now.top.key}; what differs is below"]


def _fields(account: Account) -> list[str]:
    values = list(_values(account.recipe, ""))
    return [_cut(f"  {name} = {value}") for name, value in values[:SHOWN]] + _more(values, "  ")


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


def _cut(line: str) -> str:
    """A line, cut to the width of the terminal."""
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def _inputs(kept: Accounts) -> list[str]:
    found = inputs_of(kept.top.recipe)
    lines = [f"  {name}: {kept.inputs[key].kind if key in kept.inputs else '?'} {key}" for name, key in found.items()]
    return [_cut(line) for line in lines[:SHOWN]] + _more(lines, "  ") or ["  none"]


def _code(account: Account) -> list[str]:
    if account.source is None:
        return ["  not recorded: the manifest is of an older store"]
    if account.texts is None:
        return [f"  sha256 {account.source[:16]}, whose text this store does not have"]
    modules = Counter(_module(name) for name in account.texts)
    most = ", ".join(f"{module} {number}" for module, number in modules.most_common(SHOWN))
    return _wrapped(f"{len(account.texts)} definitions, sha256 {account.source[:16]}: {most}, ...", "  ")


def _module(name: str) -> str:
    """The module of a definition."""
    return name.partition(":")[0].split()[-1] if ":" in name else name.rpartition(".")[0] or name


def _named(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _sides(change: Change) -> list[str]:
    sides = [("-", change.old), ("+", change.new)]
    return [_cut(f"    {sign} {change.name} = {value}") for sign, value in sides if value is not None]


def _sign(change: Change) -> str:
    return "+" if change.old is None else "-" if change.new is None else "~"


def _diff(change: Change) -> list[str]:
    """The change in a definition with a little text around it, since a normal form is one long line."""
    old, new = str(change.old), str(change.new)
    start = _shared(old, new)
    end = _shared(old[start:][::-1], new[start:][::-1])
    return [
        _cut(f"    {change.name}"),
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


def _more(items: Sequence[object], indent: str, *, shown: int = SHOWN) -> list[str]:
    return [f"{indent}... and {len(items) - shown} more"] if len(items) > shown else []


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows under a header; numbers to the right, the last column as long as it is."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    words = {place for place in range(len(rows[0])) if not any(row[place][:1].isdigit() for row in rows[1:])}
    aligned = [
        [cell.ljust(width) if place in words else cell.rjust(width) for place, cell, width in zip(count(), row, widths)]
        for row in rows
    ]
    return ["  ".join(row).rstrip() for row in aligned]
