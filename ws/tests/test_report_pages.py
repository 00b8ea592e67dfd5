"""Pages and pictures show all recorded verdicts and nothing else, and those of this checkout are up to date."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ws.errors import DataError, UnknownNameError
from ws.report import show
from ws.report.forest import COLOURS, LABELS, PANEL, forest
from ws.report.pages import INDEX, MADE, Theme, pages, themes
from ws.report.register import Entry, Register, read_beside
from ws.report.verdicts import Record
from ws.tests.documents import recorded_verdicts
from ws.tests.test_report import RECORD

ROOT = Path(__file__).parents[2]
CLAIMS, DOCS = ROOT / "claims", ROOT / "docs"

PLACE = f"test_families.py::{RECORD.test}"
ENTRY = Entry(id="C05", sentence="DeLoRA spreads furthest.", source="a journal", tests={PLACE: "23.85 vs 9.76"})
UNASKED = Entry(id="C26", sentence="It grows with rank.", source="a journal", unasked="Nobody searched.")
SYSTEM = replace(UNASKED, id="S19", sentence="A dW is made.")
REGISTER: Register = {entry.id: entry for entry in (ENTRY, UNASKED, SYSTEM)}
THEME = Theme("test_families.py", 'Which family, and what "</think>" is', "Source: here.")


@pytest.fixture(scope="module")
def ours() -> list[Record]:
    """The verdicts on all models of which some are recorded, as the Makefile names them."""
    named = re.search(r"^RECORDED := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert named is not None
    trained = {path.name for path in (CLAIMS / "__snapshots__").iterdir()} - {"tiny-random-qwen3"}
    assert set(named[1].split()) == trained
    return [record for model in named[1].split() for record in recorded_verdicts(model)]


def test_the_pages_and_the_picture_in_docs_are_what_make_table_writes(ours: list[Record]) -> None:
    register = read_beside(CLAIMS)
    written = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "verdicts").glob("*.md")}
    made = pages(ours, register, themes(CLAIMS, register))
    stale = {name for name in made.keys() | written.keys() if made.get(name) != written.get(name)}
    assert stale == set(), "run `make table`: snapshots, the register or what a module says of itself have changed"
    drawn = forest([record for record in recorded_verdicts() if record.claim == "C05"], register["C05"])
    assert (DOCS / "pictures" / "c05.svg").read_text(encoding="utf-8") == drawn


def test_every_recorded_case_is_on_the_page_of_its_theme(ours: list[Record]) -> None:
    register = read_beside(CLAIMS)
    made = pages(ours, register, themes(CLAIMS, register))
    verdicts = [text.count("| **") for name, text in made.items() if name != INDEX]
    assert sum(verdicts) == len(ours)
    counted = re.findall(r"^(\d+) cases: ", made[INDEX], re.MULTILINE)
    assert sum(map(int, counted)) == len(ours)


def test_a_page_says_what_was_claimed_and_what_came_out() -> None:
    page = pages([RECORD], REGISTER, [THEME])["families.md"]
    assert '# Which family, and what "&lt;/think>" is\n\nSource: here.' in page
    assert "## C05: DeLoRA spreads furthest\n" in page
    assert "Published: 23.85 vs 9.76." in page
    assert "| delora-lora-raw | 12.25 [11.60, 13.10] > 0 | **HOLDS** |" in page
    assert "No case of it is recorded yet." in pages([], REGISTER, [THEME])["families.md"]


def test_the_index_counts_and_says_why_a_claim_is_not_asked() -> None:
    lines = pages([RECORD, replace(RECORD, case="x", outcome="REFUTED")], REGISTER, [THEME])[INDEX].splitlines()
    assert "| [C05](families.md#c05) | DeLoRA spreads furthest. | 1 | 1 |  |  |" in lines
    assert "| C26 | It grows with rank. |  | Nobody searched. |" in lines
    assert "2 cases: 1 HOLDS, 1 REFUTED." in lines


@pytest.mark.parametrize(
    ("module", "message"), [(None, "test_it.py is not there"), ("x = 1\n", "test_it.py has no docstring")]
)
def test_a_theme_that_says_nothing_of_itself_is_refused(tmp_path: Path, module: str | None, message: str) -> None:
    if module is not None:
        (tmp_path / "test_it.py").write_text(module)
    with pytest.raises(DataError, match=message):
        themes(tmp_path, {"C05": replace(ENTRY, tests={"test_it.py::test_it": ""})})


def test_a_page_of_a_theme_that_is_no_more_goes_and_what_others_wrote_stays(tmp_path: Path) -> None:
    (tmp_path / "test_families.py").write_text('"""Which family."""\n')
    folder = tmp_path / "verdicts"
    folder.mkdir()
    (folder / "gone.md").write_text(f"{MADE}\n# Gone\n")
    (folder / "mine.md").write_text("# Mine\n")
    show.write_pages(folder, [RECORD], REGISTER, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["families.md", INDEX, "mine.md"]


def test_claims_are_chosen_by_id_in_whatever_case() -> None:
    assert show.of_claims([RECORD], ["c05"], REGISTER) == show.of_claims([RECORD], [], REGISTER) == [RECORD]
    with pytest.raises(DataError, match=r"no verdict on C26 is recorded; C26: Nobody searched\.$"):
        show.of_claims([RECORD], ["c26"], REGISTER)
    with pytest.raises(UnknownNameError, match="unknown claim 'C50'; known: C05, C26"):
        show.of_claims([RECORD], ["c50"], REGISTER)


def test_the_register_is_listed_briefly_and_a_claim_of_it_with_its_tests() -> None:
    assert show.listed(REGISTER, []).splitlines()[1] == "C26  It grows with rank."
    asked, unasked = show.listed(REGISTER, ["c05", "C26"]).split("\n\n")
    assert "  run it: pytest claims/ -k c05\n  test_families.py::" in asked
    assert "(published: 23.85 vs 9.76)" in asked
    assert "\n  no test asks it: Nobody searched." in unasked
    with pytest.raises(UnknownNameError, match="unknown claim 'C50'"):
        show.listed(REGISTER, ["c50"])


def drawn(records: list[Record]) -> Callable[[str], list[ElementTree.Element]]:
    root = ElementTree.fromstring(forest(records, ENTRY))
    return lambda tag: root.findall(f".//{{http://www.w3.org/2000/svg}}{tag}")


def place_of(mark: ElementTree.Element) -> float:
    return float(str(mark.get("d"))[1:].split()[0])


def shape_of(mark: ElementTree.Element) -> str:
    return str(mark.get("d")).partition("m")[2]


def test_a_forest_has_a_mark_per_case_between_the_ends_of_its_interval() -> None:
    corrected = replace(RECORD, case="delora-lora-corrected", measure="corrected", value=-1.0, low=-2.0, high=0.5)
    found = drawn([RECORD, replace(corrected, outcome="REFUTED")])
    marks, lines = found("path"), [line for line in found("line") if line.get("stroke") in COLOURS.values()]
    assert [mark.get("stroke") for mark in marks] == [COLOURS["HOLDS"], COLOURS["REFUTED"]]
    assert len({shape_of(mark) for mark in marks}) == 2
    for mark, line in zip(marks, lines, strict=True):
        assert float(line.get("x1")) < place_of(mark) < float(line.get("x2"))
    raw, corrected_at = map(place_of, marks)
    assert LABELS < raw < LABELS + PANEL < corrected_at
    assert [text.text for text in found("text")].count("delora-lora") == 1


def test_numbers_below_an_axis_do_not_cover_each_other() -> None:
    def told(low: float) -> list[str | None]:
        one = replace(RECORD, measure=None, case="", value=10.0, low=low, high=20.0, threshold=0.0)
        return [text.text for text in drawn([one])("text") if text.get("text-anchor") == "middle"]

    assert {"0.00", "-8.00", "20.00"} <= set(told(-8.0))
    assert "-0.50" not in told(-0.5)
    assert told(0.0).count("0.00") == 1


def test_a_forest_draws_what_has_a_number_and_says_when_nothing_has() -> None:
    lone = replace(RECORD, measure=None, case="", value=1.0, low=1.0, high=1.0, threshold=None)
    assert len(drawn([lone, replace(lone, case="x", value=None)])("path")) == 1
    assert len(drawn([RECORD, lone])("path")) == 1
    with pytest.raises(DataError, match="no case of C05 has a number to draw"):
        forest([replace(lone, low=None)], ENTRY)


def test_a_picture_is_of_one_claim(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of one claim of the register on one model, not of C05, C06"):
        show.write_picture(tmp_path / "x.svg", [RECORD, replace(RECORD, claim="C06")], REGISTER)
    show.write_picture(tmp_path / "pictures" / "x.svg", [RECORD], REGISTER)
    assert (tmp_path / "pictures" / "x.svg").read_text() == forest([RECORD], ENTRY)


def test_a_plain_table_is_fenced_in_a_page(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("<!-- table -->\n<!-- end of table -->\n")
    show.write_table(page, [RECORD], "plain")
    assert re.search(r"^```\nsmollm2-135m .*\n```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
