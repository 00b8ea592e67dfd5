"""A comparison as a comment on a pull request: a summary, and tables that are folded away.

Records come from whoever opened the pull request. So every word of theirs stands in a code span, where GitHub draws
neither links nor pictures, and calls nobody by name.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ws.changes.cases import Case, Cause, Moved
from ws.changes.compare import Diff
from ws.changes.text import counted, extents, numbers, through, turned

MOST = 65_536
"""Characters of the longest comment that GitHub takes."""

MARK = "<!-- ws diff -->"
"""The first line, by which a comment of an earlier push is found and replaced."""

LONGEST_DETAIL = 1_500
"""Characters of one cause's detail."""

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
    yield from (f"- {span(counted(model))}" for model in diff.models)
    yield from (f"- one side alone: {span(one)}" for one in diff.only)
    yield from (f"- **{span(turn)}**" for turn in turned(diff.moved))
    yield from (f"- {_titles(causes)}: {len(cases)} cases" for causes, cases in diff.by_causes)


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
        shown = detail if len(detail) <= LONGEST_DETAIL else f"{detail[:LONGEST_DETAIL]} ..."
        yield f"- {title}: {span(shown)}" if shown else f"- {title}"


def _folded(section: Section, rows: Sequence[str]) -> str:
    summary = f"<summary>{section.title}</summary>"
    table = [*section.header, *rows]
    return "\n".join(["", "<details>", summary, "", *section.lead, "", *table, "", "</details>"])


ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
"""Characters that end a line, or turn the direction of what follows."""


def span(text: str) -> str:
    """Words that are shown as they are, in one line, whatever they are."""
    return f"`{ODD.sub(' ', text).replace('`', chr(39)).strip() or ' '}`"


def cell(text: str) -> str:
    """Words as a cell of a table."""
    return span(text).replace("|", "\\|")
