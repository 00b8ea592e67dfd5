"""Files of strangers: any bytes, and files that are nearly right, are read or refused by an error of ours."""

import os
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ws.errors import WsError
from ws.tests.hostile_mutations import WORDS, mutated
from ws.tests.hostile_readers import TARGETS, Target

quickly = settings(
    max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Path]:
    """Empty folders, one after the other."""

    return (tmp_path / str(number) for number in count())


def read_or_refused(target: Target, content: bytes, folder: Path) -> None:
    """Read a file; an error that is none of ours fails the test."""
    path = target.put(folder, content)
    said = "read"
    try:
        target.read(path)
    except WsError as error:
        said = str(error)
    assert 0 < len(said) < 20_000


def test_a_file_that_is_right_is_read(target: Target, tmp_path: Path) -> None:
    for number, seed in enumerate(target.seeds()):
        target.read(target.put(tmp_path / f"{number}", seed))


@quickly
@given(content=st.one_of(st.binary(max_size=64), st.lists(st.sampled_from(WORDS), max_size=6).map(b"".join)))
def test_any_bytes_are_read_or_refused(target: Target, places: Iterator[Path], content: bytes) -> None:
    read_or_refused(target, content, next(places))


@quickly
@given(number=st.integers(0, 1 << 60))
def test_a_file_that_is_nearly_right_is_read_or_refused(target: Target, places: Iterator[Path], number: int) -> None:
    chance = random.Random(number)
    read_or_refused(target, mutated(chance.choice(target.seeds()), chance), next(places))


def test_what_is_no_plain_file_is_refused_at_once(target: Target, tmp_path: Path) -> None:
    path = target.put(tmp_path / "given", target.seeds()[0])
    for number, make in enumerate((os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir)):
        path.rename(path.with_name("kept")) if number == 0 else None
        make(path)
        with pytest.raises(WsError, match=rf"{path.name} (is|has no|has neither)|has no {path.name}|missing"):
            refused(target, path)
        path.rmdir() if path.is_dir() else path.unlink()


def refused(target: Target, path: Path) -> None:
    """Read a file; what warns that it leaves it aside, as evidence does, counts as an error."""
    found = target.read(path)
    if isinstance(found, tuple) and found[-1] and isinstance(found[-1], list):
        raise WsError("; ".join(map(str, found[-1])))
