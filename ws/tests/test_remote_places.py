"""Where a store is named, a URL may be: on command lines, in WS_STORE, in Python; what is wrong with one is said."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import fsspec  # noqa: F401  its table of file systems is changed below
import pytest

from ws import cli
from ws.errors import StoreError
from ws.plan.place import Place
from ws.remote import RemoteStore, is_url, open_store, place_of, spelled, whereabouts
from ws.remote.objects import Objects
from ws.remote.opening import copy_folder, named_place
from ws.remote.urls import checked, credentials, name_of, without
from ws.store import Store, default_root
from ws.tests.conftest import Project
from ws.tests.machines import Words

BUILDS = """
from ws.tests.machines import Words

def test_it_builds(store):
    assert (store.get(Words("a")) / "text.txt").read_text() == "a"
    print(type(store).__name__)
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy in this test's folder, no store that somebody named, and no progress."""
    monkeypatch.setenv("WS_STORE_COPY", str(tmp_path / "copy"))
    monkeypatch.delenv("WS_STORE", raising=False)
    monkeypatch.setenv("WS_QUIET", "1")


def test_what_is_a_url() -> None:
    assert all(map(is_url, ["s3://bucket/a", "gs://b", "file:///a", "memory://x"]))
    assert not any(map(is_url, ["/a/b", "a", "C:/a", "./s3:/a", Path("s3://bucket/a")]))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "names no place"),
        ("s3:///", "names no place"),
        ("s3://bucket/../other", "names no place"),
        ("simplecache::s3://bucket/a", "has '::'"),
        ("s3://bucket/a?versionId=1", "has '::', '\\?'"),
        ("s3://someone:hunter2@bucket/a", "has user or password in its URL, where s3:// has none"),
    ],
)
def test_a_url_that_names_no_place_is_refused_without_its_password(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as raised:
        checked(url)
    assert "hunter2" not in str(raised.value)


def test_a_url_is_shown_without_credentials() -> None:
    url = "sftp://someone:hunter2@host/a/"
    assert name_of(url) == "sftp://host/a"
    assert credentials(url) == "someone:hunter2"
    assert without(f"{url} said hunter2 to someone:hunter2@host", credentials(url)) == "sftp://host/a/ said *** to host"


def test_a_url_that_became_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="was a URL before it became a path"):
        open_store(Path("s3://bucket/a"))


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ("s3", "needs s3fs.*weight-steering-claims\\[remote\\]"),
        ("gs", "needs gcsfs"),
        ("zzz", "fsspec does not know zzz"),
    ],
)
def test_what_opens_a_url_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, said: str
) -> None:
    for package in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, package, None)
    for name in ("s3", "gs"):
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, name, raising=False)
    store = RemoteStore(Objects(f"{protocol}://bucket/a", patience=()), tmp_path / "a")
    with pytest.raises(StoreError, match=said):
        store.get(Words("a"))


def test_nothing_of_the_network_is_imported_before_it_is_needed() -> None:
    program = "import sys, ws.remote; print([name for name in ('fsspec', 's3fs', 'asyncio') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_variable_names_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_STORE", "memory://bucket/a/")
    store = open_store()
    assert isinstance(store, RemoteStore)
    assert (store.root, place_of(store), spelled(store)) == (tmp_path / "copy", "memory://bucket/a", None)
    assert named_place() == "memory://bucket/a"
    with pytest.raises(StoreError, match="WS_STORE is a URL"):
        default_root()


def test_what_is_spelled_and_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, behind = open_store(tmp_path / "a"), open_store("memory://bucket/b")
    assert isinstance(folder, Store)
    assert not isinstance(folder, RemoteStore)
    assert (spelled(folder), whereabouts(folder)) == (str(tmp_path / "a"), tmp_path / "a")
    assert spelled(behind) == whereabouts(behind) == "memory://bucket/b"
    monkeypatch.setenv("WS_STORE", str(tmp_path / "a"))
    assert spelled(folder) is None
    assert spelled(behind) == "memory://bucket/b"


def test_each_url_has_a_copy_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WS_STORE_COPY")
    urls = ["s3://bucket/a", "s3://bucket/b", "gs://bucket/a"]
    folders = {copy_folder(url) for url in urls}
    assert len(folders) == 3
    assert copy_folder("sftp://someone:hunter2@host/a") == copy_folder("sftp://host/a/")
    assert re.fullmatch(r"bucket-a-[0-9a-f]{8}", copy_folder("s3://bucket/a").name)


def test_workers_open_the_same_url(tmp_path: Path) -> None:
    store = Place(f"file://{tmp_path}/shared").store()
    assert isinstance(store, RemoteStore)
    store.get(Words("a"))
    assert len(list((tmp_path / "shared" / "manifests").iterdir())) == 1


def test_pytest_takes_a_url(project: Project, tmp_path: Path) -> None:
    project.claims(BUILDS)
    place = tmp_path / "shared"
    project.run(f"--store=file://{place}").assert_outcomes(passed=1)
    assert len(list((place / "manifests").iterdir())) == 1
    refused = project.run("--store=s3://someone:hunter2@bucket/a")
    refused.stderr.fnmatch_lines(["*--store: the store s3://bucket/a has user or password*"])
    assert "hunter2" not in refused.stderr.str() + refused.stdout.str()


def run(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(sys, "argv", ["ws", *shlex.split(line)])
    cli.main()


def test_the_command_line_takes_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Store(tmp_path / "folder").get(Words("a"))
    url = f"file://{tmp_path}/shared"
    run(monkeypatch, f"store copy {tmp_path / 'folder'} {url}")
    assert capsys.readouterr().out == "copied 1 artifacts; 0 were there\n"
    run(monkeypatch, f"store --store {url}")
    assert "Words" in capsys.readouterr().out
    run(monkeypatch, f"store gc --dry-run --store {url}")
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("store --store s3://", "the store s3: names no place"),
        ("store carry --store memory://bucket/a", "ws store carry.*cannot do; copy it"),
        ("store copy a b", "/a and .*/b are two folders to copy between; expected a folder and a URL"),
        ("store copy nofolder memory://bucket/a", "nofolder is no folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, line)
    assert end.value.code != 0
    assert re.search(said, capsys.readouterr().err)
