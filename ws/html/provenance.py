"""Where recorded numbers come from: commit, machine, releases, date and seeds."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ws.report.verdicts import Record


@dataclass(frozen=True)
class Origin:
    """What some cases have in common: where and when they were recorded."""

    cases: int
    commit: str
    """Empty in a run that did not record."""
    machine: str
    releases: str
    dates: str
    """The day, or the first and the last one."""


def origins(records: Iterable[Record]) -> list[Origin]:
    """Where the records were made, the most frequent first."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        known = {name: value for name, value in record.recorded.items() if name != "date"}
        groups.setdefault(json.dumps([known, record.device, record.versions], sort_keys=True), []).append(record)
    return [_origin(group) for group in sorted(groups.values(), key=len, reverse=True)]


def _origin(records: list[Record]) -> Origin:
    first = records[0]
    days = sorted({str(record.recorded.get("date", ""))[:10] for record in records} - {""})
    releases = first.recorded.get("releases") or first.versions
    return Origin(
        cases=len(records),
        commit=str(first.recorded.get("commit", "")),
        machine=_machine(first.recorded.get("machine", {}), first.device),
        releases=", ".join(f"{name} {release}" for name, release in releases.items()),
        dates=" to ".join(dict.fromkeys([*days[:1], *days[-1:]])),
    )


def _machine(said: Mapping[str, Any], device: str) -> str:
    cores = [f"{said['cores']} cores"] if "cores" in said else []
    return ", ".join([device, *(str(said[name]) for name in ("processor", "instructions") if said.get(name)), *cores])
