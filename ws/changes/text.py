"""What `ws diff` prints: one screen at 80 columns that says what moved and through what."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ws.changes.cases import Cause, Extent, Moved
from ws.changes.causes import TITLES
from ws.changes.compare import Diff, Models
from ws.changes.shelves import Shelves
from ws.report.numbers import number, told_apart

WIDTH = 80
GROUPS, CASES, CAUSE_LINES = 4, 2, 3
"""How many groups of causes are told, cases of each, and lines of one cause; the rest is counted."""


VALUES = 2
"""So many changes of one field are told."""


def on_a_screen(diff: Diff, *, whole: bool = False) -> str:
    """The comparison as text; with `whole` every case and every definition, however long that gets."""
    lines = [*wrapped(f"- {diff.old.asked}: {diff.old.told}"), *wrapped(f"+ {diff.new.asked}: {diff.new.told}"), ""]
    lines += [line for model in diff.models for line in wrapped(counted(model))]
    lines += [line for one in diff.only for line in wrapped(f"one side alone: {one}")]
    if turns := turned(diff.moved):
        lines += ["", "verdicts", *(line for turn in turns for line in wrapped(turn, "  "))]
    groups = diff.by_causes
    shown = groups if whole else groups[:GROUPS]
    lines += [line for causes, cases in shown for line in _group(causes, cases, whole)]
    if len(groups) > len(shown):
        rest = sum(len(cases) for _, cases in groups[len(shown) :])
        lines += ["", f"{_cases(rest)} more through {len(groups) - len(shown)} other sets of inputs; --all shows them"]
    if diff.shelves is not None:
        lines += ["", *_shelves(diff.shelves, whole)]
    return "\n".join([*lines, ""])


def counted(model: Models) -> str:
    """How many cases of a model did what, in a sentence."""
    total = model.same + len(model.moved)
    parts = [f"{n} {name}" for name, n in (("new", len(model.appeared)), ("gone", len(model.gone))) if n]
    parts += [*extents(model.counts), f"{model.same} as before" if model.moved else "nothing moved"]
    return f"{model.name}: {total} cases on both sides; {', '.join(parts)}"


def extents(counts: Mapping[Extent, int]) -> list[str]:
    """How many cases there are of each extent."""
    return [f"{counts[one]} {one}" for one in Extent if counts.get(one)]


def turned(moved: Iterable[Moved]) -> list[str]:
    """How many verdicts turned from what to what, by claim."""
    turns: dict[str, Counter[str]] = {}
    for one in moved:
        if one.extent == Extent.TURNED:
            turns.setdefault(one.turn, Counter())[one.new.claim] += 1
    ordered = sorted(turns.items(), key=lambda item: -item[1].total())
    return [f"{claims.total()} {turn}: {_kinds(claims)}" for turn, claims in ordered]


def through(causes: Sequence[Cause]) -> list[tuple[str, str]]:
    """Causes by their titles, in one text for each; what is said of one file or field twice is said once."""
    details: dict[str, dict[str, dict[str, None]]] = {}
    for cause in causes:
        places = details.setdefault(cause.what, {})
        for piece in filter(None, cause.detail.split("; ")):
            place, colon, names = piece.partition(": ")
            places.setdefault(place + colon, {}).update(dict.fromkeys(names.split(", ")))
    return [(TITLES[what], "; ".join(_fewer(places))) for what, places in details.items()]


def _fewer(places: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """What is said of each place; of a field with many values in many cases, the first few."""
    fields: dict[str, list[str]] = {}
    for place, names in places.items():
        text = place + ", ".join(names)
        fields.setdefault(text.split(" ", 1)[0] if " -> " in text else text, []).append(text)
    for name, texts in fields.items():
        yield from texts[:VALUES]
        if len(texts) > VALUES:
            yield f"{len(texts) - VALUES} other values of {name}"


def numbers(moved: Moved) -> str:
    """Old and new number, and how far that is: in tolerances, and as a share of the interval."""
    before, now = moved.old.number("value"), moved.new.number("value")
    if moved.has_same_number and before is not None:
        return f"{number(before)}, the same"
    sides = " -> ".join(told_apart(before, now)) if before != now else number(now)
    if moved.step is None:
        return sides
    if moved.step == float("inf"):
        return f"{sides}, which has no tolerance"
    share = "" if moved.share is None else f", {moved.share:.0%} of its interval"
    times = f"{moved.step:.0f}" if moved.step >= 10 else f"{moved.step:.2g}"
    return f"{sides}, {times} times its tolerance{share}"


def _group(causes: Sequence[Cause], cases: Sequence[Moved], whole: bool) -> Iterator[str]:
    counts = Counter(one.extent for one in cases)
    yield ""
    yield from wrapped(f"{_cases(len(cases))} ({', '.join(extents(counts))}) through")
    for title, detail in through(causes) or [(TITLES["unknown"], "nothing that a side recorded differs")]:
        lines = wrapped(f"{title}: {detail}" if detail else title, "  ")
        yield from lines if whole or len(lines) <= CAUSE_LINES else _shortened(lines)
    if counts.keys() == {Extent.KEYS} and not whole:
        return
    shown = cases if whole else cases[:CASES]
    for one in shown:
        yield from wrapped(f"{one.new.claim} {one.new.name}", "    ")
        yield from wrapped(f"{one.turn}; {numbers(one)}", "      ")
    if len(cases) > len(shown):
        yield f"    ... and {len(cases) - len(shown)} more"


def _shortened(lines: Sequence[str]) -> list[str]:
    last = lines[CAUSE_LINES - 1]
    return [*lines[: CAUSE_LINES - 1], f"{last[: WIDTH - 4].rstrip(', ')} ..."]


def _shelves(shelves: Shelves, whole: bool) -> Iterator[str]:
    yield from wrapped(f"artifacts: {shelves.same} the same{_more(shelves)}")
    for causes, kinds in sorted(shelves.rekeyed.items(), key=lambda item: -item[1].total()):
        yield from wrapped(f"another key: {_kinds(kinds)}; through", "  ")
        for title, detail in through(causes):
            lines = wrapped(f"{title}: {detail}", "    ")
            yield from lines if whole or len(lines) <= CAUSE_LINES else _shortened(lines)
    for name, kinds in (("only in -", shelves.gone), ("only in +", shelves.appeared)):
        yield from wrapped(f"{name}: {_kinds(kinds)}", "  ") if kinds else ()
    shown = shelves.other_files if whole else shelves.other_files[:CASES]
    for one in shown:
        yield from wrapped(f"same key, other numbers, so built twice: {one}", "  ")
    if len(shelves.other_files) > len(shown):
        yield f"  ... and {len(shelves.other_files) - len(shown)} more"


def _more(shelves: Shelves) -> str:
    counts = {
        "under another key": sum(kinds.total() for kinds in shelves.rekeyed.values()),
        "with other numbers": len(shelves.other_files),
        "gone": shelves.gone.total(),
        "new": shelves.appeared.total(),
    }
    return "".join(f", {n} {name}" for name, n in counts.items() if n)


def _kinds(kinds: Counter[str]) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in _most(kinds))


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _cases(n: int) -> str:
    return f"{n} case{'' if n == 1 else 's'}"


def wrapped(text: str, indent: str = "") -> list[str]:
    """Lines of 80 columns, of which none ends within a name that can be copied, unless that alone is longer."""
    inner = f"{indent}  "
    return textwrap.wrap(printable(text), WIDTH, initial_indent=indent, subsequent_indent=inner, break_on_hyphens=False)


def printable(text: str) -> str:
    """Words without what moves a cursor, ends a line or turns the direction of writing: records are anybody's."""
    return "".join(one if one.isprintable() else " " for one in text)
