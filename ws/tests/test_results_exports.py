"""Verdicts for other tools: Inspect and lm-evaluation-harness read what is written for them, and find every verdict."""

import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ws import cli
from ws.errors import DataError
from ws.report.register import Entry
from ws.report.verdicts import Record, ordered
from ws.results import files
from ws.results.groups import groups
from ws.results.inspect_log import NUMBERS, logs, sample_id
from ws.results.lm_eval import layout, named, results_files, standard_error
from ws.results.results import Results, verdict
from ws.tests.documents import ROOT
from ws.tests.readers import OF_INSPECT, OF_LM_EVAL, said_by
from ws.tests.test_report import CORRECTED, GATED, RECORD, TINY
from ws.tests.test_results import RUN

SPREAD = {"seeds": [0.3, 0.0, -0.3], "rest": 0.07, "clusters": 60}
FAR = replace(RECORD, spreads=[[SPREAD, SPREAD]])
RECORDS = [FAR, CORRECTED, GATED, TINY]
REGISTER = {"C05": Entry(id="C05", sentence="DeLoRA spreads <furthest>.", source="journal", tests={"a::b": "1"})}
JUDGED = Results(RECORDS, RUN)


def written(folder: Path, named: dict[str, bytes]) -> Path:
    files.put_all(folder, named)
    return folder


def test_inspect_finds_every_verdict(tmp_path: Path) -> None:
    found = said_by(OF_INSPECT, written(tmp_path, logs(JUDGED, REGISTER)), package="inspect_ai")
    assert {log["model"]: len(log["samples"]) for log in found} == {"smollm2-135m": 3, "tiny-random-qwen3": 1}
    assert [(log["status"], log["created"], log["head"]) for log in found] == [("success", RUN["date"], True)] * 2
    samples = {(log["model"], id): sample for log in found for id, sample in log["samples"].items()}
    assert samples.keys() == {(record.model, sample_id(record)) for record in RECORDS}
    for record in RECORDS:
        sample = samples[record.model, sample_id(record)]
        numbers = {name: getattr(record, name) for name in NUMBERS if getattr(record, name) is not None}
        assert sample["scores"] == {"verdict": record.outcome, **numbers}
        assert sample["metadata"] == verdict(record)
    [counts] = [log["metrics"] for log in found if log["model"] == RECORD.model]
    assert counts == {"HOLDS": 1, "REFUTED": 0, "INCONCLUSIVE": 1, "INVALID": 1}


def test_the_harness_tabulates_every_claim_and_case(tmp_path: Path) -> None:
    out = written(tmp_path, results_files(Results([FAR, CORRECTED, GATED], RUN), REGISTER))
    found = said_by(OF_LM_EVAL, out, package="lm_eval")
    assert [Path(name).relative_to(tmp_path).as_posix() for name in found["names"]] == [
        "smollm2-135m/results_2026-11-29T15-24-09.json"
    ]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in found["table"].splitlines()[2:]]
    error = f"{math.sqrt(0.07 + 0.09 / 3):.4f}"
    assert ["C05", "1", "none", "0", "holds", "↑", "0.50", "", ""] in rows
    assert ["", "", "none", "0", "value", "↑", "12.25", "±", error] in rows
    assert ["", "", "none", "0", "value", "↑", "12.25", "±", "N/A"] in rows
    assert sum(row[4] == "value" for row in rows) == 2
    assert len(found["groups"].splitlines()) == 2 + 2


def test_what_the_harness_keeps_of_a_task_is_the_verdict() -> None:
    [group] = groups(Results([FAR, GATED], RUN))
    said = layout(group, REGISTER)
    assert said["results"].keys() == said["versions"].keys() == {"C05", "C23", *said["configs"]}
    assert [config["metadata"] for config in said["configs"].values()] == [
        verdict(one) for one in ordered(group.records)
    ]
    assert said["n-samples"].keys() == said["configs"].keys()
    assert said["git_hash"] is None


@pytest.mark.parametrize(("relation", "better"), [("> 0", True), ("< 0.1", False), ("within ±0.1", None)])
def test_the_direction_is_that_of_the_comparison(relation: str, better: bool | None) -> None:
    [group] = groups(Results([replace(RECORD, relation=relation)], RUN))
    said = layout(group, {})
    [task] = said["configs"]
    assert said["higher_is_better"][task] == {"holds": True, "value": better}


def test_the_standard_error_is_that_of_the_part_that_is_shown() -> None:
    wide = {**SPREAD, "seeds": [], "rest": 4.0}
    assert standard_error(replace(RECORD, part="part 2 of 2", spreads=[[SPREAD], [wide, SPREAD]])) == 2.0
    assert standard_error(replace(RECORD, part="part 1 of 2", spreads=[[], [wide]])) == "N/A"


def test_cases_whose_names_differ_in_signs_alone_stay_apart() -> None:
    records = [replace(RECORD, case="lora-1"), replace(RECORD, case="lora+1")]
    assert list(named(records)) == [f"C05_delora_spreads_further_than_lora_1{end}" for end in ("", "_2")]


@pytest.mark.parametrize("export", [logs, results_files])
def test_the_same_verdicts_make_the_same_files(export: Any) -> None:
    assert export(JUDGED, REGISTER) == export(Results(RECORDS[::-1], dict(RUN)), REGISTER)
    assert len(export(JUDGED, REGISTER)) == 2


@pytest.mark.parametrize("export", [logs, results_files])
@pytest.mark.parametrize("run", [None, {**RUN, "date": "yesterday"}, {**RUN, "date": "2026-11-29"}])
def test_verdicts_without_a_date_are_refused(export: Any, run: dict[str, Any] | None) -> None:
    with pytest.raises(DataError, match=r"C05 test_delora_spreads.* says no date with its zone, .*; record it, or"):
        export(Results([RECORD], run), {})
    with pytest.raises(DataError, match="there is no verdict to export"):
        export(Results([], run), {})


def test_names_of_files_cannot_lead_elsewhere() -> None:
    odd = Results([replace(RECORD, model="../../etc/passwd", behavior="a/b")], RUN)
    [log] = logs(odd, {})
    assert re.fullmatch(r"2026-11-29T15-24-09\+00-00_weight-steering-claims_etc-passwd-a-b_\w{22}\.json", log)
    [name] = results_files(odd, {})
    assert name == "etc-passwd-a-b/results_2026-11-29T15-24-09.json"


def test_a_file_with_other_verdicts_is_not_replaced(tmp_path: Path) -> None:
    written(tmp_path, results_files(JUDGED, {}))
    written(tmp_path, results_files(JUDGED, {}))
    with pytest.raises(DataError, match=r"results_2026.* is there and has other verdicts of that time; name another"):
        written(tmp_path, results_files(Results([RECORD], RUN), {}))


def exported(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["ws", "export", *words, "--tests", str(ROOT / "claims")])
    cli.main()


@pytest.mark.parametrize("to", ["inspect", "lm-eval"])
def test_ws_export_writes_the_verdicts_of_a_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, to: str
) -> None:
    files.write(JUDGED, tmp_path / "run.json")
    exported(monkeypatch, tmp_path, to, "out", "--run", "run.json", "--claims", "C05", "--models", "smollm2-135m")
    [file] = [path for path in (tmp_path / "out").rglob("*.json")]
    assert capsys.readouterr().out == f"{file.relative_to(tmp_path)}, {len(file.read_bytes()) / 1e6:.2f} MB\n"
    assert len(re.findall('"tolerance_from"', file.read_text())) == 2
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"^2$"):
        exported(monkeypatch, tmp_path, to, "file", "--run", "run.json")
    assert capsys.readouterr().err == "ws: file is no folder; name one, there or not\n"


def test_a_log_is_plain_json_with_what_was_asked() -> None:
    [content] = logs(Results([RECORD], RUN), REGISTER).values()
    [sample] = json.loads(content)["samples"]
    assert "DeLoRA spreads <furthest>." in sample["input"]
    assert RECORD.published in sample["input"]


def test_records_are_grouped_by_the_behavior_too() -> None:
    own: Record = replace(RECORD, behavior="mine@12345678")
    assert [group.name for group in groups(Results([own, RECORD], RUN))] == [
        "smollm2-135m",
        "smollm2-135m-mine@12345678",
    ]
