"""A run on a GPU writes a receipt; where there is none, it is judged by, or refused by the name of what does not fit.

No GPU is needed: torch's answers about one are made up, and what claims read are tables.
"""

import hashlib
import json
import os
import re
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import chosen
from fixtures import receipts as hooks
from ws.errors import DeviceError, StoreError
from ws.receipts import device, judging, receipt, writing
from ws.receipts.receipt import FIELDS, FILE, Receipt, mistake, schema
from ws.report import evidence_commands
from ws.store import Recipe, Store, artifacts, origin
from ws.study.subject import Subject
from ws.tests.conftest import Project, conftest_with
from ws.tests.documents import DOCS
from ws.tests.test_record_evidence import LAB, STEERS

assert [evidence_commands, judging, writing]  # Imported before any inner run, which would forget what it imports.

MODEL = "qwen3-0.6b"
GPU = ("--gpu", "--model", MODEL)

GIVEN = Receipt(
    model=MODEL,
    device="cuda",
    device_name="NVIDIA H200",
    capability="9.0",
    device_bytes=150_000_000_000,
    driver="570.86.15",
    cuda="13.0",
    dtype="float32",
    commit="0" * 40,
    uncommitted=False,
    releases={"torch": "2.14.1"},
    engine="native",
    seeds=None,
    recorded="2026-11-29T20:00:00+00:00",
    seconds=12.5,
    peak_bytes=3_000_000_000,
    artifacts={"0" * 32: 1.5},
    evidence={"index.json": "a" * 64, "seed-0/Rows.rows.parquet": "b" * 64},
)


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """torch speaks of two GPUs, and NVIDIA's driver of its release."""
    said = SimpleNamespace(name="NVIDIA H200", major=9, minor=0, total_memory=150_000_000_000)
    answers = {
        "is_available": True,
        "is_initialized": False,
        "device_count": 2,
        "current_device": 0,
        "get_device_name": "NVIDIA H200",
        "max_memory_allocated": 3_000_000_000,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: said)
    monkeypatch.delenv(device.VISIBLE, raising=False)
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Tue Jan 14 2026\nGCC version: 12.2\n")
    monkeypatch.setattr(device, "DRIVER", driver)


# What a receipt says


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert receipt.read(receipt.write(GIVEN, tmp_path)) == GIVEN


def test_the_published_schema_is_that_of_the_reader() -> None:
    assert json.loads((DOCS / "receipt.schema.json").read_text(encoding="utf-8")) == schema()


SIMPLE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
)
NAMES = st.sampled_from(["a", "0" * 32, "index.json"])
WRONG = st.one_of(SIMPLE, st.lists(st.none()), st.dictionaries(NAMES, SIMPLE))


@settings(deadline=None)
@given(st.sampled_from([*FIELDS, "another"]), WRONG)
def test_the_reader_refuses_what_the_schema_refuses(name: str, value: object) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed; it is in the group dev")
    said = {**asdict(GIVEN), name: value}
    allowed = jsonschema.Draft202012Validator(schema()).is_valid(said)
    assert (mistake(said, schema()) is None) == allowed


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.write_text("[" * 200_000), "is no JSON that can be read"),
        (lambda file: file.write_text("{"), "is no JSON that can be read"),
        (lambda file: file.write_text("[]"), r"is no receipt: it is \[\], expected object"),
        (lambda file: file.write_text('{"form": 2}'), "has form 2, where this version reads 1"),
        (lambda file: (file.unlink(), os.mkfifo(file)), "expected a receipt"),
        (lambda file: (file.unlink(), file.symlink_to("/dev/zero")), "expected a receipt"),
        (lambda file: os.truncate(file, 9 << 20), "expected a receipt, of 8,388,608 bytes at most"),
        (lambda file: file.write_text(file.read_text().replace("index.json", "../i")), "evidence has '../i', which no"),
    ],
)
def test_what_is_no_receipt_is_refused(tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    file = receipt.write(GIVEN, tmp_path)
    spoil(file)
    with pytest.raises(StoreError, match=said):
        receipt.read(file)


# The device


@pytest.mark.usefixtures("a_gpu")
def test_a_gpu_is_named_with_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert device.seen() == ("NVIDIA H200", "9.0", 150_000_000_000, "570.86.15", "13.0")
    assert device.peak_bytes() == 0
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert device.peak_bytes() == 3_000_000_000
    monkeypatch.setattr(device, "DRIVER", Path("/nowhere"))
    assert device.driver() == "unknown"


@pytest.mark.usefixtures("a_gpu")
def test_what_is_recorded_of_a_machine_names_its_gpu() -> None:
    assert origin.machine(gpu=True)["gpu"] == "NVIDIA H200"
    assert "gpu" not in origin.machine()


@pytest.mark.usefixtures("a_gpu")
def test_each_worker_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.visible() == ("0", "1")
    monkeypatch.setenv(device.VISIBLE, "3, GPU-5d")
    places = device.Places(device.visible())
    assert [places.take(worker) for worker in ("gw0", "gw1")] == ["3", "GPU-5d"]
    with pytest.raises(DeviceError, match=r"3 workers share 2 GPUs \(3, GPU-5d\); .* run with -n 2"):
        places.take("gw2")
    # gw1 crashed, and gw2 takes its place.
    places.leave("gw1")
    assert places.take("gw2") == "GPU-5d"


@pytest.mark.usefixtures("a_gpu")
def test_a_controller_gives_each_worker_a_gpu_and_hears_what_it_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(device.VISIBLE, "0,1")
    stash = pytest.Stash()
    stash[hooks.PLACES], stash[hooks.TOLD] = device.Places(device.visible()), {hooks.ASKED: [], hooks.PEAK: []}

    def node(name: str, **told: object) -> SimpleNamespace:
        """A worker as xdist's controller has it."""
        config, gateway = SimpleNamespace(stash=stash), SimpleNamespace(id=name)
        return SimpleNamespace(config=config, gateway=gateway, workerinput={}, workeroutput=told)

    first, second, third = node("gw0"), node("gw1", asked=["k"], peak=5), node("gw2")
    for one in (first, second):
        hooks.pytest_configure_node(one)
    hooks.pytest_testnodedown(second)
    hooks.pytest_configure_node(third)
    assert [one.workerinput for one in (first, second, third)] == [{"gpu": "0"}, {"gpu": "1"}, {"gpu": "1"}]
    assert stash[hooks.TOLD] == {"asked": [["k"]], "peak": [5]}
    assert chosen._cuda(third.workerinput["gpu"]) == "cuda"
    assert os.environ[device.VISIBLE] == "1"


@pytest.mark.usefixtures("a_gpu")
def test_a_process_keeps_to_its_gpu_before_cuda_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(device.VISIBLE, "0,1")
    device.use_only("1")
    assert (os.environ[device.VISIBLE], device.visible()) == ("1", ("1",))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(DeviceError, match="CUDA runs in this process already"):
        device.use_only("0")


def test_artifacts_belong_to_the_model_whose_weights_they_rest_on(tmp_path: Path) -> None:
    one, other = (Subject(name, "cuda") for name in (MODEL, "qwen3-1.7b"))
    asked = {"a": one.base_rows, "b": other.direction("lora", seed=0), "c": one.direction("lora", seed=0)}
    assert writing.of_model(asked, MODEL).keys() == {"a", "c"}


# A run that writes one, and a run that judges by it


@pytest.fixture(scope="session")
def a_table(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Written before any inner run of pytest, which would forget the libraries that it imports first."""
    pd.DataFrame({"value": [1.0]}).to_parquet(tmp_path_factory.mktemp("tables") / "one.parquet")


@pytest.fixture
def lab(a_table: None, a_gpu: None, project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose claims read artifacts, on a machine with a GPU."""
    project.pytester.makeconftest(conftest_with("evidence", "receipts"))
    (project.pytester.path / "lab.py").write_text(LAB)
    project.claims(STEERS)
    monkeypatch.syspath_prepend(project.pytester.path)
    monkeypatch.setenv("WS_QUIET", "1")
    return project


def elsewhere(lab: Project, monkeypatch: pytest.MonkeyPatch, *args: str) -> pytest.RunResult:
    """A run on a machine without a GPU and with an empty store."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return lab.run("-s", "--receipt", str(receipts(lab)), *args, f"--store={lab.pytester.path / 'empty'}")


def receipts(lab: Project) -> Path:
    return lab.pytester.path / "receipts"


def recorded(lab: Project) -> Path:
    """The folder of a receipt and its evidence."""
    lab.run(*GPU, "--receipt", str(receipts(lab))).assert_outcomes(passed=2)
    return receipts(lab) / MODEL


def refused(lab: Project, monkeypatch: pytest.MonkeyPatch, *args: str) -> str:
    """What a run that refuses a receipt says."""
    result = elsewhere(lab, monkeypatch, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    return " ".join((result.stderr.str() + result.stdout.str()).split())


def test_a_run_on_a_gpu_writes_evidence_and_a_receipt_of_it(lab: Project) -> None:
    said = lab.run(*GPU)
    said.assert_outcomes(passed=2)
    place = lab.store / "receipts" / "written"
    said.stdout.fnmatch_lines(
        [
            f"receipt: {MODEL} on NVIDIA H200 (driver 570.86.15), *: 2 artifacts in {place / MODEL}",
            f"receipt: judge it where there is no GPU with `pytest claims/ --receipt {place}`",
        ]
    )
    made = receipt.read(place / MODEL / FILE)
    assert (made.device, made.device_name, made.dtype, made.seeds) == ("cuda", "NVIDIA H200", "float32", None)
    assert len(made.artifacts) == 2
    for name, sha256 in made.evidence.items():
        assert hashlib.sha256((place / MODEL / name).read_bytes()).hexdigest() == sha256


def test_a_receipt_has_nothing_personal(lab: Project) -> None:
    said = (recorded(lab) / FILE).read_text()
    for personal in (str(lab.pytester.path), str(Path.home()), socket.gethostname()):
        assert personal not in said


def test_a_machine_without_a_gpu_judges_by_it_and_builds_nothing(lab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(lab)
    result = elsewhere(lab, monkeypatch)
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*drawing*")
    result.stdout.fnmatch_lines([f"receipt: judged by {MODEL} on NVIDIA H200 *"])
    assert {record.device for record in lab.records} == {"cuda"}


def test_what_a_receipt_lacks_is_not_built(lab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(lab)
    lab.claims(STEERS.replace("[0, 1]", "[0, 1, 2]"))
    result = elsewhere(lab, monkeypatch)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.no_fnmatch_line("*drawing*")
    result.stdout.re_match_lines(
        [r".*StoreError: no receipt has Drawn seed 2 \(key [0-9a-f]{32}\), and nothing is built"]
    )


def test_evidence_that_was_changed_is_refused(lab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    part = recorded(lab) / "seed-0" / "Drawn.rows.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"!")
    assert re.search(rf"{part} has sha256 \w+\.\.\., the receipt says", refused(lab, monkeypatch))
    part.unlink()
    assert f"{part} is in the receipt, and missing" in refused(lab, monkeypatch)


def test_evidence_beside_it_that_it_does_not_know_is_refused(lab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    more = recorded(lab) / "seed-0" / "More.rows.parquet"
    more.write_bytes(b"more")
    assert f"{more} is not in the receipt beside it" in refused(lab, monkeypatch)


def test_a_receipt_of_other_artifacts_is_refused(lab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    place = recorded(lab)
    made = receipt.read(place / FILE)
    receipt.write(replace(made, artifacts={**made.artifacts, "0" * 32: 1.0}), place)
    assert f"the artifact {'0' * 32} is in the receipt, and not in the evidence" in refused(lab, monkeypatch)


def test_a_receipt_of_other_code_is_refused(lab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(lab)
    monkeypatch.setattr(artifacts, "versions", lambda: {"torch": "99.9"})
    said = refused(lab, monkeypatch)
    assert "was made by other code, " in said
    assert re.search(r"Drawn seed \d had the key [0-9a-f]{32}, and has [0-9a-f]{32} today", said)


def test_where_there_is_no_receipt_that_is_said(lab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    receipts(lab).mkdir()
    assert "has no receipt: expected receipts/MODEL/receipt.json" in refused(lab, monkeypatch)
    assert "builds nothing; drop --model and --fresh" in refused(lab, monkeypatch, "--model", MODEL, "--fresh")


def test_more_workers_than_gpus_are_refused(lab: Project) -> None:
    result = lab.run(*GPU, "-n", "3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*3 workers share 2 GPUs (0, 1); one worker has one GPU: run with -n 2*"])


@dataclass(frozen=True)
class SaidOnce(Recipe):
    word: str

    def build(self, out: Path, store: Store) -> None:
        (out / "word.txt").write_text(self.word)


def test_recipes_that_workers_asked_for_are_found_by_their_keys(tmp_path: Path) -> None:
    store, one, other = Store(tmp_path), SaidOnce("one"), SaidOnce("other")
    store.get(one)
    store.get(other)
    assert writing.asked_by_key(store, [store.key(one), "f" * 32]) == {store.key(one): one}
