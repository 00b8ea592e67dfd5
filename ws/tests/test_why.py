"""A recorded case is explained: its number, what it was read from, and what has changed since."""

import re
from pathlib import Path

import pytest

from ws.changes.explaining import explained
from ws.errors import UnknownNameError
from ws.store import Store
from ws.tests import shelf
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
