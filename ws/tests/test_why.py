"""A recorded case is explained: its number, what it was read from, and what has changed since."""

import re
import shlex
from pathlib import Path

import pytest

from ws.behaviors.own import own_behavior
from ws.changes.asking import Given
from ws.changes.explaining import explained
from ws.errors import CommandError, DataError, UnknownNameError
from ws.evidence.homes import home_of
from ws.store import Store
from ws.tests import shelf
from ws.tests.behavior_files import of_text, written
from ws.tests.conftest import Project
from ws.tests.shelf import WHOLE
from ws.tests.test_changes import MODEL, Repository, repository

__all__ = ["repository"]


@pytest.fixture
def store(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with what the one recorded case was read from."""
    monkeypatch.setenv("WS_QUIET", "1")
    made = Store(tmp_path / "store")
    repository.write("claims/test_it.py", "def test_it(): ...\n")
    repository.write(
        "claims/register.toml", '[C05]\nsentence = "It is so."\nsource = "x"\ntests = { "t.py::t" = "1" }\n'
    )
    repository.commit("Test")
    repository.record("a", keys=[made.get(WHOLE).name])
    repository.commit("Record")
    return made


@pytest.mark.parametrize("asked", ["test_it[a]", f"claims/test_it.py::test_it[{MODEL}-a]"])
def test_a_case_tells_its_number_and_what_it_was_read_from(repository: Repository, store: Store, asked: str) -> None:
    text = explained(asked, repository.tests, store)
    assert f"C05 HOLDS test_it[a] on {MODEL} (cpu)" in text
    assert "It is so." in text
    assert "0.50 [0.40, 0.60] > 0.1; tolerance 0.01" in text
    assert f'test_it.py::test_it[{MODEL}-a]" --model={MODEL}' in text
    words = " ".join(text.split())
    assert re.search(rf"{store.key(WHOLE)[:12]} Sum [^:]*: the same key today made of 2 Numbers", words)
    assert "nothing: 1 of 1 keys are the same today" in words
    assert max(len(line) for line in text.splitlines() if "pytest" not in line) <= 80


def test_what_moved_a_key_since_is_named(repository: Repository, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "ROUNDING", 0.25)
    today = Store(store.root)
    text = explained("test_it[a]", repository.tests, today)
    assert f"today {today.key(WHOLE)[:12]}" in " ".join(text.split())
    since = text.partition("since it was recorded")[2]
    assert "code that makes rows: ws.tests.shelf: ROUNDING" in since


def test_the_judgement_and_the_test_are_compared_too(repository: Repository, store: Store) -> None:
    repository.write("ws/stats/rule.py", "LIMIT = 0.01\n")
    repository.write("claims/test_it.py", "def test_it():\n    return 1\n")
    repository.commit("Change the rule")
    since = explained("test_it[a]", repository.tests, store).partition("since it was recorded")[2]
    assert "the same rows, judged by other code: ws/stats/rule.py: LIMIT" in since
    assert "the claim asks otherwise: claims/test_it.py: test_it" in since


def test_what_is_not_known_is_said(repository: Repository, tmp_path: Path) -> None:
    repository.record("a", keys=["3" * 32])
    repository.record("b", keys=[])
    none = Store(tmp_path / "none")
    assert "333333333333 not known: neither the evidence nor the store" in explained(
        "test_it[a]", repository.tests, none
    )
    assert "it does not name what it was read from" in explained("test_it[b]", repository.tests, none)


def test_a_near_miss_is_suggested(repository: Repository, store: Store) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown case 'test_it\[b\]'; .*did you mean 'test_it\[a\]'\?"):
        explained("claims/test_it.py::test_it[b]", repository.tests, store)


def asked_again(text: str) -> list[str]:
    """The words of the one command that an explanation prints."""
    [line] = [line for line in text.splitlines() if line.strip().startswith("pytest ")]
    return shlex.split(line)[1:]


@pytest.mark.parametrize(
    ("n_seeds", "others", "told"),
    [
        (5, [5, 5], ["--seeds=5"]),
        (5, [], ["--seeds=5"]),
        (8, [8, 8], []),
        (4, [8, 8], []),
        (2, [5, 5], ["--seeds=5"]),
        (1, [8], []),
    ],
    ids=["others", "the only one", "the usual ones", "couples of the usual ones", "couples of others", "none vary"],
)
def test_seeds_are_named_where_the_verdicts_have_others_than_by_default(
    repository: Repository, store: Store, n_seeds: int, others: list[int], told: list[str]
) -> None:
    repository.record("mine", model="smollm2-135m", n_seeds=n_seeds)
    for number, n in enumerate(others):
        repository.record(f"other-{number}", model="smollm2-135m", n_seeds=n)
    text = explained("test_it[mine]", repository.tests, store)
    assert asked_again(text)[1:] == ["--model=smollm2-135m", *told]
    given = explained("test_it[mine]", repository.tests, store, Given(seeds=6))
    assert asked_again(given)[1:] == ["--model=smollm2-135m", "--seeds=6"]


def test_a_gpu_and_a_store_of_one_s_own_are_named(repository: Repository, store: Store) -> None:
    repository.record("a", device="cuda")
    text = explained("test_it[a]", repository.tests, store, Given(store="my store"))
    assert asked_again(text)[1:] == ["--gpu", f"--model={MODEL}", "--store=my store"]


def test_a_behavior_of_one_s_own_is_explained_and_asked_again(
    repository: Repository, store: Store, tmp_path: Path, no_own_behaviors: None
) -> None:
    file = str(written(tmp_path / "mine.json", of_text()))
    kept = own_behavior(file, store)
    name = kept.behavior.name
    repository.record("a", behavior=name, value=0.7)
    place = home_of(repository.tests, kept.home) / "snapshots" / MODEL
    place.mkdir(parents=True)
    (repository.tests / "__snapshots__" / MODEL / "test_it[a].json").rename(place / "test_it[a].json")
    repository.record("a")
    both = explained("test_it[a]", repository.tests, store)
    assert (both.count("C05 HOLDS test_it[a] on"), both.count(f"on {MODEL}, {name} (cpu)")) == (2, 1)
    for typed in (file, name):
        text = explained("test_it[a]", repository.tests, store, Given(behavior=typed))
        assert "0.70 [0.40, 0.60]" in text
        assert asked_again(text)[1:] == [f"--model={MODEL}", f"--behavior={typed}"]
    chosen = tmp_path / "chosen" / name
    chosen.mkdir(parents=True)
    place.rename(chosen / MODEL)
    given = Given(behavior=file, snapshots=tmp_path / "chosen")
    assert f"--snapshots={tmp_path / 'chosen'}" in asked_again(explained("test_it[a]", repository.tests, store, given))
    with pytest.raises(DataError, match=rf"no verdict on {name} is recorded in .*claims and the store .*; record it"):
        explained("test_it[a]", repository.tests, store, Given(behavior=file))
    with pytest.raises(DataError, match="sycophancy is a behavior of ours"):
        explained("test_it[a]", repository.tests, store, Given(behavior="sycophancy"))
    with pytest.raises(CommandError, match=r"--snapshots .*none is no folder"):
        explained("test_it[a]", repository.tests, store, Given(snapshots=tmp_path / "none"))


def test_what_is_printed_asks_the_very_case_again(project: Project) -> None:
    file = written(project.pytester.path / "mine.json", of_text())
    project.run("claims", f"--behavior={file}", "--seeds=5", "--snapshot-update")
    given = Given(behavior=str(file), store=str(project.store))
    text = explained("test_it_steers", project.pytester.path / "claims", Store(project.store), given)
    project.run(*asked_again(text)).assert_outcomes(passed=1)
    assert [(one.n_seeds, one.behavior.partition("@")[0], one.snapshot) for one in project.records] == [
        (5, "patience", "same")
    ]
