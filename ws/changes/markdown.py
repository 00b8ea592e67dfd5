"""A comparison as a comment on a pull request: a summary, and tables that are folded away.

Records come from whoever opened the pull request. So every word of theirs stands in a code span, where GitHub draws
neither links nor pictures, and calls nobody by name.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ws.changes.cases import Case, Cause, Moved
from ws.changes.compare import Diff
from ws.changes.text import counted, extents, numbers, printable, through, turned

MOST = 65_536
"""Characters of the longest comment that GitHub takes."""

MARK = "<!-- ws diff -->"
"""The first line, by which a comment of an earlier push is found and replaced."""

LONGEST, LONGEST_DETAIL = 300, 1_500
"""Characters of one word of a record, and of all that is said of one cause."""

LINES = 20
"""Lines of one list of the summary."""

ROOM = 400
"""Characters that are kept free for what is said of rows that are left out."""

ONE_SIDED = ("| claim | case | verdict | model |", "| --- | --- | --- | --- |")
HEADER = ("| claim | case | verdict | number |", "| --- | --- | --- | --- |")


@dataclass(frozen=True)
class Section:
    """One folded table."""

    title: str
    """Without a word from a record."""
    lead: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[str, ...]


def comment(diff: Diff, *, most: int = MOST) -> str:
    """The comment, at most so many characters; rows that do not fit are left out, from the end, and counted."""
    head = "\n".join(_head(diff))
    budget, parts, dropped = most - len(head) - ROOM, [head], 0
    for section in _sections(diff):
        frame = _folded(section, ())
        rows, size = [], len(frame) + 2
        for row in section.rows:
            if size + len(row) + 1 > budget:
                break
            rows.append(row)
            size += len(row) + 1
        dropped += len(section.rows) - len(rows)
        if size <= budget:
            parts.append(_folded(section, rows))
            budget -= size
    if dropped:
        parts.append(
            f"\n{dropped} rows are left out: a comment has at most {most:,} characters. `ws diff --all` has them."
        )
    return "\n".join([*parts, ""])


def _head(diff: Diff) -> Iterator[str]:
    yield MARK
    yield f"### Recorded verdicts: {', '.join(_summed(diff)) or 'nothing moved'}"
    yield ""
    yield f"from {span(f'{diff.old.asked}: {diff.old.told}')}  "
    yield f"to {span(f'{diff.new.asked}: {diff.new.told}')}"
    yield ""
    yield from _few(f"- {span(counted(model))}" for model in diff.models)
    yield from _few(f"- one side alone: {span(one)}" for one in diff.only)
    yield from _few(f"- **{span(turn)}**" for turn in turned(diff.moved))
    yield from _few(f"- {_titles(causes)}: {len(cases)} cases" for causes, cases in diff.by_causes)


def _few(lines: Iterable[str]) -> list[str]:
    """The first lines of a list, and how many more there are."""
    found = list(lines)
    return found if len(found) <= LINES else [*found[:LINES], f"- and {len(found) - LINES} more"]


def _summed(diff: Diff) -> list[str]:
    """How many cases of all models did what."""
    counts = Counter(one.extent for one in diff.moved)
    came, went = (sum(len(getattr(model, side)) for model in diff.models) for side in ("appeared", "gone"))
    return [*extents(counts), *(f"{n} {name}" for n, name in ((came, "new"), (went, "gone")) if n)]


def _titles(causes: Sequence[Cause]) -> str:
    return ", ".join(title for title, _ in through(causes)) or "nothing that a side recorded"


def _sections(diff: Diff) -> Iterator[Section]:
    for causes, cases in diff.by_causes:
        title = f"{len(cases)} cases through {_titles(causes)}"
        yield Section(title, tuple(_lead(causes)), HEADER, tuple(map(_row, cases)))
    for name in ("new", "gone"):
        found = [case for model in diff.models for case in (model.appeared if name == "new" else model.gone)]
        if found:
            yield Section(f"{len(found)} cases {name}", (), ONE_SIDED, tuple(map(_one_sided, found)))


def _one_sided(case: Case) -> str:
    return _cells(case.claim, case.name, case.outcome, case.id[0])


def _row(moved: Moved) -> str:
    return _cells(moved.new.claim, moved.new.name, moved.turn, numbers(moved))


def _cells(*texts: str) -> str:
    return f"| {' | '.join(map(cell, texts))} |"


def _lead(causes: Sequence[Cause]) -> Iterator[str]:
    for title, detail in through(causes):
        yield f"- {title}: {span(detail, most=LONGEST_DETAIL)}" if detail else f"- {title}"


def _folded(section: Section, rows: Sequence[str]) -> str:
    summary = f"<summary>{section.title}</summary>"
    table = [*section.header, *rows]
    return "\n".join(["", "<details>", summary, "", *section.lead, "", *table, "", "</details>"])


def span(text: str, *, most: int = LONGEST) -> str:
    """Words that are shown as they are, in one line, whatever they are."""
    shown = printable(text).replace("`", "'").strip()
    return f"`{shown if len(shown) <= most else f'{shown[:most]} ...'}`" if shown else "` `"


def cell(text: str) -> str:
    """Words as a cell of a table."""
    return span(text).replace("|", "\\|")
