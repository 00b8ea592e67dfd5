"""What `ws table` does with recorded verdicts: tables, pages and pictures, printed or written."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ws.errors import DataError, UnknownNameError
from ws.report.forest import forest
from ws.report.loose import loose
from ws.report.markdown import markdown, summary, with_table
from ws.report.pages import MADE, pages, themes
from ws.report.register import Entry, Register
from ws.report.terminal import terminal
from ws.report.verdicts import Record

FORMS: dict[str, Callable[[Iterable[Record]], str]] = {
    "cases": markdown,
    "counts": summary,
    "plain": terminal,
    "loose": loose,
}
"""The ways to show records as text, by name."""


def of_claims(records: Iterable[Record], claims: Sequence[str], register: Register) -> list[Record]:
    """The records of some claims, whose names may be in lower case; all records if no claim is named.

    Raises: UnknownNameError if a name is no claim's; DataError with the reason if nothing is recorded for the claims.
    """
    found = list(records)
    if not claims:
        return found
    known = {record.claim for record in found} | set(register)
    wanted = {claim.upper() for claim in claims}
    if unknown := sorted(wanted - known):
        raise UnknownNameError("claim", unknown[0], known)
    chosen = [record for record in found if record.claim in wanted]
    if not chosen:
        reasons = [f"; {id}: {register[id].unasked}" for id in sorted(wanted & register.keys()) if register[id].unasked]
        raise DataError(f"no verdict on {', '.join(sorted(wanted))} is recorded{''.join(reasons)}")
    return chosen


def listed(register: Register, claims: Sequence[str]) -> str:
    """The named claims of a register in words, with their tests; or, if none is named, all claims in brief.

    Raises: UnknownNameError if a name is no claim's.
    """
    wanted = [claim.upper() for claim in claims]
    if unknown := [claim for claim in wanted if claim not in register]:
        raise UnknownNameError("claim", unknown[0], register)
    if not wanted:
        return "\n".join(f"{id:<4} {entry.sentence}" for id, entry in register.items())
    return "\n\n".join(_entry(register[claim]) for claim in wanted)


def _entry(entry: Entry) -> str:
    said = [f"{entry.id}  {entry.sentence}", f"source: {entry.source}"]
    if entry.published:
        said.append(f"published: {entry.published}")
    if entry.unasked:
        return "\n  ".join([*said, f"no test asks it: {entry.unasked}"])
    asked = [f"{place} (published: {figures})" for place, figures in entry.tests.items()]
    return "\n  ".join([*said, f"run it: pytest claims/ -k {entry.id.lower()}", *asked])


def table(records: Iterable[Record], form: str) -> str:
    """Records as text in one of the forms."""
    return FORMS[form](records)


def write_table(page: Path, records: Iterable[Record], form: str) -> None:
    """Put a table between a page's markers.

    Raises: DataError if the page lacks the markers.
    """
    text = table(records, form)
    shown = f"```\n{text.strip()}\n```\n" if form == "plain" else text
    page.write_text(with_table(page.read_text(encoding="utf-8"), shown), encoding="utf-8")


def write_pages(folder: Path, records: Iterable[Record], register: Register, tests: Path) -> None:
    """Write a page per theme and one with counts, and remove pages of themes that no longer exist.

    Raises: DataError if a module that the register names is not there.
    """
    texts = pages(records, register, themes(tests, register))
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        if path.name not in texts and path.read_text(encoding="utf-8").startswith(MADE):
            path.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def write_picture(path: Path, records: Sequence[Record], register: Register) -> None:
    """Draw the forest plot of the one claim that the records are of.

    Raises: DataError if the records are of several claims, or of one that the register does not list.
    """
    entry = one_claim(records, register)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(forest(records, entry), encoding="utf-8")


def one_claim(records: Sequence[Record], register: Register) -> Entry:
    """The entry of the one claim that the records are of.

    Raises: DataError if the records are of several claims or models, or of one that the register does not list.
    """
    claims = sorted({record.claim for record in records})
    models = sorted({record.model for record in records})
    if len(claims) != 1 or len(models) != 1 or claims[0] not in register:
        raise DataError(
            f"a picture is of one claim of the register on one model, not of {', '.join(claims)} on "
            f"{', '.join(models)}; choose with --claims C05 --models smollm2-135m"
        )
    return register[claims[0]]
