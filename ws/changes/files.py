"""The verdicts in a file of `pytest --results FILE` or `ws results`, as cases that can be compared."""

import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ws.changes.cases import Case, Id
from ws.errors import DataError

if TYPE_CHECKING:
    from ws.report.verdicts import Record

REFUSED = frozenset('\\/?*:|"<>')
"""Characters that no name of a snapshot has (syrupy's); nor has it any that control something."""


def cases_of_file(path: Path) -> dict[Id, Case]:
    """The cases of a file of results; of a run that recorded nothing, each was made where and when the run was.

    Raises: DataError if it cannot be read, has no verdict, or two of one case.
    """
    from ws.results.files import read

    found = read(path)
    cases: dict[Id, Case] = {}
    for record in found.records:
        case = _case(record, found.run or {}, path)
        if case.id in cases:
            raise DataError(
                f"{path} has two verdicts of {case.name} on {record.model}; expected one of each case; write what "
                "different tests or behaviors said to files of their own"
            )
        cases[case.id] = case
    if not cases:
        raise DataError(f"{path} has no verdicts: its run reached none; name a file of another run")
    return cases


def _case(record: "Record", run: Mapping[str, Any], path: Path) -> Case:
    said = record.to_snapshot() | {"recorded": record.recorded or dict(run)}
    name = f"{record.test}[{record.case}]" if record.case else record.test
    return Case((record.model, _stem(name)), json.dumps(said).encode(), f"{path} ({name})")


def _stem(name: str) -> str:
    """The name of a case's snapshot, by which it is found again among recorded ones."""
    return "".join(one for one in name if one not in REFUSED and not unicodedata.category(one).startswith("C"))
