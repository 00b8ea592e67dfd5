"""The register of claims refuses what is wrong, gives tests their figures, and ours agrees with our tests."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from ws.errors import DataError
from ws.report.register import FILE, Register, published, read, read_beside
from ws.tests.conftest import Project

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "claims"

ASKED = """
[C05]
sentence = "It steers."
source = "here"
[C05.tests]
"test_claims.py::test_it_steers" = "23.85"
"""
UNASKED = '[C26]\nsentence = "It grows."\nsource = "there"\nunasked = "nobody searched"\npublished = "not run"\n'
BARE = '[C05]\nsentence = "It steers."\nsource = "here"\n'
MARKED = '\nimport pytest\n\n@pytest.mark.claim("C05")\ndef test_it_steers(effect, holds):\n    holds(effect() > 0)\n'


@pytest.fixture(scope="module")
def ours() -> Register:
    return read(CLAIMS / FILE)


def marked() -> Iterator[tuple[str, str, ast.Call]]:
    """Each test of ours that is marked: its place, the claim's id, and the mark."""
    for path in sorted(CLAIMS.glob("test_*.py")):
        for function in ast.parse(path.read_text(encoding="utf-8")).body:
            for mark in getattr(function, "decorator_list", []):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith("mark.claim"):
                    yield f"{path.name}::{function.name}", ast.literal_eval(mark.args[0]), mark


def test_every_mark_is_in_the_register_and_every_test_of_the_register_is_marked(ours: Register) -> None:
    by_claim: dict[str, set[str]] = defaultdict(set)
    for place, claim, _ in marked():
        by_claim[claim].add(place)
    assert by_claim == {id: set(entry.tests) for id, entry in ours.items() if entry.tests}


def test_figures_stand_in_the_register_alone(ours: Register) -> None:
    assert [place for place, _, mark in marked() if mark.keywords] == []
    assert [id for id, entry in ours.items() if not all([*entry.tests.values(), entry.sentence, entry.source])] == []


def test_every_claim_and_system_is_listed_in_order(ours: Register) -> None:
    claims, systems = ([id for id in ours if id.startswith(letter)] for letter in "CS")
    assert list(ours) == claims + systems
    assert claims == [f"C{number:02d}" for number in range(1, len(claims) + 1)]
    assert systems == [f"S{number}" for number in range(1, len(systems) + 1)]


def test_what_reasons_point_at_exists(ours: Register) -> None:
    reasons = " ".join(entry.unasked for entry in ours.values())
    assert [name for name in re.findall(r"`(ws/\S+)`", reasons) if not (ROOT / name).exists()] == []
    assert set(re.findall(r"\b[CS]\d+\b", reasons)) <= ours.keys()


def test_a_register_gives_each_test_its_figures(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(ASKED + UNASKED)
    found = read_beside(tmp_path)
    assert published(found, "C05", "test_claims.py::test_it_steers") == "23.85"
    assert published(found, "C05", "test_claims.py::test_another") == ""
    assert published(found, "C99", "test_claims.py::test_it_steers") == ""
    assert (found["C26"].unasked, found["C26"].published) == ("nobody searched", "not run")


def test_a_folder_without_a_register_has_an_empty_one(tmp_path: Path) -> None:
    assert read_beside(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[C05", r"register\.toml cannot be read"),
        ("C05 = 3", r"C05 in .* is 3; expected the texts sentence and source"),
        ('[C05]\nsentence = "It steers."', "expected the texts sentence and source"),
        (BARE + "published = 23.85", "expected the texts sentence and source"),
        (BARE + 'tests = ["test_it"]', "expected the texts sentence and source"),
        (BARE + 'scource = "there"', "expected the texts sentence and source"),
        (BARE, "neither tests nor unasked"),
        (BARE + 'unasked = "no"\n[C05.tests]\n"test_it" = ""', "both tests and unasked"),
        (BARE + 'published = "1"\n[C05.tests]\n"test_it" = ""', "give each test its own figures"),
    ],
)
def test_a_register_that_says_too_little_or_too_much_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError, match=message):
        read_beside(tmp_path)


@pytest.mark.parametrize(("mark", "figures"), [("", "23.85"), (', published="9.76"', "9.76")])
def test_a_case_takes_its_figures_from_its_mark_or_the_register(project: Project, mark: str, figures: str) -> None:
    project.claims(MARKED.replace('"C05"', f'"C05"{mark}'))
    (project.pytester.path / "claims" / FILE).write_text(ASKED)
    project.run("--snapshot-update")
    assert [record.published for record in project.records] == [figures]


def test_a_run_of_a_claim_that_no_test_asks_says_why(project: Project) -> None:
    (project.pytester.path / "claims" / FILE).write_text(UNASKED)
    said = project.run("-k", "C26 and not lora")
    assert said.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    said.stdout.fnmatch_lines(["C26, 'It grows': no test asks it. nobody searched"])
    project.run("-k", "c2").stdout.no_fnmatch_line("*no test asks it*")


def test_a_run_beside_a_broken_register_says_what_is_wrong(project: Project) -> None:
    project.claims(MARKED)
    (project.pytester.path / "claims" / FILE).write_text(BARE)
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*C05 has neither tests nor unasked*"])
