"""A store behind a URL: what one machine builds, the others fetch; what is damaged there is named and never served."""

import errno
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from ws.errors import StoreError
from ws.plan.asking import AskingStore
from ws.remote import RemoteStore
from ws.remote.documents import encoded
from ws.remote.objects import Objects
from ws.store import StoreWarning, manifests
from ws.store.manifests import read_manifest
from ws.tests.machines import QUICK, Both, Bucket, Machines, Words, text_of

RECIPE = Both(Words("a"), Words("b"))

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path)


def kinds(store: RemoteStore) -> list[str]:
    """The classes of what a store has built, in order."""
    return [type(one.recipe).__name__ for one in store.built]


def test_what_one_machine_built_another_fetches(machines: Machines) -> None:
    first, second = machines.start("a"), machines.start("b")
    assert text_of(first, RECIPE) == {"both.txt": "a b"}
    assert kinds(first) == ["Words", "Words", "Both"]
    assert second.has(RECIPE)
    assert text_of(second, RECIPE) == {"both.txt": "a b"}
    assert text_of(second, Words("b")) == {"text.txt": "b", "more/length.txt": "1"}
    assert second.built == []


def test_an_input_that_nobody_reads_is_not_fetched(machines: Machines) -> None:
    machines.start("a").get(RECIPE)
    second = machines.start("b")
    second.get(RECIPE)
    assert not (second.root / "Words").exists()


def test_the_copy_answers_without_the_network(machines: Machines) -> None:
    machines.start("a").get(RECIPE)
    machines.bucket.asked.clear()
    again = machines.start("a")
    assert again.has(RECIPE)
    assert text_of(again, RECIPE) == {"both.txt": "a b"}
    assert machines.bucket.asked == {}


def test_a_manifest_says_who_made_it_and_where_it_was_fetched(machines: Machines) -> None:
    first, second = machines.start("a"), machines.start("b")
    made, fetched = read_manifest(first.get(RECIPE)), read_manifest(second.get(RECIPE))
    assert made is not None
    assert fetched is not None
    assert fetched.said["fetched"]["from"] == "memory://bucket/shared"
    assert {name: value for name, value in fetched.said.items() if name != "fetched"} == made.said


def test_what_a_fetched_manifest_says_of_its_recipe_is_not_believed(machines: Machines) -> None:
    first = machines.start("a")
    key = first.key(Words("a"))
    said = dict(read_manifest(first.get(Words("a"))).said) | {"class": "os.Popen", "recipe": {"class": "os.Popen"}}
    machines.bucket.put(f"manifests/{key}.json", encoded(said))
    fetched = read_manifest(machines.start("b").get(Words("a")))
    assert (fetched.kind, fetched.said["recipe"]["fields"]) == ("Words", {"text": "a"})


def test_the_manifest_is_the_last_that_is_written(machines: Machines) -> None:
    store = machines.start("a")
    store.get(Words("a"))
    key = store.key(Words("a"))
    folders = [name.partition("/")[0] for name in machines.bucket.written if key in name]
    assert folders[0] == "leases"
    assert [folder for folder in folders if folder != "leases"] == ["files", "files", "manifests"]
    assert f"leases/{key}.json" not in machines.bucket.names()


def test_files_are_named_by_their_content(machines: Machines) -> None:
    store = machines.start("a")
    said = read_manifest(store.get(Words("a"))).said["files"]
    names = {f"files/{store.key(Words('a'))}/{one['sha256']}" for one in said.values()}
    assert names == {name for name in machines.bucket.names() if name.startswith("files/")}


def dying_at(number: int) -> Callable[[str, str], None]:
    """The trouble of a machine that ends before a write, the first being 0, and answers nothing from then on."""
    writes = 0

    def meet(what: str, path: str) -> None:
        nonlocal writes
        if writes > number:
            raise PermissionError("the network is gone")
        if what == "write" and not path.startswith(("leases", "format")):
            writes += 1
            if writes > number:
                raise PermissionError("the network is gone")

    return meet


@pytest.mark.parametrize("number", range(3), ids=["before the first file", "between files", "before the manifest"])
def test_an_upload_that_is_cut_is_never_seen_and_goes_on(machines: Machines, number: int) -> None:
    first = machines.start("a")
    machines.bucket.trouble = dying_at(number)
    with pytest.raises(StoreError, match="the network is gone"):
        first.get(Words("a"))
    machines.bucket.trouble = lambda what, path: None
    assert not machines.start("b").has(Words("a"))
    assert [name for name in machines.bucket.names() if name.startswith("manifests")] == []
    assert text_of(machines.start("a"), Words("a"))["text.txt"] == "a"
    third = machines.start("c")
    assert text_of(third, Words("a"))["text.txt"] == "a"
    assert third.built == []


def test_what_could_not_be_uploaded_is_whole_here(machines: Machines) -> None:
    first = machines.start("a")
    machines.bucket.trouble = dying_at(1)
    with pytest.raises(StoreError):
        first.get(Words("a"))
    assert manifests.damage(first.home(Words("a"), first.key(Words("a"))), first.key(Words("a"))) is None
    assert text_of(first, Words("a"))["text.txt"] == "a"


def test_a_note_of_what_was_never_finished_goes(machines: Machines, tmp_path: Path) -> None:
    first = machines.start("a")
    first._uploads.note(first.key(Words("a")), "Words")
    again = machines.start("a")
    assert list((again.root / "waiting").iterdir()) == []
    assert not any(name.startswith("manifests") for name in machines.bucket.names())


def test_a_listing_that_lags_hides_nothing(machines: Machines) -> None:
    machines.start("a").get(RECIPE)
    machines.bucket.unlisted = set(machines.bucket.names())
    second = machines.start("b")
    assert not second.has(RECIPE)
    assert text_of(second, RECIPE) == {"both.txt": "a b"}
    assert second.built == []


def _manifest(change: Callable[[dict], object]) -> Callable[[Bucket, str], None]:
    """A manifest that is whole by its own hash and says something else."""

    def spoil(bucket: Bucket, key: str) -> None:
        name = f"manifests/{key}.json"
        said = json.loads(bucket.content(name))["manifest"]
        change(said)
        bucket.put(name, encoded(said))

    return spoil


def _file(change: Callable[[bytes], bytes]) -> Callable[[Bucket, str], None]:
    def spoil(bucket: Bucket, key: str) -> None:
        name = next(name for name in bucket.names() if name.startswith(f"files/{key}/"))
        bucket.put(name, change(bucket.content(name)))

    return spoil


def _raw(content: bytes) -> Callable[[Bucket, str], None]:
    return lambda bucket, key: bucket.put(f"manifests/{key}.json", content)


def _lost(bucket: Bucket, key: str) -> None:
    bucket.lose(next(name for name in bucket.names() if name.startswith(f"files/{key}/")))


def _flipped(bucket: Bucket, key: str) -> None:
    name = f"manifests/{key}.json"
    bucket.put(name, bucket.content(name).replace(b'"created": "2', b'"created": "3'))


def _called(name: str) -> Callable[[Bucket, str], None]:
    """A file of the artifact under another name."""
    return _manifest(lambda said: said["files"].update({name: said["files"].pop("text.txt")}))


DAMAGES = {
    "truncated": (_file(lambda content: content[:-1]), r"has 0 bytes, 1 in its manifest"),
    "other bytes": (_file(lambda content: bytes([content[0] ^ 1]) + content[1:]), "does not have the sha256"),
    "a file lost": (_lost, "is missing"),
    "half a manifest": (_raw(b'{"sha256": "'), "its manifest cannot be read"),
    "an empty manifest": (_raw(b""), "its manifest cannot be read"),
    "brackets": (_raw(b"[" * 200_000), r"its manifest cannot be read \(RecursionError\)"),
    "another character": (_flipped, "its manifest does not have its own sha256"),
    "another key": (_manifest(lambda said: said.update(key="0" * 32)), "of another artifact"),
    "no files": (_manifest(lambda said: said.update(files={})), "lists no files"),
    "no sizes": (_manifest(lambda said: said["files"]["text.txt"].pop("bytes")), "lists no files"),
    "no size": (_manifest(lambda said: said["files"]["text.txt"].update(bytes=-1)), "lists no files"),
    "a path as hash": (_manifest(lambda said: said["files"]["text.txt"].update(sha256="../x")), "lists no files"),
    "seconds": (_manifest(lambda said: said.update(seconds="long")), "how long it took"),
    "work": (_manifest(lambda said: said.update(cpu_seconds="long")), "how long it took"),
    "a name that climbs": (_called("../../text.txt"), "leads out of it"),
    "a name from the root": (_called("/etc/text.txt"), "leads out of it"),
    "the manifest's own name": (_called("manifest.json"), "cannot be used"),
    "a file as a folder": (_called("more/length.txt/text.txt"), "cannot be used"),
    "a line end": (_called("text\n.txt"), "cannot be used"),
    "a long name": (_called("t" * 256), "cannot be used"),
}


@pytest.mark.parametrize(("spoil", "named"), DAMAGES.values(), ids=DAMAGES)
def test_damage_there_is_named_built_again_and_replaced(
    machines: Machines, tmp_path: Path, spoil: Callable[[Bucket, str], None], named: str
) -> None:
    key = machines.start("a").key(Words("a"))
    machines.start("a").get(Words("a"))
    before = set(tmp_path.rglob("*"))
    spoil(machines.bucket, key)
    second = machines.start("b")
    with pytest.warns(StoreWarning, match=f"memory://bucket/shared/manifests/{key}.json is damaged: .*{named}"):
        assert text_of(second, Words("a")) == {"text.txt": "a", "more/length.txt": "1"}
    assert len(second.built) == 1
    assert {path for path in set(tmp_path.rglob("*")) - before if second.root not in (path, *path.parents)} == set()
    third = machines.start("c")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert text_of(third, Words("a"))["text.txt"] == "a"
    assert third.built == []


def test_a_damaged_copy_is_fetched_again(machines: Machines) -> None:
    first = machines.start("a")
    (first.get(Words("a")) / "text.txt").write_text("b")
    again = machines.start("a")
    with pytest.warns(StoreWarning, match=r"text\.txt does not have the sha256"):
        assert text_of(again, Words("a"))["text.txt"] == "a"
    assert again.built == []


def test_a_fresh_run_replaces_what_is_there_once_for_all_its_machines(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.start("a").get(RECIPE)
    machines.start("b").get(RECIPE)
    manifests = {name for name in machines.bucket.names() if name.startswith("manifests")}
    machines.bucket.written.clear()
    monkeypatch.setenv("WS_RUN_ID", "one")
    first, second = machines.start("a", fresh=True), machines.start("b", fresh=True)
    first.get(RECIPE)
    second.get(RECIPE)
    second.get(Words("a"))
    assert (kinds(first), kinds(second)) == (["Words", "Words", "Both"], [])
    assert sorted(name for name in machines.bucket.written if name in manifests) == sorted(manifests)
    monkeypatch.setenv("WS_RUN_ID", "two")
    third = machines.start("b", fresh=True)
    third.get(RECIPE)
    assert kinds(third) == ["Words", "Words", "Both"]


def test_a_plan_knows_what_is_there(machines: Machines, tmp_path: Path) -> None:
    machines.start("a").get(Words("a"))
    second = machines.start("b")
    (tmp_path / "plan").mkdir()
    asking = AskingStore(second, tmp_path / "plan")
    assert asking.has(Words("a"))
    assert not asking.has(Words("b"))


def test_the_code_behind_a_key_goes_too(machines: Machines) -> None:
    store = machines.start("a")
    source = read_manifest(store.get(Words("a"))).said["source"]
    assert f"code/{source}.json.gz" in machines.bucket.names()


def test_no_room_is_said_before_anything_is_fetched(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    machines.start("a").get(Words("a"))
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1})())
    with pytest.raises(StoreError, match=r"no room for .* 0\.0 MB .*WS_STORE_COPY=PATH"):
        machines.start("b").get(Words("a"))


def test_a_full_disk_here_is_this_machine_s(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    machines.start("a").get(Words("a"))
    second = machines.start("b")

    def full(rpath: str, lpath: str, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", lpath)

    monkeypatch.setattr(machines.bucket, "get_file", full)
    with pytest.raises(StoreError, match=rf"cannot use the store: No space left on device: {second.root}.*make room"):
        second.get(Words("a"))


def test_a_place_of_another_layout_is_left_alone(machines: Machines) -> None:
    machines.bucket.put("format.json", b"[2]")
    with pytest.raises(StoreError, match=r"memory://bucket/shared/format\.json is not what this version writes"):
        machines.start("a").get(Words("a"))
    assert machines.bucket.names() == ["format.json"]


def test_a_folder_is_the_copy_of_one_url(machines: Machines) -> None:
    machines.start("a")
    with pytest.raises(
        StoreError, match=r"is the working copy of memory://bucket/shared, not of memory://bucket/other"
    ):
        RemoteStore(Objects("memory://bucket/other", filesystem=machines.bucket), machines.folder / "a", pace=QUICK)


def test_no_credentials_are_written_or_said(machines: Machines, tmp_path: Path) -> None:
    url = "sftp://someone:hunter2@host/shared"
    secret = Machines(tmp_path / "of-secret")
    store = secret.start("a", url=url)
    store.get(RECIPE)
    secret.start("b", url=url).get(RECIPE)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    uploaded = [bytes(file.getbuffer()) for file in secret.bucket.store.values()]
    assert uploaded
    assert not [content for content in (*written, *uploaded) if b"hunter2" in content or b"someone" in content]

    def refuse(what: str, path: str) -> None:
        raise PermissionError(f"someone:hunter2@host says no to {url}, hunter2 is wrong")

    secret.bucket.trouble = refuse
    with pytest.raises(StoreError) as raised:
        secret.start("c", url=url).get(RECIPE)
    assert re.search("hunter2|someone", str(raised.value)) is None
    assert raised.value.__cause__ is None
    assert "sftp://host/shared" in str(raised.value)
