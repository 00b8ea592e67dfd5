"""Verdicts on a model of one's own need no snapshot until one is recorded, in its own folder and not in the package."""

import json
import shutil
from pathlib import Path

import pytest

from ws.changes.sides import Place
from ws.errors import DataError
from ws.evidence.homes import home_of
from ws.tests.conftest import Project
from ws.tests.small import ON, shared_store

NAMED = "mine@*"


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, made before any inner run of pytest, which would forget the libraries that it imports first."""
    return shared_store(tmp_path_factory).get(ON.weights)


@pytest.fixture
def folder(project: Project, original: Path) -> Path:
    """A model folder of one's own, named mine."""
    return shutil.copytree(original, project.pytester.path / "mine", ignore=shutil.ignore_patterns("manifest.json"))


def home(project: Project) -> Path:
    """Where the store keeps what is found out about the model."""
    [found] = (project.store / "models").glob(NAMED)
    return found


def test_what_was_never_recorded_stands_alone_and_says_so(project: Project, folder: Path) -> None:
    result = project.run("claims", "--model", "./mine")
    result.assert_outcomes(passed=1)
    folder_of_verdicts = home(project) / project.part / "snapshots"
    said = (
        f"{NAMED}: 1 verdict with nothing recorded to compare with; --snapshot-update records in {folder_of_verdicts}"
    )
    result.stdout.fnmatch_lines(["*HOLDS*unrecorded", said])
    assert not folder_of_verdicts.exists()
    project.run("claims", "--model", "./mine", EFFECT="-1").assert_outcomes(xfailed=1)


def test_what_is_recorded_lies_in_the_model_s_home_and_is_compared_from_then_on(project: Project, folder: Path) -> None:
    project.record("claims", "--model", "./mine")
    [snapshot] = (home(project) / project.part / "snapshots").iterdir()
    assert json.loads(snapshot.read_text())["model"] == home(project).name
    assert project.snapshots() == []
    result = project.run("claims", "--model", "./mine")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*nothing recorded*")
    changed = project.run("claims", "--model", "./mine", EFFECT="-1")
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*verdict HOLDS -> REFUTED*", f"*pytest *test_it_steers?mine?* --model={folder}*"])


def test_a_model_of_the_table_of_which_nothing_is_recorded_stands_alone(project: Project) -> None:
    result = project.run("claims", "--model", "qwen2.5-coder-0.5b")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*--snapshot-update records in claims/__snapshots__/qwen2.5-coder-0.5b"])
    project.record("claims", "--model", "qwen2.5-coder-0.5b")
    project.snapshot("qwen2.5-coder-0.5b/test_it_steers.json").rename(
        project.snapshot("qwen2.5-coder-0.5b/test_another.json")
    )
    project.run("claims", "--model", "qwen2.5-coder-0.5b").assert_outcomes(failed=1)


def test_a_snapshot_of_the_embedded_model_is_missed(project: Project) -> None:
    project.run("claims").assert_outcomes(failed=1)


def test_a_chosen_folder_takes_the_verdicts_of_every_model(project: Project, folder: Path) -> None:
    models = ("--model", "./mine", "--model", "smollm2-135m")
    project.record("claims", *models, "--snapshots", "kept")
    recorded = {path.parent.name for path in (project.pytester.path / "kept").rglob("*.json")}
    assert recorded == {home(project).name, "smollm2-135m"}
    assert project.snapshots() == []
    assert not list(home(project).rglob("snapshots"))
    project.run("claims", *models, "--snapshots", "kept").assert_outcomes(passed=2)


def test_recording_leaves_what_tests_of_other_folders_recorded(project: Project, folder: Path) -> None:
    project.record("claims", "--model", "./mine")
    other = home(project) / project.part / "snapshots" / "test_of_mine.json"
    other.write_text("{}\n")
    project.run("--model", "./mine", "--snapshot-update", EFFECT="2")
    assert other.exists()


def test_the_ids_of_tests_have_no_digits_that_could_name_a_claim(project: Project, folder: Path) -> None:
    twin = shutil.copytree(folder, folder.parent / "other" / "mine")
    (twin / "config.json").write_text(f"{(folder / 'config.json').read_text()}\n")
    result = project.run("claims", "--model", "./mine", "--model", str(twin), "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*::test_it_steers?mine?", "*::test_it_steers?mine-2?"])


def test_a_model_of_no_use_is_a_usage_error(project: Project, folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    result = project.run("claims", "--model", "./mine")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [line] = [line for line in result.errlines if line.startswith("ERROR")]
    assert "no chat template" in line


def test_only_what_is_recorded_can_be_asked_for(project: Project) -> None:
    project.record("claims", "--smoke")
    project.claims("def test_no_case(): pass", name="test_others")
    project.run("claims", "--smoke", "--recorded").assert_outcomes(passed=1, deselected=1)
    project.run("claims", "--recorded").assert_outcomes(deselected=2)


def test_repositories_that_share_a_store_do_not_share_what_they_recorded(project: Project, folder: Path) -> None:
    project.record("claims", "--model", "./mine")
    theirs = shutil.copytree(project.pytester.path / "claims", project.pytester.path / "theirs")
    told = ("theirs", "--import-mode=importlib", "--model", "./mine")
    result = project.run(*told, EFFECT="-1")
    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines(
        [f"{NAMED}: 1 verdict with nothing recorded * in {home(project) / home_of(theirs, Path())}/*"]
    )
    assert "generated" in project.run(*told, "--snapshot-update", EFFECT="-1").stdout.str()
    for tests, outcome in {"claims": "HOLDS", "theirs": "REFUTED"}.items():
        place = home(project) / home_of(project.pytester.path / tests, Path()) / "snapshots"
        assert json.loads((place / "test_it_steers.json").read_text())["outcome"] == outcome
    project.run("claims", "--model", "./mine").assert_outcomes(passed=1)


def test_a_side_of_a_comparison_has_what_its_tests_recorded(project: Project, folder: Path) -> None:
    project.record("claims", "--model", "./mine")
    tests = project.pytester.path / "claims"
    [(model, name)] = Place(tests, project.store).side(str(folder)).cases
    assert (model, name) == (home(project).name, "test_it_steers")
    others = tests.parent / "others"
    with pytest.raises(DataError, match=rf"{others} has recorded nothing of the model {folder}; record it: pytest "):
        Place(others, project.store).side(str(folder))
