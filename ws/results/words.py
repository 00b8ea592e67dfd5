"""The schema in words: the table of the fields on the page docs/results.md."""

from collections.abc import Iterator

from ws.errors import DataError
from ws.report.markdown import row
from ws.results.columns import columns
from ws.results.schema import kinds

START, END = "<!-- fields -->", "<!-- end of fields -->"


def with_fields(page: str) -> str:
    """A page in which the text between the markers is the table of today. Raises: DataError if it lacks the markers."""
    head, start, rest = page.partition(START)
    _, end, tail = rest.partition(END)
    if not start or not end:
        raise DataError(f"the page lacks {START} or, after it, {END}; add both where the table belongs")
    return f"{head}{start}\n{fields()}{end}{tail}"


def fields() -> str:
    """A table of every field of a verdict and of its run: name, type, unit, and what it says."""
    return "\n".join([row(["field", "type", "unit", "what it says"]), row(["---"] * 4), *_lines(), ""])


def _lines() -> Iterator[str]:
    for column in columns():
        # A run has the fields of a recording, which stand above.
        if column.path[0] != "run":
            asked = column.asked
            types = " or ".join(one.replace("array", "list") for one in kinds(asked))
            yield row([f"`{column.name}`", types, asked.get("unit", ""), asked["description"]])
