"""Verdicts as results of lm-evaluation-harness, one file for each model: a claim is a group, and its cases are tasks.

The layout is that of `results_*.json`, which the harness and what reads its results know.

Source: https://github.com/EleutherAI/lm-evaluation-harness, `lm_eval/result_schema.py` of 0.4.13.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from ws.report.register import Register
from ws.report.verdicts import Record
from ws.results.groups import Group, asked, case_id, file_name, groups
from ws.results.results import Results, verdict
from ws.results.schema import version
from ws.stats.spreads import Spread
from ws.stats.verdict import Outcome

FILTER = "none"
"""The harness names a metric with the filter behind which it was computed; there is none here."""

NOT_A_WORD = re.compile(r"\W+")
"""What the harness replaces in the names of tasks, where they become names of files."""

HOLDS, VALUE = "holds", "value"
"""The metrics: of a case whether it holds, of a claim the share of its cases; and a case's number."""


def results_files(results: Results, register: Register) -> dict[str, bytes]:
    """The files by their names: a folder for each model, as the harness has it.

    Raises: DataError if there is no verdict, or if one says no date.
    """
    return dict(_file(group, register) for group in groups(results))


def _file(group: Group, register: Register) -> tuple[str, bytes]:
    # The harness writes local times without their zone; these are of UTC.
    at = group.dates[1].replace(tzinfo=None).isoformat().replace(":", "-")
    text = json.dumps(layout(group, register), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return f"{file_name(group.name)}/results_{at}.json", text.encode()


def layout(group: Group, register: Register) -> dict[str, Any]:
    """The results of one model."""
    tasks = named(group.records)
    claims = {claim: list(some) for claim, some in groupby(group.records, key=lambda record: record.claim)}
    of_claims = {claim: _of_claim(claim, some) for claim, some in claims.items()}
    config = {"model": "weight-steering-claims", "model_args": f"model={group.model}", "device": _device(group)}
    return {
        "results": of_claims | {name: _of_case(name, record) for name, record in tasks.items()},
        "groups": of_claims,
        "group_subtasks": {
            claim: [name for name, record in tasks.items() if record.claim == claim] for claim in claims
        },
        "configs": {name: _config(name, record, register) for name, record in tasks.items()},
        "versions": dict.fromkeys([*claims, *tasks], version()),
        "n-shot": dict.fromkeys([*claims, *tasks], 0),
        "higher_is_better": {claim: {HOLDS: True} for claim in claims}
        | {name: {HOLDS: True, VALUE: _is_better_higher(record)} for name, record in tasks.items()},
        "n-samples": {name: {"original": record.n_rows, "effective": record.n_rows} for name, record in tasks.items()},
        "config": config,
        "git_hash": group.unanimous("commit"),
        "date": group.dates[1].timestamp(),
        "transformers_version": group.unanimous("releases", "transformers"),
        "model_source": "weight-steering-claims",
        "model_name": group.model,
        "model_name_sanitized": file_name(group.name),
    }


def named(records: Sequence[Record]) -> dict[str, Record]:
    """Cases by the names of their tasks; names that would be the same get numbers."""
    found: dict[str, Record] = {}
    counts = Counter[str]()
    for record in records:
        name = f"{record.claim}_{NOT_A_WORD.sub('_', case_id(record).removeprefix('test_')).strip('_')}"
        counts[name] += 1
        found[f"{name}_{counts[name]}" if counts[name] > 1 else name] = record
    return found


def _of_claim(claim: str, records: Sequence[Record]) -> dict[str, Any]:
    share = sum(record.outcome == Outcome.HOLDS for record in records) / len(records)
    return {"name": claim, "alias": claim, "sample_len": len(records), **_metric(HOLDS, share)}


def _of_case(name: str, record: Record) -> dict[str, Any]:
    """A case's metrics; a number that is not finite is none."""
    said = _metric(HOLDS, float(record.outcome == Outcome.HOLDS))
    if record.value is not None:
        said |= _metric(VALUE, record.value) | _metric(f"{VALUE}_stderr", standard_error(record))
    return {"name": name, "alias": name, "sample_len": record.n_rows, **said}


def _metric(name: str, value: object) -> dict[str, object]:
    return {f"{name},{FILTER}": value}


def standard_error(record: Record) -> float | str:
    """That of the number shown, from how seeds and rows vary; the harness's word for none where a gate tripped."""
    found = re.match(r"part (\d+) of", record.part)
    part = record.spreads[int(found[1]) - 1 if found else 0] if record.spreads else []
    if not part:
        return "N/A"
    shown = part[0]
    return math.sqrt(Spread(tuple(shown["seeds"]), shown["rest"], shown["clusters"]).total)


def _is_better_higher(record: Record) -> bool | None:
    """Whether a larger number is more for the claim; None if the claim is that it is negligible."""
    return {">": True, "<": False}.get(record.relation[:1])


def _config(name: str, record: Record, register: Register) -> Mapping[str, Any]:
    """What the harness keeps of a task, with the whole verdict as its metadata."""
    metrics = [{"metric": HOLDS, "higher_is_better": True}, {"metric": VALUE, **dict(_direction(record))}]
    return {
        "task": name,
        "tag": record.claim,
        "description": asked(record, register),
        "num_fewshot": 0,
        "metric_list": metrics,
        "metadata": verdict(record),
    }


def _direction(record: Record) -> Iterator[tuple[str, bool]]:
    if (better := _is_better_higher(record)) is not None:
        yield "higher_is_better", better


def _device(group: Group) -> str:
    return ", ".join(sorted({record.device for record in group.records}))
