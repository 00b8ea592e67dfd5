"""The page on results runs, and its table is the schema's."""

from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from fixtures.properties import as_property
from ws.results import files
from ws.results.results import Results
from ws.results.words import START, with_fields
from ws.tests.documents import DOCS, blocks
from ws.tests.test_report import GATED, RECORD

PAGE = DOCS / "results.md"
CODE = dict(zip(("pandas", "files", "junit"), blocks(PAGE, "python"), strict=True))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the page reads, which is where it runs."""
    monkeypatch.chdir(tmp_path)
    for name in ("results.parquet", "results.csv"):
        files.write(Results([RECORD, GATED]), tmp_path / name)
    name, said = as_property(RECORD)
    test = f"<testcase><properties><property name='{name}' value={quoteattr(str(said))}/></properties></testcase>"
    (tmp_path / "junit.xml").write_text(f"<testsuites><testsuite>{test}</testsuite></testsuites>")
    return tmp_path


def test_five_lines_of_pandas_show_what_is_decided(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(CODE["pandas"].split("\n\n", 1)[1].splitlines()) + 1 == 5
    exec(CODE["pandas"], {})
    decided, counts = capsys.readouterr().out.split("outcome")
    assert f"{RECORD.value}" in decided
    assert GATED.claim not in decided
    assert GATED.claim in counts


def test_a_file_is_read_and_written_again(folder: Path) -> None:
    exec(CODE["files"], {})
    assert files.read(folder / "again.json") == files.read(folder / "results.csv")


def test_verdicts_are_found_in_a_file_of_junit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(CODE["junit"], {})
    assert capsys.readouterr().out == "['HOLDS']\n"


def test_the_table_of_the_page_is_the_schema_s() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert START in page
    assert with_fields(page) == page
