"""The report is one sound page: well-formed, with nothing from elsewhere, and with every word of a file escaped."""

import json
import re
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws import cli
from ws.errors import DataError
from ws.html.artifacts import ranges
from ws.html.cases import case_of, families_in, short
from ws.html.controls import controls
from ws.html.gather import gathered
from ws.html.page import Content, page
from ws.html.paper import INK
from ws.html.scale import MOST_TICKS, scale, ticks
from ws.html.strip import scale_of, strip
from ws.report.forest import GREY
from ws.report.register import Entry
from ws.report.verdicts import Record, outcomes, recorded
from ws.tests.conftest import Project
from ws.tests.documents import ROOT, recorded_verdicts
from ws.tests.markup import Page
from ws.tests.test_report import AT_ISO_KL, AT_ONE, CORRECTED, GATED, RECORD, RECORDS, TINY

CLAIMS = ROOT / "claims"
NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"
ENTRY = Entry(
    id="C05",
    sentence="DeLoRA spreads furthest",
    source="journal",
    tests={"test_families.py::test_delora_spreads_further_than": "23.85 vs 9.76"},
)


@cache
def of_everything() -> str:
    """The page of all that is recorded of both models."""
    tiny = recorded(CLAIMS / "__snapshots__" / "tiny-random-qwen3")
    return page(gathered([*recorded_verdicts(), *tiny], CLAIMS))


@cache
def read_of_everything() -> Page:
    return Page(of_everything())


def small(*records: Record, **others: object) -> Page:
    return Page(page(Content(records=records or RECORDS, register={"C05": ENTRY}, **others)))


def test_the_page_of_all_recorded_verdicts_is_well_formed() -> None:
    assert read_of_everything().faults == []


def test_every_id_is_there_once_and_every_link_leads_to_one() -> None:
    found = read_of_everything()
    assert [id for id, n in found.ids.items() if n > 1] == []
    assert [link for link in found.links if link[0] != "#" or link[1:] not in found.ids] == []
    assert len(found.links) > 80


def test_nothing_comes_from_elsewhere() -> None:
    found = read_of_everything()
    assert found.loaded == found.handlers == []
    assert not {"link", "img", "iframe", "object", "base"} & set(found.tags)
    assert [one for one in found.scripts if re.search(r"https?:|@import|url\(|fetch\(|eval\(", one)] == []


def test_the_browser_may_run_this_script_and_style_alone() -> None:
    [policy] = [a["content"] for tag, a in read_of_everything().attributes if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    assert policy.count("'sha256-") == 2
    assert "unsafe" not in policy


def test_it_is_at_most_three_megabytes() -> None:
    assert len(of_everything().encode()) <= 3_000_000


def test_the_same_records_make_the_same_page_whatever_their_order() -> None:
    one, other = (page(Content(records=records, register={"C05": ENTRY})) for records in (RECORDS, RECORDS[::-1]))
    assert one.count("<li") == other.count("<li")
    assert one == other


@pytest.mark.parametrize(
    "records",
    [
        [replace(RECORD, test=f"test_{NASTY}")],
        [replace(RECORD, case=f"lora-{NASTY}-raw")],
        [replace(RECORD, gates=[NASTY], beside=[NASTY], relation=NASTY)],
        [replace(RECORD, published=NASTY, tolerance_from=NASTY, keys=[NASTY])],
        [replace(RECORD, recorded={"commit": NASTY, "machine": {"processor": NASTY}, "releases": {NASTY: NASTY}})],
        [replace(RECORD, model=NASTY, measure=NASTY, device=NASTY)],
        [replace(RECORD, test="test_sycophancy", behavior=rf"\1{NASTY}")],
    ],
    ids=["test", "case", "lines", "figures", "recorded", "model", "behavior"],
)
def test_words_of_a_snapshot_stay_words(records: list[Record]) -> None:
    found = small(*records)
    assert found.faults == found.handlers == []
    assert (found.tags["script"], found.tags["img"]) == (1, 0)
    assert "alert(1)" in found.text or any("alert(1)" in value for _, a in found.attributes for value in a.values())


def test_words_of_the_register_stay_words() -> None:
    entries = {
        "C05": replace(ENTRY, sentence=NASTY, source=NASTY),
        "C06": Entry(id="C06", sentence=NASTY, source=NASTY, unasked=NASTY, published=NASTY),
    }
    found = Page(page(Content(records=RECORDS, register=entries, phrases={RECORD.keys[0]: NASTY})))
    assert found.faults == []
    assert (found.tags["script"], found.tags["img"]) == (1, 0)
    assert found.text.count("alert(1)") >= 6


def test_a_card_says_what_there_is_to_know_of_a_case() -> None:
    text = small(GATED).text
    for said in (*GATED.gates, GATED.published, GATED.relation, "INVALID", GATED.tolerance_from, GATED.keys[0]):
        assert said in text


def test_an_open_case_says_what_it_could_have_told() -> None:
    shown = small(replace(RECORD, outcome="INCONCLUSIVE", smallest=0.5, needs="9 seeds")).text
    assert "could tell 0.5 from nothing; 9 seeds would decide this" in shown


def test_a_case_that_holds_raw_only_says_so_and_footings_stand_side_by_side() -> None:
    assert "holds raw only" in small(RECORD, CORRECTED).text
    text = small(AT_ISO_KL, AT_ONE, replace(AT_ONE, case="delora-ia3-raw-one")).text
    assert "delora-lora coefficient 1" in text
    assert text.index("delora-lora coefficient 1") < text.index("delora-lora equal KL")
    assert "flipped from HOLDS" in text


def test_claims_without_a_case_are_told_apart_from_those_that_no_test_asks() -> None:
    register = {
        "C05": ENTRY,
        "C06": replace(ENTRY, id="C06", sentence="still open"),
        "C07": Entry(id="C07", sentence="on faces", source="s", unasked="needs a camera"),
    }
    shown = Page(page(Content(records=[RECORD], register=register)))
    assert "pytest claims/ -k c06" in shown.text
    assert "needs a camera" in shown.text
    chosen = Page(page(Content(records=[RECORD], register=register, all_claims=False)))
    assert "camera" not in chosen.text


def test_the_overview_counts_every_case_once() -> None:
    found = read_of_everything()
    n = sum(tag == "li" and "class" in a and a["class"] in tuple("hrox") for tag, a in found.attributes)
    counted = re.search(r"(\d+) cases of (\d+) claims", found.text)
    assert counted is not None
    assert int(counted[1]) == n


def test_a_report_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="snapshot-update"):
        Content(records=[], register={})


def test_a_case_is_named_by_what_varies() -> None:
    names = [case_of(record, outcomes([record])).name for record in (RECORD, AT_ISO_KL, replace(RECORD, case="raw"))]
    assert names == ["delora-lora", "delora-lora", ""]


def test_families_are_whole_words_of_a_case_or_else_of_its_test() -> None:
    assert families_in("test_delora_spreads_further_than_dora") == ("dora", "delora")
    assert case_of(replace(RECORD, case="corrected", test="test_pissa_leans"), {}).families == ("pissa",)
    assert case_of(replace(RECORD, case="lora-raw", test="test_pissa_leans"), {}).families == ("lora",)


def test_controls_are_the_tests_that_must_not_hold(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_a(holds): ...\ndef test_b(must_not_hold): ...\ndef c(): ...\n")
    assert controls(tmp_path) == {"test_one.py": ("test_b",)}
    assert sum(map(len, controls(CLAIMS).values())) > 20


def test_places_are_told_in_runs() -> None:
    assert [ranges(one) for one in ([], [4], [1, 2, 3, 7, 9, 10])] == ["", "4", "1-3 7 9-10"]


@pytest.mark.parametrize(("x", "told"), [(None, "n/a"), (0.0, "0.00"), (-2.14e-5, "-2.1e-05"), (0.0123, "0.012")])
def test_no_number_is_told_as_zero_that_is_none(x: float | None, told: str) -> None:
    assert short(x) == told


finite = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)


interval = st.tuples(finite, finite).map(lambda ends: (min(ends), max(ends)))


@given(st.lists(finite, min_size=1, max_size=9), st.lists(interval, max_size=9))
def test_an_axis_shows_every_value_and_no_interval_squeezes_them(
    values: list[float], intervals: list[tuple[float, float]]
) -> None:
    on = scale(values, intervals)
    assert on.low < on.high
    assert all(on.holds(value) for value in values)
    width, halves = max(values) - min(values), sorted((high - low) / 2 for low, high in intervals)
    middle = halves[len(halves) // 2] if halves else 0.0
    if width > 0:
        assert on.high - on.low <= 1.1 * (width + 2 * max(1.5 * width, 2 * middle)) * (1 + 1e-9)


@given(finite, st.floats(1e-5, 1e5))
def test_one_interval_is_shown_as_a_whole(value: float, half: float) -> None:
    on = scale([value], [(value - half, value + half)])
    assert on.holds(value - half)
    assert on.holds(value + half)


def test_one_far_interval_among_others_is_cut() -> None:
    on = scale([0.0, 1.0, 2.0], [(-0.5, 0.5), (0.5, 1.5), (-90.0, 94.0)])
    assert on.holds(-1.0)
    assert not on.holds(-10.0)


@given(finite, st.floats(1e-6, 1e6))
def test_ticks_are_round_numbers_on_the_axis(low: float, width: float) -> None:
    found = ticks(low, low + width)
    assert 1 <= len(found) <= MOST_TICKS
    slack = 1e-9 * (abs(low) + width)
    assert all(low - slack <= one <= low + width + slack for one in found)
    assert all(len(f"{one:.10g}") <= 12 for one in found)


def test_a_strip_marks_its_verdict_its_interval_and_what_it_is_compared_with() -> None:
    case = case_of(RECORD, {})
    drawn = str(strip(case, scale_of([case])))
    assert drawn.count("<rect") == 2
    assert 'href="#mark-h"' in drawn
    assert "to-left" not in drawn
    within = case_of(replace(RECORD, value=0.0, low=-50.0, high=0.05, threshold=0.1, relation="within ±0.1"), {})
    near = case_of(replace(RECORD, value=0.0, low=-0.1, high=0.1), {})
    drawn = str(strip(within, scale_of([within, near, near])))
    assert drawn.count('class="t"') == 2
    assert "to-left" in drawn


def test_a_case_without_a_number_has_no_strip() -> None:
    case = case_of(GATED, {})
    assert scale_of([case]) is None
    assert strip(case, None) == ""
    assert small(GATED, TINY).faults == []


def test_ws_report_writes_the_page_and_says_how_large_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "snapshots" / "smollm2-135m"
    folder.mkdir(parents=True)
    (folder / "one.json").write_text(json.dumps(RECORD.to_snapshot()))
    out = tmp_path / "new" / "page.html"
    options = ["--snapshots", str(tmp_path / "snapshots"), "--tests", str(CLAIMS), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["ws", "report", *options, "--claims", "c05"])
    cli.main()
    assert re.fullmatch(r".*page\.html, 1 case, 0\.\d\d MB\n", capsys.readouterr().out)
    assert RECORD.published in Page(out.read_text()).text
    monkeypatch.setattr(sys, "argv", ["ws", "report", *options, "--claims", "c99"])
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main()
    assert "unknown claim 'C99'" in capsys.readouterr().err


def test_a_run_writes_its_page(project: Project) -> None:
    project.run("-q", "--report=new/page.html").stdout.fnmatch_lines(["report: new/page.html, 1 case, *"])
    shown = Page((project.pytester.path / "new" / "page.html").read_text())
    assert shown.faults == []
    assert "of this run" in shown.text
    [record] = project.records
    assert record.relation in shown.text


def test_a_report_where_a_folder_is_is_refused_before_anything_runs(project: Project) -> None:
    result = project.run("--report=claims")
    result.stderr.fnmatch_lines(["*--report claims is a folder; give a file, such as claims/report.html"])
    assert project.records == []


def figure(*options: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    model = folder / "snapshots" / "smollm2-135m"
    model.mkdir(parents=True, exist_ok=True)
    (model / "one.json").write_text(json.dumps(RECORD.to_snapshot()))
    where = ["--snapshots", str(folder / "snapshots"), "--tests", str(CLAIMS)]
    monkeypatch.setattr(sys, "argv", ["ws", "report", *where, *options])
    cli.main()


def test_a_plot_for_a_paper_is_dark_on_white_in_both_formats(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    figure("--figure", "c05", monkeypatch=monkeypatch, folder=tmp_path)
    drawn = (tmp_path / "c05.svg").read_text()
    assert Page(drawn).faults == []
    assert INK in drawn
    assert GREY not in drawn
    assert "<desc>1 case: 1 HOLDS</desc>" in drawn
    asked: list[dict[str, object]] = []

    def svg_to_bytes(**options: object) -> list[int]:
        asked.append(options)
        return [137, 80, 78, 71]

    monkeypatch.setitem(sys.modules, "resvg_py", SimpleNamespace(svg_to_bytes=svg_to_bytes))
    figure("--figure", "C05", "--format", "png", "--out", "new/x.png", monkeypatch=monkeypatch, folder=tmp_path)
    assert (tmp_path / "new" / "x.png").read_bytes() == b"\x89PNG"
    assert asked == [{"svg_string": drawn, "zoom": 3.0, "background": "#ffffff"}]


def test_png_without_its_library_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(SystemExit, match=r"^2$"):
        figure(
            "--figure",
            "C05",
            "--format",
            "png",
            "--out",
            str(tmp_path / "x.png"),
            monkeypatch=monkeypatch,
            folder=tmp_path,
        )
    assert "weight-steering-claims[figures]" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()
