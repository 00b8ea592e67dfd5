"""The action and the workflows that post a comment: pinned, with few rights, and safe for pull requests of forks."""

import re
from pathlib import Path

import pytest

from ws.changes.markdown import MARK, MOST
from ws.tests.documents import ROOT

ACTION = ROOT / ".github/actions/diff/action.yml"
READS, WRITES = ROOT / ".github/workflows/diff.yml", ROOT / ".github/workflows/diff-comment.yml"
FILES = [ACTION, READS, WRITES]


def text_of(path: Path) -> str:
    """A workflow without its comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def scripts(path: Path) -> list[str]:
    """What a workflow hands to shells."""
    text = text_of(path)
    blocks = re.findall(r"^( *)(?:- )?run: \|\n((?:\1 {2,}.*\n|\n)+)", f"{text}\n", re.MULTILINE)
    return [body for _, body in blocks] + re.findall(r"run: ([^|\n].*)", text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_used_is_pinned_to_a_commit(path: Path) -> None:
    for used in re.findall(r"uses: (.*)", text_of(path)):
        assert re.fullmatch(r"\./\.github/.*|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_word_of_an_event_becomes_part_of_a_script(path: Path) -> None:
    assert scripts(path)
    assert not [script for script in scripts(path) if "${{" in script]


def test_what_runs_code_of_a_fork_may_write_nothing() -> None:
    text = text_of(READS)
    assert re.search(r"^on:\n  pull_request:", text, re.MULTILINE)
    assert re.search(r"^permissions:\n  contents: read\n\n", text, re.MULTILINE)
    assert "write" not in text
    assert "secrets" not in text
    assert "persist-credentials: false" in text


def test_what_may_write_runs_no_code_of_a_fork() -> None:
    text = text_of(WRITES)
    assert re.search(r"^on:\n  workflow_run:", text, re.MULTILINE)
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    assert re.findall(r"(\w[\w-]*): write", text) == ["pull-requests"]
    assert "uses:" not in text
    assert "pull_request_target" not in text


def test_the_comment_is_found_again_and_no_longer_than_github_takes() -> None:
    text = text_of(WRITES)
    assert f'MARK: "{MARK}"' in text
    assert f"[:{MOST:_}]" in text
    name = re.search(r"^name: (.*)$", text_of(READS), re.MULTILINE)
    assert name is not None
    assert f"workflows: [{name[1]}]" in text
