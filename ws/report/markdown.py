"""Tables of recorded verdicts as Markdown."""

from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from ws.errors import DataError
from ws.report.verdicts import Outcomes, Record, flips, in_words, notes, ordered, outcomes, sentence, tally, title
from ws.stats.verdict import Outcome

TABLE_START, TABLE_END = "<!-- table -->", "<!-- end of table -->"


def with_table(page: str, table: str) -> str:
    """A page in which the text between the markers is replaced by `table`.

    Raises: DataError if the page does not have both markers, in order.
    """
    head, start, rest = page.partition(TABLE_START)
    _, end, tail = rest.partition(TABLE_END)
    if not start or not end:
        raise DataError(f"the page lacks {TABLE_START} or, after it, {TABLE_END}; add both where the table belongs")
    return f"{head}{start}\n{table}{end}{tail}"


def markdown(records: Iterable[Record]) -> str:
    """One table a model, each under its own heading."""
    models = groupby(ordered(records), key=lambda record: record.model)
    return "\n".join(_of_model(list(group)) for _, group in models)


def summary(records: Iterable[Record]) -> str:
    """One table a model with a line per claim test: how many of its cases had each outcome, and how many flip."""
    models = groupby(ordered(records), key=lambda record: record.model)
    return "\n".join(_counts_of_model(list(group)) for _, group in models)


def _counts_of_model(records: list[Record]) -> str:
    turned = ["flips"] if flips(records) else []
    head = ["claim", "in words", *map(str, Outcome), *turned, "published"]
    tests = groupby(records, key=lambda record: (record.claim, record.test))
    lines = [row(cells) for cells in (head, ["---"] * len(head))]
    lines += [row(_counted(list(group), with_flips=bool(turned))) for _, group in tests]
    return "\n".join([f"### {title(records)}", "", *lines, "", tally(records).replace("\n", "; "), ""])


def _counted(records: list[Record], *, with_flips: bool) -> list[str]:
    counts = Counter(record.outcome for record in records)
    shown = [str(counts[outcome] or "") for outcome in Outcome]
    shown += [flips(records)] if with_flips else []
    return [records[0].claim, sentence(records[0].test, records[0].behavior), *shown, records[0].published]


def _of_model(records: list[Record]) -> str:
    head = ["claim", "case", "effect [interval]", "verdict", "snapshot", "published"]
    found = outcomes(records)
    rows = [_cells(record, found) for record in records]
    lines = [row(cells) for cells in (head, ["---"] * len(head), *rows)]
    summary = tally(records).replace("\n", "; ")
    return "\n".join([f"### {title(records)}", "", *lines, "", summary, ""])


def _cells(record: Record, found: Outcomes) -> list[str]:
    case = f": {record.case}" if record.case else ""
    said = "; ".join(notes(record, found))
    verdict = f"{record.outcome} ({said})" if said else record.outcome
    shown = in_words(record).replace("\n", "; ")
    return [
        record.claim,
        sentence(record.test, record.behavior) + case,
        shown,
        verdict,
        record.snapshot,
        record.published,
    ]


def row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
