"""What a conversation looks like: columns that fit, nothing that a terminal would obey, plain text without one."""

import io
import os
import pty
import re
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from ws import cli
from ws.models.language import LanguageModel
from ws.store import Store
from ws.talk import signals
from ws.talk.columns import WIDE, Said, printable, rows
from ws.talk.screen import Plain, Terminal, here
from ws.talk.signals import Stopped, stopping
from ws.tests.small import ON

pytestmark = pytest.mark.usefixtures("told")

LEFT, RIGHT = Said("unsteered", "No, it is wet."), Said("dW of lora at +1", "Yes, you are right.")
texts = st.text(st.characters(codec="utf-8"), max_size=300)


def plain(answers: list[Said], width: int) -> list[str]:
    return [row.plain.rstrip() for row in rows(answers, width=width)]


def test_answers_stand_side_by_side_where_there_is_room() -> None:
    head, body = plain([LEFT, RIGHT], WIDE)
    middle = head.index("│")
    assert (head[: middle - 1].rstrip(), head[middle + 2 :]) == (LEFT.heading, RIGHT.heading)
    assert (body[: middle - 1].rstrip(), body[middle + 2 :]) == (LEFT.text, RIGHT.text)


def test_elsewhere_they_stand_below_each_other() -> None:
    assert plain([LEFT, RIGHT], WIDE - 1) == [LEFT.heading, LEFT.text, "", RIGHT.heading, RIGHT.text]


@settings(max_examples=40, deadline=None)
@given(texts, texts, st.integers(20, 130))
def test_no_row_is_wider_than_the_terminal_and_no_word_is_lost(one: str, other: str, width: int) -> None:
    found = rows([Said("a", one), Said("b", other)], width=width)
    assert max(cell_len(row.plain) for row in found) <= width
    shown = "".join(row.plain for row in found)
    # Words that are wider than a column are broken.
    for text in (one, other):
        assert set("".join(printable(text.strip()).split())) <= set("".join(shown.split()))


def test_columns_are_as_wide_as_they_look() -> None:
    beside = rows([Said("a", "竜がいる。" * 20), RIGHT], width=100)
    bars = {cell_len(row.plain.partition("│")[0]) for row in beside}
    assert len(bars) == 1


@given(texts)
def test_a_terminal_is_told_nothing_but_text(text: str) -> None:
    shown = printable(f"\x1b]0;title\x07\x9b2J\u202e{text}")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


def test_what_is_no_order_to_a_terminal_stays() -> None:
    said = "Zeile 1\nZeile 2: ok, 竜, e\u0301, \U0001f469\u200d\U0001f680"
    assert printable(said) == said


# Without a terminal


@pytest.fixture
def folders_of(lm: LanguageModel, store: Store, tmp_path: Path) -> list[str]:
    from ws.tests.test_interventions import folders

    plus, minus = folders(lm, store, tmp_path)
    where = ["--model", ON.weights.name, "--store", str(store.root), "--tokens", "4"]
    return ["ws", "chat", "--plus", str(plus), "--minus", str(minus), "--coeff", "40", *where]


def piped(monkeypatch: pytest.MonkeyPatch, words: list[str], lines: str) -> None:
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    cli.main()


def test_lines_are_read_and_answers_printed_as_plain_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folders_of: list[str]
) -> None:
    piped(monkeypatch, folders_of, "Is water dry?\n\n/coeff 0\n/again\n")
    text = capsys.readouterr().out
    assert "\x1b" not in text
    first, second = re.findall(r"^unsteered: (.*)\nplus minus minus at \+(?:40|0): (.*)\n$", text, re.MULTILINE)
    assert first[0] == second[0] == second[1] != first[1]
    assert re.findall("^> (.*)$", text, re.MULTILINE) == ["Is water dry?", "/coeff 0", "/again"]


def test_a_mistake_without_a_terminal_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folders_of: list[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        piped(monkeypatch, folders_of, "/coef 2\nIs water dry?\n")
    written = capsys.readouterr()
    assert written.err.startswith("ws: unknown command '/coef'")
    assert "unsteered:" not in written.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to steer by; give one of --family"),
        (["--family", "boft", "--training-seed", "9"], "dW of boft (sycophancy, training seed 9) is not in the store"),
        (["--family", "lora", "--seed", "1"], "--seed 1 draws nothing at --temperature 0"),
        (["--family", "lora", "--tokens", "0"], "--tokens 0; expected a number from 1 on"),
        (["--system", "Be terse.", "--coeff", "2"], "a system prompt at coefficient +2; expected 1"),
    ],
)
def test_what_cannot_be_talked_to_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    store: Store,
    words: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        piped(monkeypatch, ["ws", "chat", "--model", ON.weights.name, "--store", str(store.root), *words], "Hi\n")
    assert message in capsys.readouterr().err


# On one


@dataclass
class Pseudo:
    """A pseudo terminal, and what was written to it so far."""

    master: int
    written: bytearray

    def types(self, text: str) -> None:
        os.write(self.master, text.encode())


@contextmanager
def pseudo_terminal(monkeypatch: pytest.MonkeyPatch, *, columns: int) -> Iterator[Pseudo]:
    """Standard input and output as a terminal of so many columns."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, columns))
    terminal = Pseudo(master, bytearray())

    def read() -> None:
        # Linux says so by an error when the other end is closed.
        try:
            while part := os.read(master, 65536):
                terminal.written.extend(part)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    with (
        open(slave, "wb", buffering=0, closefd=False) as raw,
        io.TextIOWrapper(raw, "utf-8", write_through=True) as tty,
        open(slave, encoding="utf-8", closefd=False) as keys,
    ):
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setattr(sys, "stdin", keys)
        monkeypatch.setattr(sys, "stdout", tty)
        reader.start()
        yield terminal
        monkeypatch.undo()
    os.close(slave)
    reader.join(timeout=10)
    os.close(master)


def test_on_a_terminal_columns_grow_and_a_mistake_is_mended(
    monkeypatch: pytest.MonkeyPatch, folders_of: list[str]
) -> None:
    with pseudo_terminal(monkeypatch, columns=100) as terminal:
        terminal.types("Is water dry?\n/coef 2\n/help\n/quit\n")
        monkeypatch.setattr(sys, "argv", folders_of)
        assert isinstance(here(), Terminal)
        cli.main()
    text = terminal.written.decode()
    frames = text.count("unsteered")
    assert frames > 5
    assert "│" in text
    assert "did you mean" in text
    assert "/save FILE" in text


def test_a_dumb_terminal_and_a_pipe_get_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(here(), Plain)
    with pseudo_terminal(monkeypatch, columns=100):
        monkeypatch.setenv("TERM", "dumb")
        screen = here()
    assert isinstance(screen, Plain)


def test_yes_is_asked_for_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Plain().agreed("Train?")
    with pseudo_terminal(monkeypatch, columns=60) as terminal:
        terminal.types("y\nno\n\n")
        screen = Terminal()
        answers = [screen.agreed("Train?") for _ in range(3)]
    assert answers == [True, False, False]


# Ctrl-C


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C interrupts, even if the tests run where it is ignored, as behind nohup."""
    before = signals.signal.signal(signals.signal.SIGINT, signals.signal.default_int_handler)
    yield
    signals.signal.signal(signals.signal.SIGINT, before)


def test_ctrl_c_ends_an_answer_at_its_next_token_and_a_second_one_at_once(heard: None) -> None:
    with stopping() as check:
        check()
        signals.signal.raise_signal(signals.signal.SIGINT)
        with pytest.raises(Stopped):
            check()
        with pytest.raises(KeyboardInterrupt):
            signals.signal.raise_signal(signals.signal.SIGINT)
    assert signals.signal.getsignal(signals.signal.SIGINT) is signals.signal.default_int_handler
