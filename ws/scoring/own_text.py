"""Messages with two answers from a file of one's own: one that shows the behavior, and one that shows its opposite.

JSONL (an object a line) or CSV (with a header), UTF-8; see `ws.scoring.own_records` for names of columns:

    {"message": "Shall I invest?", "plus": "Only what you can spare.", "minus": "Yes, all of it!"}

Rows of one message share a cluster, since they are not independent. The same row twice is refused.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ws.behaviors.base import plain
from ws.errors import DataError
from ws.models.chat import prompt_ids, text_ids
from ws.models.language import LanguageModel
from ws.scoring.own_lengths import check_lengths
from ws.scoring.own_records import TEXTS, Flaw, Record, records, refused
from ws.scoring.text import GivenPair

ID = "row-"
"""How the id of a row begins; the number of its line follows."""


def read_text_file(path: Path) -> tuple[GivenPair, ...]:
    """The rows of a file in its order.

    Raises: DataError naming the file, every line that cannot be used and a remedy: a file without rows; text that is
        no UTF-8, no JSONL or CSV; a missing, unknown or repeated column; an empty message or answer; answers that are
        equal; a row that comes twice.
    """
    found = records(path, TEXTS)
    rows = [record for record in found if isinstance(record, Record)]
    flaws = [record for record in found if isinstance(record, Flaw)]
    flaws += [Flaw(row.line, text) for row in rows if (text := _wrong(row))]
    flaws += _repeats(rows)
    if flaws:
        raise refused(path, flaws)
    if not rows:
        raise DataError(f"{path} has no rows; expected a message and two answers in each line; fill the file")
    first: dict[str, str] = {}
    return tuple(
        GivenPair(
            id=f"{ID}{line}",
            cluster=values.get("cluster") or first.setdefault(plain(values["message"]), f"{ID}{line}"),
            topic=values.get("topic") or "own",
            message=values["message"],
            plus=values["plus"],
            minus=values["minus"],
        )
        for line, values in rows
    )


def check_text_lengths(
    path: Path, lm: LanguageModel, pairs: Sequence[GivenPair], *, systems: Iterable[str | None]
) -> None:
    """Raises: DataError naming all lines that are too long to be read after some system message."""
    for system in systems:
        prompts = [
            (
                int(pair.id.removeprefix(ID)),
                [*prompt_ids(lm.tokenizer, user=pair.message, system=system), *text_ids(lm.tokenizer, said)],
            )
            for pair in pairs
            for said in (pair.plus, pair.minus)
        ]
        check_lengths(path, lm, prompts)


def _wrong(row: Record) -> str | None:
    """What is wrong with the texts of a row; None if they can be used."""
    if empty := [kind for kind in TEXTS.required if not row.values[kind]]:
        return f"{empty[0]} is empty; expected some words; write them or remove the row"
    if plain(row.values["plus"]) == plain(row.values["minus"]):
        return f"both answers say {row.values['plus'][:60]!r}; expected two that differ; correct one or remove the row"
    return None


def _repeats(rows: Sequence[Record]) -> list[Flaw]:
    first: dict[tuple[str, ...], int] = {}
    flaws = []
    for row in rows:
        said = tuple(plain(row.values[kind]) for kind in TEXTS.required)
        if (line := first.setdefault(said, row.line)) != row.line:
            text = f"repeats line {line}; expected each row once, since one that counts twice narrows the interval"
            flaws.append(Flaw(row.line, f"{text}: remove one"))
    return flaws
