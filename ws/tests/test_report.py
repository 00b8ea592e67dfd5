"""The table of claims fits its terminal, loses nothing, and does not depend on the order of the tests."""

import json
from dataclasses import asdict, replace
from itertools import product

import pytest

from ws.report import verdicts as report
from ws.report.brief import SCREEN, on_a_screen
from ws.report.loose import loose
from ws.report.markdown import markdown, summary
from ws.report.terminal import terminal
from ws.report.verdicts import Record, in_words
from ws.stats.verdict import Outcome
from ws.tests.conftest import Project

RECORD = Record(
    claim="C05",
    test="test_delora_spreads_further_than",
    case="delora-lora-raw",
    measure="raw",
    model="smollm2-135m",
    random_weights=False,
    outcome="HOLDS",
    value=12.25,
    low=11.6,
    high=13.1,
    level=0.95,
    threshold=0.0,
    relation="> 0",
    matters=None,
    part="",
    tolerance=0.1,
    tolerance_from="spread over 3 seeds",
    n_rows=240,
    n_clusters=60,
    n_seeds=3,
    gates=[],
    p_holds=0.01,
    p_refuted=0.99,
    cases=1,
    rows_alone=False,
    smallest=None,
    needs="",
    leaves=[],
    noise=0.01,
    spreads=[],
    published="DeLoRA 23.85 vs LoRA 9.76",
    device="cpu",
    versions={"torch": "2.13"},
    keys=["0123456789abcdef"],
    snapshot="same",
)
CORRECTED = replace(RECORD, case="delora-lora-corrected", measure="corrected", outcome="INCONCLUSIVE")
GATED = replace(
    RECORD,
    claim="C23",
    test="test_dropping_the_top_of_the_spectrum_removes_the_effect_and_leaves_nothing",
    case="delora-drop_top_90_energy-residual_writes-corrected",
    measure="corrected",
    outcome="INVALID",
    value=None,
    low=None,
    high=None,
    relation="within ±0.0712 (estimated)",
    matters=None,
    part="part 2 of 3",
    gates=["denominator near 0 (interval -0.0123 to 0.0234)", "pmass of 0.12 is too low"],
    published="keep 90% .962 vs .711; drop <= .02",
    snapshot="INCONCLUSIVE -> INVALID",
)
TINY = replace(RECORD, model="tiny-random-qwen3", random_weights=True, n_seeds=1)
RECORDS = [RECORD, CORRECTED, GATED, TINY]
AT_ONE = replace(RECORD, case="delora-lora-raw-one", footing="one")
AT_ISO_KL = replace(RECORD, case="delora-lora-raw-iso-kl", footing="iso-kl", outcome="REFUTED")
CLAIMS = """
import pytest

@pytest.mark.claim("C05", published="DeLoRA 23.85 vs LoRA 9.76")
@pytest.mark.parametrize("measure", ["raw", "corrected"])
@pytest.mark.parametrize("other", ["lora", "dora"])
def test_delora_spreads_further_than(effect, holds, other, measure):
    holds(effect({"raw": 1, "corrected": -1}[measure] * len(other)) > 0)
"""


def words(text: str) -> str:
    """Everything but white space, so that wrapped text can be found."""
    return "".join(text.split())


def test_no_line_is_wider_than_the_terminal() -> None:
    assert [
        width for width in (80, 100, 200) if max(map(len, terminal(RECORDS, width=width).splitlines())) > width
    ] == []


def test_nothing_is_cut_at_80_columns() -> None:
    text = terminal([GATED], width=80)
    assert "…" not in text
    assert {"denominator", "INVALID", "C23"} <= set(text.split())
    assert GATED.published.replace(" ", "") in words(text)
    assert report.sentence(GATED.test).replace(" ", "") in words(text)


def test_each_model_has_its_own_table() -> None:
    lines = terminal(RECORDS).splitlines()
    titles = [line for line in lines if line.endswith(("seed)", "seeds)"))]
    assert titles == ["smollm2-135m (cpu, 3 seeds)", "tiny-random-qwen3 (cpu, 1 seed)"]
    assert "3 cases: 1 HOLDS, 1 INCONCLUSIVE, 1 INVALID" in lines
    assert sum(line.startswith("random weights: ") for line in lines) == 1


@pytest.mark.parametrize(
    ("raw", "corrected", "noted"),
    [
        ("HOLDS", "INCONCLUSIVE", True),
        ("HOLDS", "REFUTED", True),
        ("HOLDS", "HOLDS", False),
        ("REFUTED", "REFUTED", False),
    ],
)
def test_a_corrected_case_that_only_holds_raw_says_so(raw: str, corrected: str, noted: bool) -> None:
    records = [replace(RECORD, outcome=raw), replace(CORRECTED, outcome=corrected)]
    assert ("holds raw only" in terminal(records)) == noted
    assert (f"{corrected} (holds raw only)" in markdown(records)) == noted


def test_a_case_of_something_else_is_no_twin() -> None:
    for field in ("model", "claim", "test", "case"):
        other = replace(RECORD, **{field: "other-raw"})
        assert "holds raw only" not in terminal([other, CORRECTED])
    for field in ("model", "claim", "test", "case", "measure", "footing"):
        other = replace(AT_ONE, **{field: "other-one"})
        for table in (terminal, markdown, summary):
            assert "flip" in table([AT_ONE, AT_ISO_KL])
            assert "flip" not in table([other, AT_ISO_KL])


def test_a_case_is_shown_as_flipped_iff_it_comes_out_otherwise_at_iso_kl() -> None:
    for one, iso_kl in product(Outcome, repeat=2):
        records = [replace(AT_ONE, outcome=str(one)), replace(AT_ISO_KL, outcome=str(iso_kl))]
        flipped = one != iso_kl
        verdict = f"{iso_kl} (flipped from {one})" if flipped else f"{iso_kl}"
        page = markdown(records)
        assert f" | {one} | " in page
        assert f" | {verdict} | " in page
        assert f"verdicts that flip from coefficient 1 to iso-KL: {int(flipped)} of 1" in page
        assert (f"flippedfrom{one}" in words(terminal(records))) == flipped


def test_measure_and_footing_are_found_as_whole_parts_of_the_case() -> None:
    for case in ("raws-straw-{}", "uncorrected-{}", "{}-correctedly"):
        records = [replace(record, case=case.format(record.measure)) for record in (RECORD, CORRECTED)]
        assert "holds raw only" in terminal(records)
    for case in ("one-{}", "alone-{}-none", "{}-iso-kls", "miso-kl-{}"):
        records = [replace(record, case=case.format(record.footing)) for record in (AT_ONE, AT_ISO_KL)]
        assert "REFUTED (flipped from HOLDS)" in markdown(records)


def test_each_measure_flips_for_itself() -> None:
    corrected = [
        replace(record, case=record.case.replace("raw", "corrected"), measure="corrected", outcome="INCONCLUSIVE")
        for record in (AT_ONE, AT_ISO_KL)
    ]
    text = markdown([AT_ONE, replace(AT_ISO_KL, outcome="HOLDS"), *corrected])
    assert text.count("INCONCLUSIVE (holds raw only)") == 2
    assert "flipped" not in text
    text = markdown([AT_ONE, AT_ISO_KL, *corrected])
    assert text.count("INCONCLUSIVE (holds raw only)") == 1
    assert text.count("flipped") == 1


def test_a_summary_counts_the_flips_of_each_test() -> None:
    kept = [replace(one, case=one.case.replace("lora", "dora"), outcome="INVALID") for one in (AT_ONE, AT_ISO_KL)]
    lines = summary([AT_ONE, AT_ISO_KL, *kept, replace(RECORD, claim="C07"), TINY]).splitlines()
    assert lines[2] == "| claim | in words | HOLDS | REFUTED | INCONCLUSIVE | INVALID | flips | published |"
    assert " | 1 | 1 |  | 2 | 1 of 2 | " in lines[4]
    assert " | 1 |  |  |  |  | " in lines[5]
    assert lines[7].endswith("; verdicts that flip from coefficient 1 to iso-KL: 1 of 2")
    assert lines[11] == "| claim | in words | HOLDS | REFUTED | INCONCLUSIVE | INVALID | published |"
    rows = [line for line in lines if line.startswith("|")]
    assert [row.count(" | ") for row in rows] == [7] * 4 + [6] * 3


def test_the_order_of_the_records_does_not_matter() -> None:
    records = [*RECORDS, AT_ONE, AT_ISO_KL]
    for table in (terminal, markdown, summary):
        assert table(reversed(records)) == table(records)


def test_a_run_ends_with_the_table(project: Project) -> None:
    project.claims(CLAIMS)
    project.record()
    result = project.run()
    result.assert_outcomes(passed=2, xfailed=2)
    table = on_a_screen(project.records, width=80)
    assert table in result.stdout.str()
    assert terminal(project.records, width=80) in project.run("-v").stdout.str()
    assert table.count("holds raw only") == 2
    assert table.count(" same") == 4
    assert max(map(len, table.splitlines())) <= 80


def test_the_table_says_what_is_new_missing_and_changed(project: Project) -> None:
    project.run("--snapshot-update").stdout.fnmatch_lines(["*HOLDS * new"])
    project.run(EFFECT="-1").stdout.fnmatch_lines(["*REFUTED * HOLDS ->", "* REFUTED"])
    project.run(EFFECT="1.13").stdout.fnmatch_lines(["*HOLDS * value 1.00", "* -> 1.13"])
    project.snapshot().unlink()
    project.run().stdout.fnmatch_lines(["*HOLDS * missing"])


def test_a_worker_leaves_the_same_table(project: Project) -> None:
    project.claims(CLAIMS)
    project.record()
    alone, records = project.run(), project.records
    shared = project.run("claims", "-n", "1")  # of claims alone, so that the worker need not check shapes
    shared.assert_outcomes(passed=2, xfailed=2)
    assert shared.ret == pytest.ExitCode.OK
    assert report.ordered(project.records) == report.ordered(records)
    assert on_a_screen(records) in shared.stdout.str()
    assert on_a_screen(records) in alone.stdout.str()


def test_a_folded_table_counts_what_stands_beside_its_numbers() -> None:
    gated = replace(GATED, gates=["pmass 0.30 < 0.50 at -2", "6 rows"])
    folded, full = terminal([RECORD, gated], folded=True), terminal([RECORD, gated])
    assert "6 rows" in full
    assert "6 rows" not in folded
    n = sum(in_words(record).count("\n") for record in (RECORD, gated))
    assert f"beside the numbers: {n} lines of gates and side measures, which -v shows" in folded
    assert "beside the numbers" not in terminal([replace(RECORD, gates=[], beside=[])], folded=True)


def test_many_cases_are_one_screen_that_counts_them_all_and_names_what_changed() -> None:
    outcomes = ["HOLDS", "REFUTED", "INCONCLUSIVE", "INVALID"]
    records = [
        replace(RECORD, claim=f"C{n % 60:02}", case=f"case {n}", outcome=outcomes[n % 4], snapshot="same")
        for n in range(1500)
    ]
    records += [replace(RECORD, claim="C70", case=f"moved {n}", snapshot="value 1.00 -> 2.00") for n in range(10)]
    text = on_a_screen(reversed(records))
    lines = text.splitlines()
    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= 80
    assert "1510 cases of 61 claims:\n385 HOLDS (+), 375 REFUTED (-), 375 INCONCLUSIVE (?), 375 INVALID (x)\n" in text
    assert "C00  25+" in text
    assert text.count("value 1.00 -> 2.00 C70 moved") == 8
    assert "and 2 more that are not as recorded" in text
    assert on_a_screen(records[:3]) == terminal(records[:3], folded=True)


def test_a_record_is_plain_json() -> None:
    for record in (GATED, AT_ISO_KL):
        assert Record(**json.loads(json.dumps(asdict(record)))) == record


def test_cases_that_could_turn_their_sign_within_their_tolerance_are_listed() -> None:
    sure = replace(RECORD, value=-0.3, tolerance=0.1, case="sure")
    turning = replace(RECORD, value=-0.05, tolerance=0.1, case="turning", tolerance_from="noise of arithmetic")
    broken = replace(RECORD, value=None, tolerance=None, case="broken")
    said = loose([sure, turning, broken])
    assert "| turning | -0.05 | 0.10 | noise of arithmetic |" in said
    assert "sure" not in said
    assert "broken" not in said
    assert said.splitlines()[-1] == "1 of 3 cases; 1 by noise of arithmetic"


def test_a_line_says_if_a_case_was_decided_from_one_side() -> None:
    reaching = replace(RECORD, low=-0.5, p_holds=0.0282)
    assert "one-sided p = 0.028; the interval has two sides" in in_words(reaching)
    for clear in (RECORD, replace(reaching, outcome="INCONCLUSIVE"), replace(reaching, low=None)):
        assert "one-sided" not in in_words(clear)
