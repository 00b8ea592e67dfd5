"""The options decide which tests run, on which models and with which store."""

import json
from pathlib import Path

import pytest
import torch

from fixtures.settings import Settings
from ws.models.table import MODELS
from ws.tests.conftest import Project, conftest_with

SHOWS = """
import json
from dataclasses import asdict
from pathlib import Path

def test_it_shows(settings, store, model_name):
    assert store.root == settings.store and store.fresh == settings.fresh
    shown = asdict(settings) | {"store": str(settings.store), "model_name": model_name, "pool": str(settings.pool)}
    Path(f"{model_name}.json").write_text(json.dumps(shown, default=list))
"""
LIGHT = 'pytest_plugins = ["fixtures.early", "fixtures.options"]'
"""A conftest for runs in processes of their own, which would spend seconds on importing the other plugins."""
SAYS = """
import pytest
from ws.store import progress

@pytest.mark.parametrize("n", [1, 2])
def test_it_says(n):
    progress.say(f"half way through {n}")
    print("captured")
"""


@pytest.fixture
def shown(project: Project) -> Project:
    """A project whose claims leave the settings they ran under, beside a unit test."""
    project.claims(SHOWS)
    unit = project.pytester.path / "ws" / "tests"
    unit.mkdir(parents=True)
    (unit / "test_unit.py").write_text("def test_unit(): pass\n")
    return project


def settings(project: Project, model: str = "smollm2-135m") -> dict[str, object]:
    """The settings that the last run left for a model."""
    return json.loads((project.pytester.path / f"{model}.json").read_text())


def models(project: Project) -> set[str]:
    """The models that claims ran on."""
    return {path.stem for path in project.pytester.path.glob("*.json")}


def test_a_bare_run_tests_everything_on_the_default_model(shown: Project) -> None:
    shown.run().assert_outcomes(passed=2)
    found = settings(shown)
    assert models(shown) == {"smollm2-135m"}
    assert (found["device"], found["seeds"], found["fresh"], found["smoke"]) == ("cpu", None, False, False)


def test_the_reference_engine_is_chosen_by_name(shown: Project) -> None:
    shown.run().assert_outcomes(passed=2)
    assert settings(shown)["engine"] == "native"
    shown.run("--engine", "peft").assert_outcomes(passed=2)
    assert settings(shown)["engine"] == "peft"
    refused = shown.run("--engine", "torch")
    refused.stderr.fnmatch_lines(["*argument --engine*: invalid choice: 'torch' (choose from*native*peft*"])


def test_a_pool_of_one_s_own_is_a_file_and_part_of_the_flags(shown: Project) -> None:
    refused = shown.run("--pool", "mine.json")
    refused.stderr.fnmatch_lines(["*--pool mine.json is no file; give a JSON list of {cat, suffix, user_msg}*"])
    file = shown.pytester.path / "my pool.txt"
    file.write_text("[]")
    shown.run("--pool", "my pool.txt").assert_outcomes(passed=2)
    assert settings(shown)["pool"] == str(file)
    assert Settings(("smollm2-135m",), None, file, False, "cpu", False, pool=file).flags == f"--pool='{file}'"


def test_the_reference_engine_records_no_snapshots(shown: Project) -> None:
    refused = shown.run("--engine", "peft", "--snapshot-update")
    refused.stderr.fnmatch_lines(["*snapshots are the native engine's*drop --engine"])


def test_smoke_tests_the_claims_alone_on_the_tiny_model(shown: Project) -> None:
    shown.run("--smoke").assert_outcomes(passed=1)
    assert models(shown) == {"tiny-random-qwen3"}
    assert settings(shown, "tiny-random-qwen3")["smoke"] is True


def test_a_given_path_wins_over_smoke(shown: Project) -> None:
    shown.run("--smoke", "ws/tests").assert_outcomes(passed=1)
    assert models(shown) == set()


def test_a_unit_test_alone_needs_no_model(shown: Project) -> None:
    shown.run("ws/tests").assert_outcomes(passed=1)
    assert models(shown) == set()


def test_gpu_tests_the_claims_alone_on_the_models_of_the_hub(shown: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    shown.run("--gpu").assert_outcomes(passed=3)
    assert models(shown) == {"qwen3-0.6b", "qwen3-1.7b", "gemma-3-1b-it"}
    assert {settings(shown, name)["device"] for name in models(shown)} == {"cuda"}


def test_gpu_takes_a_named_model_instead(shown: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    shown.run("--gpu", "--model", "smollm2-135m").assert_outcomes(passed=1)
    assert settings(shown)["device"] == "cuda"


def test_gpu_without_cuda_is_refused(shown: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = shown.run("--gpu")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --gpu needs CUDA*run without --gpu"])


def test_several_models_run_each_claim(shown: Project) -> None:
    shown.run("claims", *(f"--model={name}" for name in MODELS)).assert_outcomes(passed=len(MODELS))
    assert models(shown) == set(MODELS)


def test_an_unknown_model_is_refused_with_the_known_ones(shown: Project) -> None:
    result = shown.run("--model", "gpt-5")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --model: unknown model 'gpt-5'; known: *smollm2-135m*tiny-random-qwen3; or give a folder*"]
    )


@pytest.mark.parametrize("other", [("--gpu",), ("--model", "smollm2-135m")], ids=["gpu", "model"])
def test_smoke_is_refused_beside_another_choice_of_models(shown: Project, other: tuple[str, ...]) -> None:
    result = shown.run("--smoke", *other)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --smoke tests tiny-random-qwen3 on the CPU; drop it or {other[0]}"])


def test_seeds_and_fresh_reach_the_settings(shown: Project) -> None:
    shown.run("--seeds", "5", "--fresh")
    assert (settings(shown)["seeds"], settings(shown)["fresh"]) == (5, True)


def test_comparisons_with_the_embedded_model_are_not_made_on_itself(project: Project) -> None:
    project.pytester.makeconftest(conftest_with("models"))
    project.claims("def test_pair(smaller, subject): assert smaller.subject.model != subject.model")
    project.run().assert_outcomes(deselected=1)
    project.run("--model", "qwen2.5-coder-0.5b").assert_outcomes(passed=1)


@pytest.mark.parametrize("seeds", ["0", "-1", "many"])
def test_seeds_must_be_a_number_above_0(shown: Project, seeds: str) -> None:
    result = shown.run(f"--seeds={seeds}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*'{seeds}' is not a number of seeds; give 1 or more"])


def test_the_store_is_where_the_option_says(shown: Project) -> None:
    shown.run()
    assert settings(shown)["store"] == str(shown.store)


def test_the_store_is_where_the_environment_says_without_the_option(
    shown: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WS_STORE", str(tmp_path / "elsewhere"))
    shown.pytester.runpytest_inprocess("claims").assert_outcomes(passed=1)
    assert settings(shown)["store"] == str(tmp_path / "elsewhere")


@pytest.mark.parametrize("by_option", [True, False])
def test_a_store_that_can_be_no_folder_is_refused(
    shown: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by_option: bool
) -> None:
    dead = tmp_path / "dead"
    dead.symlink_to(tmp_path / "nowhere")
    monkeypatch.setenv("WS_STORE", str(dead))
    result = shown.pytester.runpytest_inprocess("claims", *([f"--store={dead}"] if by_option else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    given = f"--store {dead}" if by_option else f"the store {dead}"
    result.stderr.fnmatch_lines([f"*{given} cannot be one: {dead} is a link that leads nowhere; name a folder*"])


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that exists, in a folder of its own."""
    return tmp_path_factory.mktemp("elsewhere") / "store"


@pytest.mark.parametrize("path_first", [True, False])
def test_a_store_that_exists_may_stand_behind_a_blank(shown: Project, elsewhere: Path, path_first: bool) -> None:
    elsewhere.mkdir()
    (elsewhere / "conftest.py").write_text("raise AssertionError('a store is no path to test')")
    store = ("--store", str(elsewhere))
    args = ("claims", *store) if path_first else (*store, "claims")
    shown.pytester.runpytest_inprocess(*args).assert_outcomes(passed=1)
    assert settings(shown)["store"] == str(elsewhere)


def test_a_store_inside_another_project_must_not_stand_behind_a_blank(shown: Project, elsewhere: Path) -> None:
    elsewhere.mkdir()
    (elsewhere.parent / "pytest.ini").write_text("[pytest]\n")
    plugins = ("-p", "xdist", "-p", "syrupy")  # which our own pytest.ini would have named
    behind_blank = shown.pytester.runpytest_inprocess(*plugins, "--store", str(elsewhere), "claims")
    assert behind_blank.ret == pytest.ExitCode.USAGE_ERROR
    behind_blank.stderr.fnmatch_lines([f"ERROR: pytest took the store {elsewhere} for *; write --store={elsewhere}"])
    shown.pytester.runpytest_inprocess(f"--store={elsewhere}", "claims").assert_outcomes(passed=1)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_progress_passes_the_capture_of_passing_tests(
    project: Project, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.delenv("WS_QUIET", raising=False)
    project.pytester.makeconftest(LIGHT)
    project.claims(SAYS)
    result = project.pytester.runpytest_subprocess("claims", "-n", workers)
    result.assert_outcomes(passed=2)
    assert sorted(result.errlines) == ["half way through 1", "half way through 2"]
    assert "captured" not in result.stdout.str()


def test_the_workers_of_a_run_share_its_name(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_RUN_ID", "of another run")
    project.pytester.makeconftest(LIGHT)
    project.claims(
        "import os, pytest\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_it(n, worker_id): open(f'{worker_id}.run', 'a').write(os.environ['WS_RUN_ID'])\n"
    )
    project.pytester.runpytest_subprocess("claims", "-n", "2").assert_outcomes(passed=2)
    names = {path.read_text() for path in project.pytester.path.glob("*.run")}
    assert len(names) == 1
    assert names != {"of another run"}
