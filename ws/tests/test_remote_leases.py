"""Who builds what several machines want: one of them, for as long as it gives signs of life."""

import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ws.errors import StoreError
from ws.remote.leases import MOST_LASTING, Leases, Pace, _holder, _lasts
from ws.remote.objects import Objects
from ws.tests.machines import QUICK, URL, Bucket, Machines, Slow, Words, text_of
from ws.tests.told import Told

KEY = "0123456789abcdef" * 2
NAME = f"leases/{KEY}.json"


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def leases(bucket: Bucket, owner: str, pace: Pace = QUICK) -> Leases:
    return Leases(Objects(URL, filesystem=bucket, patience=(0.0,)), owner, pace)


def said(bucket: Bucket) -> dict[str, object]:
    return json.loads(bucket.content(NAME))


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true; a minute at most, for slow machines."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def dead(owner: str = "b", **others: object) -> bytes:
    """The lease of a machine that is gone."""
    return json.dumps({"owner": owner, "token": "gone", "host": "mill", "process": 7, "seconds": 0.4} | others).encode()


def test_a_lease_names_its_holder_and_goes_when_it_is_given_back(bucket: Bucket) -> None:
    with leases(bucket, "a").held(KEY, "a text") as lease:
        assert (said(bucket)["owner"], said(bucket)["token"]) == ("a", lease.token)
        assert said(bucket)["what"] == "a text"
    assert bucket.names() == []


def test_no_sign_of_life_comes_after_a_lease_is_given_back(bucket: Bucket) -> None:
    signing = threading.Event()

    def slow(what: str, path: str) -> None:
        if what == "write" and threading.current_thread().name == "leases":
            signing.set()
            time.sleep(0.2)

    bucket.trouble = slow
    with leases(bucket, "a").held(KEY, "a text"):
        assert signing.wait(60)
    time.sleep(0.3)
    assert bucket.names() == []


def test_a_lease_goes_with_an_error_in_the_build(bucket: Bucket) -> None:
    with pytest.raises(ValueError, match="no"), leases(bucket, "a").held(KEY, "a text"):
        raise ValueError("no")
    assert bucket.names() == []


def test_an_error_in_the_build_is_not_hidden_by_one_of_the_network(bucket: Bucket) -> None:
    def refuse(what: str, path: str) -> None:
        raise PermissionError

    def build() -> None:
        with leases(bucket, "a").held(KEY, "a text"):
            bucket.trouble = refuse
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        build()


def test_the_holder_gives_signs_of_life(bucket: Bucket) -> None:
    with leases(bucket, "a").held(KEY, "a text"):
        until(lambda: said(bucket).get("beat", 0) >= 2)


def test_another_machine_waits_and_takes_what_came(tmp_path: Path, told: Told) -> None:
    machines = Machines(tmp_path)
    recipe = Slow("a", str(tmp_path / "diary"), seconds=1.0)
    first, second = machines.start("a"), machines.start("b")
    builder = threading.Thread(target=first.get, args=(recipe,))
    builder.start()
    until(lambda: f"leases/{first.key(recipe)}.json" in machines.bucket.names())
    assert text_of(second, recipe) == {"text.txt": "a"}
    builder.join()
    assert (tmp_path / "diary").read_text() == "a\n"
    assert second.built == []
    assert len([line for line in told if re.match(r"waiting for process \d+ of .* to build Slow a", line)]) == 1


def test_a_lease_that_stands_still_is_taken_over(bucket: Bucket, told: Told) -> None:
    bucket.put(NAME, dead())
    with leases(bucket, "a").held(KEY, "a text") as lease:
        assert said(bucket)["token"] == lease.token
    assert "process 7 of mill gives no sign of life; taking over a text" in "\n".join(told)
    assert bucket.names() == []


@pytest.mark.parametrize("clock", [0.0, 4e9], ids=["1970", "2096"])
def test_clocks_that_disagree_decide_nothing(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, clock: float) -> None:
    with leases(bucket, "a").held(KEY, "a text"):
        monkeypatch.setattr(time, "time", lambda: clock)
        entered = threading.Event()

        def other() -> None:
            with leases(bucket, "b").held(KEY, "a text"):
                entered.set()

        waiting = threading.Thread(target=other)
        waiting.start()
        beat = said(bucket)["beat"]
        until(lambda: said(bucket).get("beat", 0) > beat + 1)
        assert not entered.is_set()
    waiting.join()
    assert entered.is_set()


def test_the_lease_of_a_process_of_this_machine_that_died_is_taken_at_once(bucket: Bucket, told: Told) -> None:
    bucket.put(NAME, dead("a", seconds=1e9))
    with leases(bucket, "a").held(KEY, "a text") as lease:
        assert said(bucket)["token"] == lease.token
    assert told == []


def test_a_lease_that_another_took_over_is_left_to_it(bucket: Bucket, told: Told) -> None:
    with leases(bucket, "a").held(KEY, "a text") as lease:
        bucket.put(NAME, dead())
        until(lambda: lease.is_lost)
    assert bucket.content(NAME) == dead()
    assert "another machine has taken over a text; what is built here stays" in "\n".join(told)


def test_of_two_that_take_over_at_once_one_has_it(bucket: Bucket) -> None:
    bucket.put(NAME, dead())
    written = 0

    def overtake(what: str, path: str) -> None:
        nonlocal written
        if what == "write" and path == NAME and said(bucket)["token"] == "gone":
            written += 1
        elif what == "read" and written == 1:
            written += 1
            bucket.put(NAME, dead("c", token="at the same moment", seconds=0.05))

    bucket.trouble = overtake
    with leases(bucket, "a").held(KEY, "a text") as lease:
        assert written == 2
        assert said(bucket)["token"] == lease.token


def test_one_that_was_told_twice_that_it_made_the_lease_looks_again(bucket: Bucket) -> None:
    # A file system that lets both in: the other one wrote last.
    def overwrite(what: str, path: str) -> None:
        if what == "read" and path == NAME and bucket.asked["read"] == 1:
            bucket.put(NAME, dead(seconds=0.05))

    bucket.trouble = overwrite
    with leases(bucket, "a").held(KEY, "a text") as lease:
        assert bucket.asked["read"] > 3
        assert said(bucket)["token"] == lease.token


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"[1]", b"\xff", b'{"seconds": "x"}'])
def test_what_is_no_lease_is_waited_for_as_for_one(
    bucket: Bucket, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pace, "lasts", 0.2)
    bucket.put(NAME, content)
    with leases(bucket, "a").held(KEY, "a text") as lease:
        assert said(bucket)["token"] == lease.token


def test_what_a_lease_says_of_itself_is_believed_within_reason() -> None:
    assert _lasts({"seconds": 1e12}) == MOST_LASTING
    assert _lasts({"seconds": -1}) == _lasts({"seconds": float("nan")}) == _lasts({}) == Pace.lasts
    assert _holder({"host": "a\x1b[2Jb", "process": 1}) == "another machine"
    assert _holder({"host": "mill", "process": "x"}) == "mill"


def test_a_sign_that_could_not_be_given_is_given_later(bucket: Bucket) -> None:
    with leases(bucket, "a").held(KEY, "a text") as lease:
        failed = 0

        def fail(what: str, path: str) -> None:
            nonlocal failed
            failed += 1
            raise TimeoutError

        bucket.trouble = fail
        until(lambda: failed >= 2)
        bucket.trouble = lambda what, path: None
        beat = lease.beats
        until(lambda: said(bucket).get("beat", 0) > beat)
        assert not lease.is_lost


def test_both_build_where_the_lease_failed_and_the_first_manifest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WS_QUIET", "1")
    machines = Machines(tmp_path)
    first, second = machines.start("a"), machines.start("b")
    name = f"manifests/{first.key(Words('a'))}.json"
    build = Words.build

    def overtaken(recipe: Words, out: Path, store: object) -> None:
        build(recipe, out, store)
        (out / "machine.txt").write_text("1")
        monkeypatch.setattr(Words, "build", lambda *args: (build(*args), (args[1] / "machine.txt").write_text("2")))
        machines.bucket.lose(f"leases/{first.key(Words('a'))}.json")
        second.get(Words("a"))

    first._keys[Words("a")] = first.key(Words("a"))
    second._keys[Words("a")] = first.key(Words("a"))
    monkeypatch.setattr(Words, "build", overtaken)
    first.get(Words("a"))
    monkeypatch.setattr(Words, "build", build)
    third = machines.start("c")
    assert text_of(third, Words("a"))["machine.txt"] == "2"
    assert (len(first.built), len(second.built), len(third.built)) == (1, 1, 0)
    assert machines.bucket.written.count(name) == 1


def test_a_lease_that_may_not_be_written_is_an_error_before_the_build(tmp_path: Path) -> None:
    machines = Machines(tmp_path)

    def refuse(what: str, path: str) -> None:
        if what == "write":
            raise PermissionError("Access Denied")

    machines.bucket.trouble = refuse
    store = machines.start("a")
    with pytest.raises(StoreError, match=r"cannot write memory://bucket/shared/.*must be allowed to read, write, list"):
        store.get(Words("a"))
    assert store.built == []
