"""Verdicts by what they are on, a model and a behavior: other tools keep a file for each."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from ws.errors import DataError
from ws.report.register import Register
from ws.report.verdicts import Record, ordered, sentence
from ws.results.results import Results


@dataclass(frozen=True)
class Group:
    """The verdicts on one model, and on one behavior if that is one's own."""

    model: str
    behavior: str
    """Empty for the behaviors that the claims were made about."""
    records: Sequence[Record]
    origins: Sequence[Any]
    """For each record where it was recorded, or else the run that judged it."""

    @property
    def name(self) -> str:
        return f"{self.model}-{self.behavior}" if self.behavior else self.model

    @property
    def dates(self) -> tuple[datetime, datetime]:
        """When the first and the last of them was judged."""
        said = sorted(datetime.fromisoformat(origin["date"]) for origin in self.origins)
        return said[0], said[-1]

    def unanimous(self, *path: str) -> Any:
        """What all origins say of something, such as the commit; None if they differ or say nothing."""
        found = {str(_at(origin, path)): _at(origin, path) for origin in self.origins}
        return next(iter(found.values())) if len(found) == 1 else None


def groups(results: Results) -> list[Group]:
    """The groups, by model and behavior.

    Raises: DataError if there is no verdict, or if one says neither where it was recorded nor which run judged it.
    """
    if not results.records:
        raise DataError("there is no verdict to export; expected some, from snapshots or from a run that judged any")
    found = sorted(ordered(results.records), key=_subject)
    return [
        Group(model, behavior, some, [_origin(record, results) for record in some])
        for (model, behavior), some in ((name, list(each)) for name, each in groupby(found, key=_subject))
    ]


def _subject(record: Record) -> tuple[str, str]:
    return record.model, record.behavior


def _origin(record: Record, results: Results) -> Any:
    origin = record.recorded or results.run
    try:
        if origin and datetime.fromisoformat(origin["date"]).tzinfo is not None:
            return origin
    except (LookupError, ValueError):
        pass
    raise DataError(
        f"the verdict on {record.claim} {case_id(record)} says no date with its zone, as other tools need; record it, "
        "or export what `pytest --results FILE` wrote"
    )


def _at(origin: Any, path: Iterable[str]) -> Any:
    for name in path:
        origin = origin.get(name) if isinstance(origin, dict) else None
    return origin


def case_id(record: Record) -> str:
    """A test with its case, as pytest names it without the model."""
    return f"{record.test}[{record.case}]" if record.case else record.test


def asked(record: Record, register: Register) -> str:
    """What a case asks, in words: the claim as the register has it, the test, the case and the published figures."""
    said = [register[record.claim].sentence] if record.claim in register else []
    lines = [f"{record.claim}  {sentence(record.test, record.behavior)}", *said]
    lines += [f"case: {record.case}"] if record.case else []
    lines += [f"published: {record.published}"] if record.published else []
    return "\n".join(lines)


def file_name(name: str) -> str:
    """A name without what file systems, or readers of file names, take for something else."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-") or "model"


def digest(content: str) -> str:
    """22 characters that stand for a content."""
    return hashlib.sha256(content.encode()).hexdigest()[:22]
