"""A run of claims on a behavior of one's own: what is left out and why, and where its verdicts are kept."""

import json
from pathlib import Path

import pytest

from ws.tests.behavior_files import JUDGES, PROMPTS, of_questions, of_text, written
from ws.tests.conftest import Project, conftest_with

EVERY_KIND = """
import pytest

@pytest.fixture
def measure(): return "corrected"

@pytest.fixture
def contest(): pass

@pytest.fixture
def zero_rows(): pass

@pytest.fixture
def behavior_name(): return "honesty"

@pytest.mark.parametrize("measure", ["raw", "corrected", "text", "written"])
def test_measured(model_name, measure): pass

def test_corrected(model_name, measure): pass

def test_zero(model_name, zero_rows): pass

def test_no_rows_at_all(model_name): pass

def test_dilemmas(model_name, contest): pass

@pytest.mark.parametrize("behavior_name", ["honesty", "sycophancy"])
def test_rivals(contest, behavior_name, subject): assert behavior_name == subject.behavior_name

@pytest.mark.parametrize("pair", ["agree", "right"])
def test_pairs(model_name, measure, pair): pass

def test_of_no_model(): pass
"""

CLAIMS = "ask in Yes and No, and its file has no [[]claims]*"
HONESTY = "are about honesty (its dilemmas, its rivals) or about sycophancy beside it"


@pytest.fixture
def mixed(project: Project) -> Project:
    """A project whose tests read every kind of rows."""
    project.pytester.makeconftest(conftest_with("models", "behaviors"))
    project.claims(EVERY_KIND)
    return project


def told(project: Project, content: object) -> str:
    """The option that names a file with this content."""
    return f"--behavior={written(project.pytester.path / 'mine.json', content)}"


@pytest.mark.parametrize(
    ("content", "ran", "left_out"),
    [
        (of_text(), 3, {CLAIMS: 6, HONESTY: 1, "judge what is *[[][[]judges]]": 1, "compete with *[[]prompts]": 1}),
        (of_text(judges=JUDGES, prompts=PROMPTS), 5, {CLAIMS: 6, HONESTY: 1}),
        (of_questions(), 9, {HONESTY: 1, "judge what is *[[][[]judges]]": 1, "compete with *[[]prompts]": 1}),
        (of_questions(judges=JUDGES, prompts=PROMPTS), 11, {HONESTY: 1}),
    ],
    ids=["text", "text and rivals", "questions", "all"],
)
def test_what_is_not_about_it_is_left_out_with_the_reason(
    mixed: Project, content: object, ran: int, left_out: dict[str, int]
) -> None:
    result = mixed.run("claims", told(mixed, content))
    result.assert_outcomes(passed=ran, deselected=sum(left_out.values()))
    lines = [f"left out of its run: {sum(left_out.values())} tests", *(f"  {n} {why}" for why, n in left_out.items())]
    result.stdout.fnmatch_lines(["behavior patience@* of */mine.json"])
    for line in lines:
        result.stdout.fnmatch_lines([line])


def test_workers_say_what_they_left_out(mixed: Project) -> None:
    options = ("claims", told(mixed, of_text()), f"--store={mixed.store}", "-n", "1")
    result = mixed.pytester.runpytest_subprocess(*options)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["left out of its run: 9 tests", f"  6 {CLAIMS}"])


def test_tests_of_our_behaviors_go_over_the_chosen_one(mixed: Project) -> None:
    result = mixed.run(
        "claims", told(mixed, of_questions(prompts=PROMPTS)), "--collect-only", "-q", "-k", "rivals or pairs"
    )
    result.stdout.fnmatch_lines(["*::test_rivals[[]*patience]", "*::test_pairs[[]*-fair]", "*::test_pairs[[]*-fine]"])
    result.stdout.no_fnmatch_line("*honesty*")
    mixed.run("claims").assert_outcomes(passed=12, failed=1)


def test_what_was_never_recorded_stands_alone(project: Project) -> None:
    option = told(project, of_text())
    result = project.run("claims", option)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["smollm2-135m, patience@* (cpu, 3 seeds)", "*HOLDS*unrecorded"])
    result.stdout.fnmatch_lines(
        ["*--snapshot-update records in *store/behaviors/patience@*/repositories/*-claims@*/snapshots/smollm2-135m"]
    )


def test_verdicts_are_kept_in_the_behavior_s_home_whatever_its_file_is_called(project: Project) -> None:
    project.record("claims", told(project, of_text()))
    [home] = (project.store / "behaviors").iterdir()
    [snapshot] = (home / project.part / "snapshots" / "smollm2-135m").iterdir()
    assert json.loads(snapshot.read_text())["behavior"] == home.name
    assert project.snapshots() == []
    renamed = (project.pytester.path / "mine.json").rename(project.pytester.path / "yours.json")
    result = project.run("claims", f"--behavior={renamed}", EFFECT="-1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*verdict HOLDS -> REFUTED*", f"*pytest *test_it_steers* --behavior={renamed}*"])
    project.run("claims", "--behavior", home.name).assert_outcomes(passed=1)


def test_a_chosen_folder_takes_the_verdicts_of_every_behavior(project: Project) -> None:
    project.record("claims", told(project, of_text()), "--snapshots", "kept")
    project.record("claims", "--snapshots", "kept")
    recorded = [
        path.relative_to(project.pytester.path / "kept") for path in (project.pytester.path / "kept").rglob("*.json")
    ]
    [home] = (project.store / "behaviors").iterdir()
    assert {str(path.parent) for path in recorded} == {f"{home.name}/smollm2-135m", "smollm2-135m"}


def test_a_verdict_on_ours_says_nothing_of_a_behavior(project: Project) -> None:
    project.record("claims")
    assert "behavior" not in project.fields()


def test_a_sentence_names_the_behavior_that_it_was_tested_on(project: Project) -> None:
    source = project.pytester.path / "claims" / "test_claims.py"
    source.write_text(source.read_text().replace("test_it_steers", "test_dw_moves_text_towards_sycophancy"))
    project.run("claims", told(project, of_text())).stdout.fnmatch_lines(["C05  dw moves text towards patience*"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--behavior", "honesty"),
            "--behavior: honesty is a behavior of ours, which claims name where they are about*",
        ),
        (
            ("--behavior", "nothing"),
            "--behavior: unknown behavior 'nothing'; known: honesty, sycophancy; or give a file*",
        ),
        (("--behavior=mine.jsn",), "--behavior: unknown behavior 'mine.jsn'*"),
        (
            ("--behavior=./mine.toml",),
            "--behavior: no file *mine.toml; expected a TOML or JSON file; did you mean 'mine.json'?",
        ),
        (
            ("--behavior=mine.json", "--pool", "mine.json"),
            "--pool is for honesty, and --behavior brings its own messages*",
        ),
    ],
)
def test_a_behavior_of_no_use_is_a_usage_error_in_one_line(
    project: Project, options: tuple[str, ...], message: str
) -> None:
    written(project.pytester.path / "mine.json", of_text())
    result = project.run("claims", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [line] = [line for line in result.errlines if line]
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert len(line) < 400


def test_a_file_behind_a_blank_is_no_path_to_test(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere: Path = tmp_path_factory.mktemp("elsewhere")
    file = written(elsewhere / "mine.json", of_text())
    project.run("claims", "--behavior", str(file)).assert_outcomes(passed=1)
    (elsewhere / "pytest.ini").write_text("[pytest]\n")
    result = project.pytester.runpytest_inprocess("-p", "xdist", "-p", "syrupy", "--behavior", str(file), "claims")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: pytest took the behavior {file} for *; write --behavior={file}"])
