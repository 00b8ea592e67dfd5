"""Progress of long runs: what is printed, and to which stream."""

import io
import re
from collections.abc import Callable

import pytest

from ws.live.builds import PATIENCE, Builds
from ws.store import progress


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """The surroundings a terminal user has, whoever runs these tests."""
    monkeypatch.setattr(progress, "builds", Builds())
    for name in ("WS_QUIET", "PYTEST_XDIST_WORKER", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Progress where there is no terminal."""
    for name, value in (("_chosen", None), ("_column", int), ("_every_build", False), ("_lines", {})):
        monkeypatch.setattr(progress, name, value)
    stream = io.StringIO()
    progress.use(stream)
    return stream


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Progress on a terminal."""
    for name, value in (("_chosen", None), ("_column", int), ("_every_build", False), ("_lines", {})):
        monkeypatch.setattr(progress, name, value)
    stream = Terminal()
    progress.use(stream)
    return stream


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that only this function moves."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


def test_a_line_goes_to_the_chosen_stream(lines: io.StringIO) -> None:
    progress.say("built [red]it[/red]")
    assert lines.getvalue() == "built [red]it[/red]\n"


def test_a_line_goes_to_standard_error_by_default(lines: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    progress.use(None)
    progress.say("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_a_line_on_a_terminal_is_neither_marked_up_nor_wrapped(terminal: io.StringIO) -> None:
    text = "[bold]x[/bold] 12 " + "long " * 40
    progress.say(text)
    assert terminal.getvalue() == f"{text}\n"


def test_a_line_at_most_every_ten_seconds(lines: io.StringIO, passing: Callable[[float], None]) -> None:
    for _ in progress.track(range(6), "train"):
        passing(4.0)
    for _ in progress.track(iter(range(1)), "answers", total=7):
        passing(20.0)
    for _ in progress.track(iter(range(1)), "answers"):
        passing(36061.0)
    said = ["train 3/6, 0:12 left", "train 6/6, 0:00 left", "answers 1/7, 2:00 left", "answers 1, 10:01:01 so far"]
    assert lines.getvalue().splitlines() == said


def test_a_terminal_gets_a_bar_with_label_and_count(terminal: io.StringIO) -> None:
    assert list(progress.track(range(3), "score [x]")) == [0, 1, 2]
    assert "score [x]" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_a_line_comes_through_while_a_bar_is_drawn(terminal: io.StringIO) -> None:
    for _ in progress.track(range(1), "outer"):
        progress.say("said inside")
    assert "said inside\n" in terminal.getvalue()


ROOM = "\x1b[A\x1b[12C"
"""Up a line, and behind twelve characters."""


def test_the_live_line_stands_below_what_others_wrote_and_leaves_the_cursor_there(terminal: io.StringIO) -> None:
    progress.use(terminal, column=lambda: 12)
    for _ in progress.track(range(2), "outer"):
        for _ in progress.track(range(2), "inner"):
            pass
    written = terminal.getvalue()
    assert written.startswith("\n")
    assert written.endswith(ROOM)
    assert written.count(ROOM) == 1


def test_a_line_that_stays_leaves_the_cursor_below_it(terminal: io.StringIO) -> None:
    progress.use(terminal, column=lambda: 12)
    for _ in progress.track(range(1), "outer"):
        progress.say("said inside")
    assert ROOM not in terminal.getvalue()


def test_the_live_line_fits_and_shows_only_what_is_innermost(terminal: io.StringIO) -> None:
    progress.builds.begin(["a", "b"])
    progress.built("first", 1.0, "a")
    with progress.under_way("outer " * 40):
        list(progress.track(range(3), "inner " * 40))
    lines = re.split(r"[\r\n]", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", terminal.getvalue()))
    assert max(map(len, lines)) <= 80
    assert any("artifact 1 of 2, 0:00 left" in line and "inner" in line and "/3" in line for line in lines)
    assert not any("inner" in line and "outer" in line for line in lines)


def test_a_terminal_shows_artifacts_by_the_live_line_alone(terminal: io.StringIO) -> None:
    progress.built("rows", 31.2, "0123456789")
    assert terminal.getvalue() == ""
    progress.use(terminal, every_build=True)
    progress.built("rows", 31.2, "0123456789")
    assert terminal.getvalue() == "built rows  31.2 s  012345\n"


def test_what_is_built_is_said_now_and_then(lines: io.StringIO, passing: Callable[[float], None]) -> None:
    progress.use(lines)
    for name in ("a", "b", "c", "d"):
        progress.built(name, 4.0, name)
        passing(4.0)
    assert lines.getvalue().splitlines() == ["built a  4.0 s  a", "built 3 artifacts, the last d  4.0 s  d"]


def test_a_line_does_not_go_on_in_somebody_else_s(lines: io.StringIO) -> None:
    progress.use(lines, column=lambda: 3)
    progress.say("hello")
    progress.use(lines)
    progress.say("again")
    assert lines.getvalue() == "\nhello\nagain\n"


def test_the_place_of_an_artifact_among_those_that_were_expected(passing: Callable[[float], None]) -> None:
    builds = Builds()
    assert builds.place == "artifact 1"
    builds.begin(["a", "b", "c"])
    assert builds.place == "artifact 0 of 3"
    passing(30.0)
    builds.count("not expected")
    builds.count("a")
    assert builds.place == "artifact 1 of 3, 1:00 left"
    builds.count("b")
    builds.count("c")
    assert builds.place == "artifact 3 of 3"
    builds.begin(["of other code"])
    for n in range(PATIENCE):
        builds.count(f"{n}")
    assert builds.place == f"artifact {PATIENCE + 1}"


def test_a_parallel_worker_draws_no_bars(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    list(progress.track(range(3), "score"))
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("stream", ["lines", "terminal"])
def test_quiet_is_silent(
    stream: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    passing: Callable[[float], None],
) -> None:
    monkeypatch.setenv("WS_QUIET", "1")
    written = request.getfixturevalue(stream)
    progress.say("hello")
    for _ in progress.track(range(3), "score"):
        passing(60.0)
    assert written.getvalue() == ""
