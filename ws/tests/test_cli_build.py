"""`ws plan` and `ws build` go on as pytest, with the selection that they were given."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from ws import cli


@pytest.fixture(autouse=True)
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The command lines that this process would go on as."""
    lines: list[list[str]] = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "claims").mkdir()
    monkeypatch.setattr(os, "execv", lambda program, words: lines.append([program, *words]))
    return lines


PYTEST = [sys.executable, sys.executable, "-m", "pytest", "-q", "--no-header"]
LINES = {
    "plan": "--plan --workers=auto claims",
    'plan -k "c05 and lora" --model tiny-random-qwen3 ./mine --seeds 3 --workers 16': (
        "--plan --workers=16 --seeds=3 --model=tiny-random-qwen3 --model=./mine '-k=c05 and lora' claims"
    ),
    "plan claims --family lora oft --behavior honesty --recorded --gpu": (
        "--plan --workers=auto --behavior=honesty --family=lora --family=oft --recorded --gpu claims"
    ),
    "build -k c05 --workers 2": "--workers=2 --build-only -k=c05 claims",
    "build --engine ray": "--cluster=auto --build-only claims",
    "build --engine ray --address 10.0.0.1:6379": "--cluster=10.0.0.1:6379 --build-only claims",
}


@pytest.mark.parametrize("line", LINES)
def test_a_command_goes_on_as_pytest(monkeypatch: pytest.MonkeyPatch, ran: list[list[str]], line: str) -> None:
    monkeypatch.setattr(sys, "argv", ["ws", *shlex.split(line)])
    cli.main()
    assert ran == [[*PYTEST, *shlex.split(LINES[line])]]


def test_the_store_is_named_by_its_whole_path(
    monkeypatch: pytest.MonkeyPatch, ran: list[list[str]], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["ws", "plan", "--store", "artifacts"])
    cli.main()
    assert f"--store={tmp_path}/artifacts" in ran[0]
