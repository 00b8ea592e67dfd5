"""Hashes of code that a store keeps between runs: found again, and worked out anew once any file has changed."""

from pathlib import Path

import pytest

from ws.models.weights import ModelWeights
from ws.store import Store, known
from ws.store.known import KnownSources, code_digest

ASKED = ModelWeights, ["lora"], [ModelWeights]


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "code_digest", lambda: "d" * 32)


def fails() -> str:
    raise AssertionError("worked out again")


def test_what_one_run_works_out_another_finds(tmp_path: Path) -> None:
    assert KnownSources(tmp_path).get(*ASKED, lambda: "a" * 64) == "a" * 64
    assert KnownSources(tmp_path).get(*ASKED, fails) == "a" * 64


@pytest.mark.parametrize(
    "other", [(Store, ["lora"], [ModelWeights]), (ModelWeights, ["dora"], [ModelWeights]), (ModelWeights, ["lora"], [])]
)
def test_another_recipe_or_content_is_another_question(
    tmp_path: Path, other: tuple[type, list[str], list[type]]
) -> None:
    KnownSources(tmp_path).get(*ASKED, lambda: "a" * 64)
    assert KnownSources(tmp_path).get(*other, lambda: "b" * 64) == "b" * 64


@pytest.mark.parametrize("digest", ["e" * 32, None])
def test_a_changed_file_asks_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digest: str | None) -> None:
    KnownSources(tmp_path).get(*ASKED, lambda: "a" * 64)
    monkeypatch.setattr(known, "code_digest", lambda: digest)
    assert KnownSources(tmp_path).get(*ASKED, lambda: "b" * 64) == "b" * 64


@pytest.mark.parametrize("module", ["lab.work", "ws.tests.work"])
def test_a_recipe_of_somebody_else_is_worked_out_each_time(tmp_path: Path, module: str) -> None:
    Other = type("Other", (), {"__module__": module})
    for answer in "ab":
        assert KnownSources(tmp_path).get(Other, [], [], lambda found=answer: found * 64) == answer * 64


def test_asking_for_a_key_makes_no_store(tmp_path: Path) -> None:
    assert KnownSources(tmp_path / "store").get(*ASKED, lambda: "a" * 64) == "a" * 64
    assert not (tmp_path / "store").exists()


def test_half_a_line_of_a_killed_process_says_nothing(tmp_path: Path) -> None:
    KnownSources(tmp_path).get(*ASKED, lambda: "a" * 64)
    (file,) = (tmp_path / "sources").iterdir()
    file.write_text(file.read_text()[:-9])
    assert KnownSources(tmp_path).get(*ASKED, lambda: "b" * 64) == "b" * 64


def test_the_digest_covers_code_and_data_and_nothing_newer_than_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known.ws, "__file__", str(tmp_path / "__init__.py"))
    seen = []
    for name, text in [("a.py", "1"), ("a.py", "2"), ("data.json", "{}"), ("tests.py", "")]:
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(known, "_STARTED", (tmp_path / name).stat().st_mtime + 1)
        code_digest.cache_clear()
        seen.append(code_digest())
    assert len(set(seen)) == 4
    monkeypatch.setattr(known, "_STARTED", 0.0)
    code_digest.cache_clear()
    assert code_digest() is None
    code_digest.cache_clear()
