"""The `ws` command explains itself, hands on what it was told, and refuses names it does not know."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

import ws
from ws import cli
from ws.adapters import FAMILIES
from ws.behaviors.own import own_behavior
from ws.evidence.homes import home_of
from ws.report import figures, joint, joint_text
from ws.report.markdown import TABLE_END, TABLE_START
from ws.store import Store
from ws.study import search as search_module
from ws.study.subject import Subject
from ws.tests.behavior_files import of_text, written
from ws.tests.shelf import WHOLE
from ws.tests.small import ON, shared_store
from ws.tests.test_report import RECORD

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """What `ws` prints, as words without frames and line ends."""

    def printed(*args: str) -> str:
        monkeypatch.setattr(sys, "argv", ["ws", *args])
        cli.main()
        return words(capsys.readouterr().out)

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    return printed


@pytest.fixture
def refused(run: Run, capsys: pytest.CaptureFixture[str]) -> Run:
    """What `ws` says on standard error where it refuses, with status 2 and no word on standard output."""

    def said(*args: str) -> str:
        with pytest.raises(SystemExit, match=r"^2$"):
            run(*args)
        printed = capsys.readouterr()
        assert printed.out == ""
        return words(printed.err)

    return said


def words(text: str) -> str:
    return re.sub(r"[\s│╭╮╰╯─]+", " ", text)


SEARCHED = Path(ws.__file__).parent / "training" / "searched"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([], (tuple(FAMILIES), "sycophancy", SEARCHED / "smollm2-135m.json")),
        (["--behavior", "honesty"], (tuple(FAMILIES), "honesty", SEARCHED / "smollm2-135m-honesty.json")),
        (["--families", "lora", "oft", "--out", "x.json"], (("lora", "oft"), "sycophancy", Path("x.json"))),
    ],
    ids=["defaults", "honesty", "families"],
)
def test_search_hands_on_what_it_was_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, args: list[str], told: tuple[object, ...]
) -> None:
    seen: list[tuple[object, ...]] = []

    def search(model: str, families: Iterable[str], store: Store, out: Path, *, behavior_name: str) -> None:
        seen.append((model, store.root, (tuple(families), behavior_name, out)))

    monkeypatch.setattr(search_module, "search", search)
    run("search", "smollm2-135m", "--store", str(tmp_path), *args)
    assert seen == [("smollm2-135m", tmp_path, told)]


def test_an_unknown_model_is_refused_and_nothing_is_written(refused: Run, tmp_path: Path) -> None:
    said = refused("search", "gpt-5", "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out.json"))
    assert re.search(r"^ws: unknown model 'gpt-5'; known: .*smollm2-135m", said)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def snapshots(tmp_path: Path) -> Path:
    """A folder with the snapshot of one verdict on the default model."""
    record = replace(RECORD, test="test_it_steers", case="", measure=None, value=1.25, low=0.9, high=1.6)
    file = tmp_path / "snapshots" / "smollm2-135m" / "test_it_steers.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(record.to_snapshot()))
    return tmp_path / "snapshots"


def test_table_replaces_what_stands_between_the_markers(run: Run, snapshots: Path, tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{TABLE_START}\nstale\n{TABLE_END}\nafter\n")
    assert run("table", "--snapshots", str(snapshots), "--write", str(page)) == ""
    once = page.read_text()
    assert "1.25 [0.90, 1.60] > 0" in once
    assert "stale" not in once
    assert (once.split("\n")[0], once.split("\n")[-2]) == ("before", "after")
    run("table", "--snapshots", str(snapshots), "--write", str(page))
    assert page.read_text() == once


def test_table_without_snapshots_says_how_to_record_them(refused: Run, tmp_path: Path) -> None:
    assert re.search(
        r"^ws: no snapshots in .*smollm2-135m; record them", refused("table", "--snapshots", str(tmp_path))
    )


@pytest.mark.parametrize("where", [".", "elsewhere", "project", "project/docs/deep", "project/claims"])
def test_the_claims_are_those_nearest_above_or_of_the_clone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    for folder in ("elsewhere", "project/docs/deep", "project/claims"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "project" / "claims" / "register.toml").write_text(
        '[X01]\nsentence = "Ours."\nsource = "us"\nunasked = "soon"\n'
    )
    monkeypatch.chdir(tmp_path / where)
    listed = run("claims")
    assert ("X01 Ours." in listed, "C05 DeLoRA" in listed) == ("project" in where, "project" not in where)


def test_tests_that_are_no_folder_are_refused(refused: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert f"ws: --tests {file} is no folder; name a folder" in refused("claims", "--tests", str(file))
    assert f"ws: --tests {file}s is not there" in refused("table", "--tests", f"{file}s")


@pytest.fixture
def mine(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, no_own_models: None) -> Path:
    """A model folder of one's own."""
    original = shared_store(tmp_path_factory).get(ON.weights)
    return shutil.copytree(original, tmp_path / "mine", ignore=shutil.ignore_patterns("manifest.json"))


def test_table_shows_what_was_recorded_of_a_model_of_one_s_own(
    run: Run, refused: Run, snapshots: Path, mine: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    told = ("table", "--models", str(mine), "--store", str(store))
    assert f"no snapshots in {store}/models/mine@" in refused(*told)
    [home] = (store / "models").glob("mine@*")
    tests = tmp_path / "claims"
    tests.mkdir()
    shutil.copytree(snapshots / "smollm2-135m", home_of(tests, home) / "snapshots")
    assert "1.25 [0.90, 1.60] > 0" in run(*told, "--tests", str(tests))
    assert "no snapshots in" in refused(*told, "--tests", str(tmp_path))


def test_a_search_of_a_model_of_one_s_own_is_kept_in_the_store(
    run: Run, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, Path]] = []
    monkeypatch.setattr(search_module, "search", lambda model, _, store, out, **_rest: seen.append((model, out)))
    run("search", str(mine), "--store", str(tmp_path / "store"))
    [home] = (tmp_path / "store" / "models").glob("mine@*")
    assert seen == [(home.name, home / "searched" / f"{home.name}.json")]


def test_a_search_for_a_behavior_of_your_own_is_kept_with_it(
    run: Run, no_own_behaviors: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, Path]] = []
    monkeypatch.setattr(
        search_module, "search", lambda model, _, store, out, behavior_name: seen.append((behavior_name, out))
    )
    file = written(tmp_path / "mine.json", of_text())
    run("search", "smollm2-135m", "--behavior", str(file), "--store", str(tmp_path / "store"))
    [home] = (tmp_path / "store" / "behaviors").glob("patience@*")
    assert seen == [(home.name, home / "searched" / "smollm2-135m.json")]


def test_the_verdicts_on_a_behavior_of_your_own_are_shown(run: Run, no_own_behaviors: None, tmp_path: Path) -> None:
    file = written(tmp_path / "mine.json", of_text())
    kept = own_behavior(str(file), Store(tmp_path / "store"))
    folder = home_of(tmp_path, kept.home) / "snapshots" / "smollm2-135m"
    folder.mkdir(parents=True)
    said = replace(RECORD, behavior=kept.behavior.name).to_snapshot()
    (folder / "test_it.json").write_text(json.dumps(said))
    options = ("--behavior", str(file), "--store", str(tmp_path / "store"), "--form", "plain")
    assert f"{RECORD.model}, {kept.behavior.name} ({RECORD.device}" in run("table", *options, "--tests", str(tmp_path))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What `ws lenses` asked for, without a table being made."""
    seen: list[tuple[object, ...]] = []
    monkeypatch.setattr(joint, "build", lambda asked, store: seen.append(("build",)))
    monkeypatch.setattr(joint, "check", lambda asked, store: seen.append(("check", asked, store.root)))
    monkeypatch.setattr(joint, "joint", lambda asked, store: "table")
    monkeypatch.setattr(joint_text, "terminal", lambda table, colour: f"{table}\n")

    def write(table: str, out: Path, *, write_png: object) -> list[Path]:
        seen.append(("write", out, write_png is not None))
        return [out / "joint.md"]

    monkeypatch.setattr(figures, "write", write)
    return seen


def test_lenses_hands_on_what_it_was_told(run: Run, shown: list[tuple[object, ...]], tmp_path: Path) -> None:
    told = ("--families", "oft", "--seeds", "2", "--build", "--no-png", "--out", str(tmp_path), "--device", "cuda")
    text = run("lenses", "smollm2-135m", *told, "--store", str(tmp_path / "store"))
    asked = joint.Asked(Subject("smollm2-135m", "cuda"), ("oft",), (0, 1))
    assert shown == [("build",), ("check", asked, tmp_path / "store"), ("write", tmp_path, False)]
    assert text.split() == ["table", str(tmp_path / "joint.md")]


def test_lenses_of_an_empty_store_name_the_claims_that_fill_it(refused: Run, tmp_path: Path) -> None:
    told = ("--families", "lora", "--seeds", "1", "--out", str(tmp_path / "out"), "--store", str(tmp_path / "store"))
    said = refused("lenses", "tiny-random-qwen3", *told)
    assert re.search(r"are not in .*; `pytest claims/ -k .* --smoke --seeds 1 --store=.*--build", said)
    assert not (tmp_path / "out").exists()


def test_it_says_its_version_also_as_a_module(run: Run) -> None:
    said = subprocess.run([sys.executable, "-m", "ws", "--version"], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"ws \d+\.\d+\.\d+\n", said)
    assert words(said) == run("--version")


def test_the_store_is_looked_after_from_the_command_line(run: Run, refused: Run, tmp_path: Path) -> None:
    root = str(tmp_path)
    key = Store(tmp_path).key(WHOLE)
    Store(tmp_path).get(WHOLE)
    assert "Numbers 2" in run("store", "--store", root)
    assert f"Sum {key}" in run("store", "why", key[:8], "--store", root)
    assert "3 of 3 artifacts are whole" in run("store", "check", "--store", root)
    assert "3 artifacts stay" in run("store", "gc", "--dry-run", "--older-than", "0.5", "--store", root)
    assert "0 artifacts have another key today" in run(
        "store", "carry", "--sample", "3", "--seed", "1", "--store", root
    )
    assert "ws: 'zz' is no key" in refused("store", "why", "zz", "--store", root)
