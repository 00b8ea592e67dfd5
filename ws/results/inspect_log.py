"""Verdicts as logs of Inspect, one for each model: a case is a sample, and its verdict and its numbers are its scores.

The form is that of `inspect_ai.log.EvalLog`, version 2, in JSON. Times are those of the records, and ids are digests of
the verdicts, so that the same verdicts make the same log.

Source: https://inspect.aisi.org.uk/eval-logs.html; inspect_ai 0.3.285.
"""

import json
from collections import Counter
from datetime import datetime
from typing import Any

from ws.report.register import Register
from ws.report.verdicts import Record, in_words
from ws.results.groups import Group, asked, digest, file_name, groups
from ws.results.results import Results, verdict
from ws.results.schema import version
from ws.stats.verdict import Outcome

TASK = "weight-steering-claims"
LOG_VERSION = 2
"""Of the form of Inspect's logs."""

VERDICT = "verdict"
NUMBERS = ("value", "low", "high", "p_holds", "p_refuted")
"""The numbers that are scores; a number that is not finite is left out of its sample."""

LOOKS = {Outcome.HOLDS: "good", Outcome.REFUTED: "bad", Outcome.INCONCLUSIVE: "muted", Outcome.INVALID: "warn"}
"""How the viewer colours a verdict."""


def logs(results: Results, register: Register) -> dict[str, bytes]:
    """The logs by the names of their files, which are in the form that Inspect looks for in a folder.

    Raises: DataError if there is no verdict, or if one says no date.
    """
    return dict(_file(group, register) for group in groups(results))


def _file(group: Group, register: Register) -> tuple[str, bytes]:
    said = log(group, register)
    at = group.dates[1].isoformat().replace(":", "-")
    # Inspect takes a name apart at underscores.
    model = file_name(group.name).replace("_", "-")
    text = json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return f"{at}_{TASK}_{model}_{said['eval']['task_id']}.json", text.encode()


def log(group: Group, register: Register) -> dict[str, Any]:
    """The log of one model."""
    samples = [_sample(record, register) for record in group.records]
    id = digest(json.dumps([sample["metadata"] for sample in samples]))
    first, last = map(_time, group.dates)
    return {
        "version": LOG_VERSION,
        "status": "success",
        "eval": {
            "eval_id": id,
            "run_id": id,
            "task_id": id,
            "created": last,
            "task": TASK,
            "task_version": version(),
            "task_display_name": "Claims about weight steering",
            "task_description": "Each sample is a case of a claim; its scores are the verdict and its numbers.",
            "dataset": {
                "name": "claims",
                "samples": len(samples),
                "sample_ids": [sample["id"] for sample in samples],
                "shuffled": False,
            },
            "model": group.model,
            "config": {},
            "packages": group.unanimous("releases") or {},
            "metadata": {
                "behavior": group.behavior or "as the claims have it",
                "commit": group.unanimous("commit") or "several, or none: see each sample",
                "machine": group.unanimous("machine") or "several: see each sample",
            },
            "scorers": [{"name": name} for name in (VERDICT, *NUMBERS)],
            "viewer": _viewer(),
        },
        "plan": {"name": "plan", "steps": []},
        "results": {
            "total_samples": len(samples),
            "completed_samples": len(samples),
            "scores": [_counts(group), *(_number(name, group) for name in NUMBERS)],
        },
        "stats": {"started_at": first, "completed_at": last},
        "samples": samples,
    }


def _sample(record: Record, register: Register) -> dict[str, Any]:
    said = verdict(record)
    numbers = {name: {"value": said[name]} for name in NUMBERS if said[name] is not None}
    return {
        "id": sample_id(record),
        "epoch": 1,
        "input": asked(record, register),
        "target": str(Outcome.HOLDS),
        "scores": {VERDICT: _score(record), **numbers},
        "metadata": said,
    }


def sample_id(record: Record) -> str:
    """The name of a case, what varies first: the viewer shows the beginning."""
    return f"{record.claim} {record.case}".strip() + f": {record.test.removeprefix('test_')}"


def _score(record: Record) -> dict[str, str]:
    """The verdict as a score: the number with its interval as the answer, explained by what stands beside it."""
    said = in_words(record)
    return {"value": record.outcome, "answer": said.partition("\n")[0], "explanation": said}


def _counts(group: Group) -> dict[str, Any]:
    """How many samples have each verdict."""
    counts = Counter(record.outcome for record in group.records)
    metrics = {str(one): {"name": str(one), "value": counts[one]} for one in Outcome}
    return {"name": VERDICT, "scorer": VERDICT, "scored_samples": len(group.records), "metrics": metrics}


def _number(name: str, group: Group) -> dict[str, Any]:
    """A score without a metric: a mean over numbers of several units would be of none."""
    there = sum(getattr(record, name) is not None for record in group.records)
    absent = len(group.records) - there
    return {"name": name, "scorer": name, "scored_samples": there, "unscored_samples": absent, "metrics": {}}


def _viewer() -> dict[str, Any]:
    """How the viewer shows samples at first; what is hidden can be chosen, such as the numbers that an answer has.

    Texts are shown as they are: a `<` in them is no markup.
    """
    scores = {name: f"score__{name}__{name}" for name in (VERDICT, *NUMBERS)}
    shown = ("sampleId", scores[VERDICT], "answer", "input", scores["p_holds"], scores["p_refuted"])
    hidden = (scores["value"], scores["low"], scores["high"], "target", "sampleStatus", "tokens", "duration")
    colours = {str(one): look for one, look in LOOKS.items()}
    view = {
        "name": "cases",
        "columns": [{"id": name, "visible": name in shown} for name in (*shown, *hidden)],
        "score_color_scales": {VERDICT: colours},
        "color_scales_enabled": True,
        "multiline": False,
    }
    return {"trust_content": False, "task_samples_view": view}


def _time(at: datetime) -> str:
    return at.isoformat()
