"""A revision is resolved once, its files stay the same ever after, and only files that are read are downloaded."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ws.errors import DownloadError, ModelError
from ws.models import hub as hub_module
from ws.models.hub import fetched
from ws.tests.hub_stand_in import Files, Hub, served

FILES: Files = {
    "config.json": b"{}",
    "tokenizer.json": b"{ }",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"pickle",
    "modeling.py": b"code",
    "README.md": b"words",
    "onnx/model.safetensors": b"other weights",
}
READ = {"config.json", "tokenizer.json", "model.safetensors"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one commit of a model, and a process that is no worker of a run."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    with served(Hub(), tmp_path / "cache", monkeypatch) as hub:
        hub.push(FILES)
        yield hub


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Cuts the hub off."""
    return lambda: monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines printed about revisions."""
    lines: list[str] = []
    monkeypatch.setattr(hub_module, "say", lines.append)
    return lines


def looked(folder: Path) -> None:
    """Nothing to object to."""


def test_a_branch_is_resolved_to_its_commit_and_only_what_is_read_comes(hub: Hub, records: Path) -> None:
    revision, folder = fetched("some/model", "main", records, look=looked)
    assert revision.commit == hub.branches["main"]
    assert set(revision.files) == {path.name for path in folder.iterdir()} == READ
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    loaded = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert loaded == READ


def test_a_recorded_revision_needs_no_network(hub: Hub, records: Path, offline: Callable[[], None]) -> None:
    first = fetched("some/model", "main", records, look=looked)
    offline()
    before = len(hub.asked)
    assert fetched("some/model", "main", records, look=pytest.fail) == first
    assert fetched("some/model", first[0].commit, records, look=pytest.fail) == first
    assert len(hub.asked) == before


def test_a_branch_that_moves_on_is_told_and_changes_nothing(hub: Hub, records: Path, said: list[str]) -> None:
    first = fetched("some/model", "main", records, look=looked)
    moved = hub.push(FILES | {"config.json": b"[]"})
    assert fetched("some/model", "main", records, look=pytest.fail) == first
    assert f"main of some/model is at {moved} by now; this run keeps {first[0].commit}" in said[-1]
    assert f"name hf:some/model@{moved}, or delete {records / 'some--model@main.json'}" in said[-1]
    newer, folder = fetched("some/model", moved, records, look=looked)
    assert (newer.commit, (folder / "config.json").read_bytes()) == (moved, b"[]")


def test_a_branch_that_stays_is_not_talked_about(hub: Hub, records: Path, said: list[str]) -> None:
    fetched("some/model", "main", records, look=looked)
    fetched("some/model", "main", records, look=looked)
    assert said == ["asking the Hugging Face hub for main of some/model"]


def test_a_worker_leaves_it_to_its_controller_to_ask_again(
    hub: Hub, records: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fetched("some/model", "main", records, look=looked)
    hub.push(FILES | {"config.json": b"[]"})
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    before = len(hub.asked)
    assert fetched("some/model", "main", records, look=pytest.fail) == first
    assert (len(hub.asked), len(said)) == (before, 1)


def test_what_is_fetched_again_must_be_what_came_first(hub: Hub, records: Path, tmp_path: Path) -> None:
    _, folder = fetched("some/model", "main", records, look=looked)
    weights = (folder / "model.safetensors").resolve()
    weights.write_bytes(b"stranger")
    with pytest.raises(DownloadError, match=r"model.safetensors has sha256 .*, expected .*; delete"):
        fetched("some/model", "main", records, look=looked)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_is_not_what_the_hub_says_is_refused_and_not_recorded(hub: Hub, records: Path, name: str) -> None:
    commit = hub.branches["main"]
    fetched("some/model", commit, records, look=looked)
    (records / f"some--model@{commit}.json").unlink()
    hub.lies[name] = "0" * (64 if name.endswith("safetensors") else 40)
    with pytest.raises(DownloadError, match=rf"{name} has .*0000"):
        fetched("some/model", commit, records, look=looked)
    assert list(records.iterdir()) == []


def test_shards_are_those_of_the_index(hub: Hub, records: Path) -> None:
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = json.dumps({"weight_map": {"a": shards[0], "b": shards[1], "c": shards[0]}}).encode()
    files = {name: FILES[name] for name in ("config.json", "tokenizer.json")} | {"consolidated.safetensors": b"x"}
    hub.push(files | {"model.safetensors.index.json": index} | dict.fromkeys(shards, b"weights"), branch="sharded")
    revision, folder = fetched("some/model", "sharded", records, look=looked)
    expected = {"config.json", "tokenizer.json", "model.safetensors.index.json", *shards}
    assert set(revision.files) == {path.name for path in folder.iterdir()} == expected


def test_what_is_of_no_use_is_refused_before_its_weights_come(hub: Hub, records: Path) -> None:
    def look(folder: Path) -> None:
        assert {path.name for path in folder.iterdir()} == READ - {"model.safetensors"}
        raise ModelError("of no use")

    with pytest.raises(ModelError, match="of no use"):
        fetched("some/model", "main", records, look=look)
    assert not [path for path in hub.asked if path.endswith("safetensors")]
    assert not records.exists()


def test_a_repository_without_safetensors_is_refused_with_what_it_has(hub: Hub, records: Path) -> None:
    hub.push({name: content for name, content in FILES.items() if name != "model.safetensors"})
    expected = r"hf:some/model@main has neither model.safetensors nor .*; pytorch_model.bin can run code when read"
    with pytest.raises(ModelError, match=expected):
        fetched("some/model", "main", records, look=looked)


@pytest.mark.parametrize(
    ("repo", "revision", "reason"),
    [
        ("some/other", "main", "there is no such repository, or it is private"),
        ("some/model", "v9", "it has no branch, tag or commit 'v9'"),
    ],
)
def test_what_the_hub_does_not_have_is_said(hub: Hub, records: Path, repo: str, revision: str, reason: str) -> None:
    with pytest.raises(DownloadError, match=f"could not look up hf:{repo}@{revision}: {reason}; run once where"):
        fetched(repo, revision, records, look=looked)


def test_without_network_and_record_the_way_out_is_said(hub: Hub, records: Path, offline: Callable[[], None]) -> None:
    offline()
    with pytest.raises(DownloadError, match=r"could not look up hf:some/model@main: .*bring the model's folder here"):
        fetched("some/model", "main", records, look=looked)


def test_a_hub_that_does_not_answer_is_an_error_of_ours(
    hub: Hub, records: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = fetched("some/model", "main", records, look=looked)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub_module, "PATIENCE", 0.2)
    assert fetched("some/model", "main", records, look=looked) == known
    with pytest.raises(DownloadError, match=r"could not look up hf:some/model@v2"):
        fetched("some/model", "v2", records, look=looked)
