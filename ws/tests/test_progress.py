"""Progress of long runs: what is printed, and to which stream."""

import io
from collections.abc import Callable

import pytest

from ws.store import progress


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """The surroundings a terminal user has, whoever runs these tests."""
    for name in ("WS_QUIET", "PYTEST_XDIST_WORKER", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Progress where there is no terminal."""
    monkeypatch.setattr(progress, "_chosen", None)
    stream = io.StringIO()
    progress.use(stream)
    return stream


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Progress on a terminal."""
    monkeypatch.setattr(progress, "_chosen", None)
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
