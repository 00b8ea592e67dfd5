"""The same store behind the S3 of a local server, moto's, and s3fs as everybody has it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

moto = pytest.importorskip("moto.server", reason="moto is not installed: pip install '.[remote]' --group s3")
pytest.importorskip("s3fs", reason="s3fs is not installed: pip install '.[remote]'")

from ws.errors import StoreError  # noqa: E402  after what may skip the module
from ws.remote import RemoteStore, open_store  # noqa: E402
from ws.remote.leases import Leases  # noqa: E402
from ws.remote.objects import Objects  # noqa: E402
from ws.store import StoreWarning  # noqa: E402
from ws.tests.machines import QUICK, Both, Words, text_of  # noqa: E402
from ws.tests.planned_recipes import Held  # noqa: E402

RECIPE = Both(Words("a"), Words("b"))
KEY = "0" * 32

pytestmark = [
    # Of what stands between s3fs and the socket, not of ours.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of a server of S3 on this machine."""
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The URL of an empty bucket; where it is and who asks stands in the environment, as an operator gives it."""
    import boto3

    given = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "AWS_DEFAULT_REGION": "us-east-1",
        "WS_QUIET": "1",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WS_RUN_ID", raising=False)
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:60].strip("-")
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/claims"


def machine(url: str, folder: Path) -> RemoteStore:
    return RemoteStore(Objects(url, patience=(0.1, 0.1)), folder, pace=QUICK)


def test_one_machine_builds_and_another_fetches(bucket: str, tmp_path: Path) -> None:
    first, second = machine(bucket, tmp_path / "a"), machine(bucket, tmp_path / "b")
    assert text_of(first, RECIPE) == {"both.txt": "a b"}
    assert second.has(RECIPE)
    assert text_of(second, RECIPE) == text_of(first, RECIPE)
    assert text_of(second, Words("b")) == {"text.txt": "b", "more/length.txt": "1"}
    assert (len(first.built), len(second.built)) == (3, 0)
    assert first.objects.entries("leases") == {}


def test_an_object_that_is_there_is_not_made_again(bucket: str) -> None:
    first, second = Objects(bucket, patience=()), Objects(bucket, patience=())
    assert first.create("leases/x.json", b"first")
    assert not second.create("leases/x.json", b"second")
    assert second.create("leases/x.json", b"first")
    assert second.read("leases/x.json") == b"first"


def test_leases_exclude_each_other(bucket: str) -> None:
    first, second = Leases(Objects(bucket), "a", QUICK), Leases(Objects(bucket), "b", QUICK)
    with first.held(KEY, "a text") as lease:
        assert not second._made(type(lease)(KEY, "a text"))
    with second.held(KEY, "a text"):
        assert not lease.is_lost


def test_what_is_not_there_is_nothing(bucket: str, tmp_path: Path) -> None:
    objects = Objects(bucket, patience=())
    assert objects.read("manifests/x.json") is None
    assert objects.size("manifests/x.json") is None
    assert objects.entries("manifests") == {}
    assert not objects.download("manifests/x.json", tmp_path / "x")
    objects.delete("manifests/x.json")
    objects.write("empty", b"")
    assert objects.read("empty") == b""


def test_damage_there_is_named_and_replaced(bucket: str, tmp_path: Path) -> None:
    first = machine(bucket, tmp_path / "a")
    first.get(Words("a"))
    name = next(iter(first.objects.entries("files")))
    first.objects.write(name, b"")
    second = machine(bucket, tmp_path / "b")
    with pytest.warns(StoreWarning, match=rf"{bucket}/manifests/.* is damaged: .* has 0 bytes"):
        second.get(Words("a"))
    assert text_of(machine(bucket, tmp_path / "c"), Words("a"))["text.txt"] == "a"


def test_a_bucket_that_is_not_there_is_said(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot write s3://no-such-bucket-here/x/format\.json: .*its bucket must be"):
        machine("s3://no-such-bucket-here/x", tmp_path).get(Words("a"))


def test_a_server_that_is_gone_is_said(bucket: str, tmp_path: Path) -> None:
    import s3fs

    nowhere = s3fs.S3FileSystem(endpoint_url="http://127.0.0.1:9", skip_instance_cache=True)
    nowhere.retries = 1
    store = RemoteStore(Objects(bucket, filesystem=nowhere, patience=()), tmp_path, pace=QUICK)
    with pytest.raises(StoreError, match="run this again when it answers"):
        store.get(Words("a"))


def test_the_environment_is_enough(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_STORE", bucket)
    monkeypatch.setenv("WS_STORE_COPY", str(tmp_path / "copy"))
    store = open_store()
    assert isinstance(store, RemoteStore)
    assert store.root == tmp_path / "copy"
    store.get(Words("a"))
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in written


BUILDS = """
import sys
from pathlib import Path
from ws.plan.building import build
from ws.plan.crew import Crew
from ws.plan.graph import graph_of
from ws.plan.needs import Needs
from ws.plan.place import Place
from ws.plan.processes import processes
from ws.plan.schedule import Schedule
from ws.remote import open_store
from ws.tests.test_remote_s3 import held

if __name__ == "__main__":
    url, gate = sys.argv[1:]
    graph = graph_of(held(gate), open_store(url))
    with processes(Place(url), 2) as engine:
        made = build(Schedule(graph, dict.fromkeys(graph, 1.0)), Crew(engine), lambda recipe: Needs())
    sys.exit(len(made.failures))
"""
SECONDS_AT_MOST = 300.0
"""For what takes ten on a machine with nothing else to do."""


def held(gate: str) -> list[Held]:
    """Two texts that are built once there is a file."""
    return [Held(text, gate=gate) for text in ("x", "y")]


def test_a_build_with_two_workers_is_killed_and_goes_on(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WS_STORE_COPY", str(tmp_path / "a"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    (tmp_path / "builds.py").write_text(BUILDS)
    line = [sys.executable, str(tmp_path / "builds.py"), bucket, str(tmp_path / "gate")]
    there = Objects(bucket, patience=(0.1, 0.1))
    with subprocess.Popen(line) as building:
        until = time.monotonic() + SECONDS_AT_MOST
        while len(there.entries("leases")) < 2 and time.monotonic() < until and building.poll() is None:
            time.sleep(0.1)
        leases = len(there.entries("leases"))
        building.kill()
    assert (leases, there.entries("manifests")) == (2, {})
    (tmp_path / "gate").touch()
    # The same machine takes up its own leases at once, and clears away what it had begun.
    assert subprocess.run(line, timeout=SECONDS_AT_MOST).returncode == 0
    assert (len(there.entries("manifests")), there.entries("leases")) == (2, {})
    assert [path for name in ("tmp", "waiting") for path in (tmp_path / "a" / name).iterdir()] == []
    # Another one judges from there.
    other = machine(bucket, tmp_path / "b")
    assert [text_of(other, one) for one in held(str(tmp_path / "gate"))] == [{"said.txt": "x"}, {"said.txt": "y"}]
    assert other.built == []
