"""Some verdicts and where they come from, as JSON values of the schema and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ws.errors import DataError
from ws.files.showing import brief
from ws.report.verdicts import Record, ordered
from ws.results.schema import faults, format_name, schema, verdict_schema, version

Json = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """Verdicts, and the run that judged them."""

    records: Sequence[Record]
    run: Mapping[str, Any] | None = None
    """Commit, machine, releases and date of a run of pytest; None for verdicts read from snapshots."""


def verdict(record: Record) -> Json:
    """A record as the schema has it.

    Raises: DataError if the record holds what the schema does not know.
    """
    said = {"version": version(), **vars(record), "recorded": record.recorded or None}
    for fault in faults(said, verdict_schema(), record.claim):
        raise DataError(f"a verdict cannot be written by version {version()} of the schema: {fault}; record it anew")
    return said


def record(said: Mapping[str, Any]) -> Record:
    """The record of a verdict that fits the schema."""
    fields = {name: value for name, value in said.items() if name != "version"}
    return Record(**{**fields, "recorded": said["recorded"] or {}})


def document(results: Results) -> Json:
    """The document of some results; verdicts are ordered, so that equal results make equal documents."""
    verdicts = [verdict(one) for one in ordered(results.records)]
    run = None if results.run is None else dict(results.run)
    return {"format": format_name(), "version": version(), "run": run, "verdicts": verdicts}


def from_document(said: object, name: str) -> Results:
    """The results in a document; `name` is the file's, for errors.

    Raises: DataError if it is none, or of another version.
    """
    if not isinstance(said, dict) or said.get("format") != format_name():
        raise DataError(f"{name} holds no results; expected what `ws results` or `pytest --results FILE` wrote")
    if said.get("version") != version():
        raise DataError(
            f"{name} is of version {brief(said.get('version'))}, where this release reads version {version()}; "
            "write it anew"
        )
    for fault in faults(said, schema(), name):
        raise DataError(f"{fault}; write the file anew, or see the schema (ws results --schema)")
    return Results([record(one) for one in said["verdicts"]], said["run"])
