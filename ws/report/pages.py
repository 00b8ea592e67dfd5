"""Pages of recorded verdicts, one a theme, and a page that counts them.

A theme is a module of claim tests; the first line of its docstring is the title of its page. Sentences, sources and
published figures of claims come from the register beside the tests.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ws.errors import DataError
from ws.report.markdown import row
from ws.report.register import FILE, Entry, Register
from ws.report.verdicts import Record, flips, in_words, notes, ordered, outcomes, sentence, tally, title
from ws.stats.verdict import Outcome

INDEX = "index.md"
"""The page with the counts."""
MADE = "<!-- Written by `make table` from recorded snapshots and the register of claims; edit those. -->"


@dataclass(frozen=True)
class Theme:
    """A module of claim tests, as a page for readers."""

    module: str
    """`test_families.py`."""
    title: str
    text: str
    """The docstring below its first line."""

    @property
    def page(self) -> str:
        return self.module.removeprefix("test_").removesuffix(".py").replace("_", "-") + ".md"

    def asks(self, entry: Entry) -> list[str]:
        """This module's tests that ask a claim, as file and name."""
        return [place for place in entry.tests if place.partition("::")[0] == self.module]


def themes(folder: Path, register: Register) -> list[Theme]:
    """The themes of a folder of claim tests, in the order in which the register first asks them.

    Raises: DataError if a module that the register names is not there or has no docstring.
    """
    modules = dict.fromkeys(place.partition("::")[0] for entry in register.values() for place in entry.tests)
    return [_theme(folder / module) for module in modules]


def _theme(path: Path) -> Theme:
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.exists() else None
    if not said:
        raise DataError(
            f"{FILE} names {path.name}, but {path} {'has no docstring' if path.exists() else 'is not there'}; "
            "expected a module whose docstring begins with its theme"
        )
    first, _, rest = said.partition("\n")
    return Theme(path.name, first.rstrip("."), rest.strip())


def pages(records: Iterable[Record], register: Register, themes: Sequence[Theme]) -> dict[str, str]:
    """The text of every page by its file name."""
    found = ordered(records)
    index = _index(found, register, themes)
    return {INDEX: index, **{theme.page: _page(theme, found, register) for theme in themes}}


def _index(records: list[Record], register: Register, themes: Sequence[Theme]) -> str:
    parts = [MADE, "# Verdicts", ""]
    parts += [
        "How many cases of each claim came out how; a case is a family, a measure, a footing or a part of dW. "
        "[Reading a verdict](../reading-a-verdict.md) says what the words mean, and [the log](../log.md) says in "
        "words what did not replicate.",
        "",
    ]
    for _, group in groupby(records, key=lambda record: record.model):
        parts += _counts(list(group), register, themes)
    parts += ["## Themes", ""]
    parts += [f"* [{_plain(theme.title)}]({theme.page}): {', '.join(_asked_in(theme, register))}" for theme in themes]
    for heading, letter in (("Claims that no test asks", "C"), ("Systems that no claim test asks for", "S")):
        parts += ["", f"## {heading}", "", *_unasked([entry for id, entry in register.items() if id[0] == letter])]
    return "\n".join([*parts, ""])


def _asked_in(theme: Theme, register: Register) -> list[str]:
    return [id for id, entry in register.items() if theme.asks(entry)]


def _counts(records: list[Record], register: Register, themes: Sequence[Theme]) -> list[str]:
    turned = ["flips"] if flips(records) else []
    head = ["claim", "in a sentence", *map(str, Outcome), *turned]
    lines = [head, ["---"] * len(head)]
    for id, entry in register.items():
        cases = [record for record in records if record.claim == id]
        counts = Counter(record.outcome for record in cases)
        if cases:
            shown = [str(counts[outcome] or "") for outcome in Outcome] + ([flips(cases)] if turned else [])
            lines.append([_linked(entry, themes), entry.sentence, *shown])
    return [f"## {title(records)}", "", *map(row, lines), "", _sentence(tally(records)), ""]


def _linked(entry: Entry, themes: Sequence[Theme]) -> str:
    return " ".join(f"[{entry.id}]({theme.page}#{entry.id.lower()})" for theme in themes if theme.asks(entry))


def _sentence(tallied: str) -> str:
    return tallied.replace("\n", "; ") + "."


def _unasked(entries: list[Entry]) -> list[str]:
    lines = [[entry.id, entry.sentence, entry.published, entry.unasked] for entry in entries if entry.unasked]
    return [*map(row, [["id", "in a sentence", "published", "why not"], ["---"] * 4, *lines])]


def _page(theme: Theme, records: list[Record], register: Register) -> str:
    parts = [MADE, f"# {_plain(theme.title)}", "", _plain(theme.text), ""]
    parts += [f"The tests are in `claims/{theme.module}`.", ""]
    for entry in register.values():
        if places := theme.asks(entry):
            parts += [f'<a id="{entry.id.lower()}"></a>', "", f"## {entry.id}: {entry.sentence.rstrip('.')}", ""]
            parts += [f"Source: {entry.source}.", ""]
            for place in places:
                parts += _of_test(place, entry, records)
    return "\n".join(parts)


def _of_test(place: str, entry: Entry, records: list[Record]) -> list[str]:
    test = place.partition("::")[2]
    found = [record for record in records if (record.claim, record.test) == (entry.id, test)]
    parts = [f"### {sentence(test)}", "", f"Published: {_plain(entry.tests[place])}.", ""]
    if not found:
        return [*parts, "No case of it is recorded yet.", ""]
    for _, group in groupby(found, key=lambda record: record.model):
        parts += [*map(row, _table(list(group))), ""]
    return parts


def _table(records: list[Record]) -> list[list[str]]:
    """The cases of one test on one model."""
    twins = outcomes(records)
    head = [f"case on {records[0].model}", "effect [interval]", "verdict"]
    return [head, ["---"] * 3, *([_case(record), _effect(record), _verdict(record, twins)] for record in records)]


def _case(record: Record) -> str:
    return record.case or "(one case)"


def _effect(record: Record) -> str:
    return in_words(record).replace("\n", "<br>")


def _verdict(record: Record, twins: dict[tuple[str | None, ...], str]) -> str:
    return "<br>".join([f"**{record.outcome}**", *notes(record, twins)])


def _plain(text: str) -> str:
    """Text escaped for Markdown, so that it is shown as it is: `</think>` must not become markup."""
    return text.replace("<", "&lt;")
