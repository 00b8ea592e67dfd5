"""What moved between two sides is told with the input that it moved through; what is not recorded is not guessed."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ws.changes import compare
from ws.changes.cases import Cause, Extent, Moved
from ws.changes.commands import compared
from ws.changes.commits import commit_named
from ws.changes.compare import Diff, diff
from ws.changes.definitions import changed
from ws.changes.markdown import MARK, MOST, comment, span
from ws.changes.sides import Place, Side
from ws.changes.text import on_a_screen
from ws.errors import CommandError, DataError, UnknownNameError
from ws.store import Recipe, Store
from ws.tests import shelf
from ws.tests.shelf import OTHER, SMALL, WHOLE, Numbers, Sum

MODEL = "some-model"
VERSIONS = {"torch": "2.14", "transformers": "5.24", "peft": "0.21"}
MACHINE = {"processor": "one", "cores": 2}
RECORD = {
    **{"claim": "C05", "test": "test_it", "measure": None, "footing": None, "model": MODEL},
    **{"outcome": "HOLDS", "value": 0.5, "low": 0.4, "high": 0.6, "threshold": 0.1, "relation": "> 0.1"},
    **{"tolerance": 0.01, "n_seeds": 3, "cases": 2, "p_holds": 0.01, "p_refuted": 0.99, "leaves": [[0.5, 0.01]]},
    **{"device": "cpu", "versions": VERSIONS, "keys": ["1" * 32]},
}


class Repository:
    """A repository with recorded verdicts, and with the code that judges them."""

    def __init__(self, root: Path) -> None:
        self.root, self.tests = root, root / "claims"
        self.head = ""
        self.git("init", "-q", "-b", "main")
        self.write("ws/stats/verdict.py", "from ws.stats.rule import LIMIT\n\n\ndef judge(p):\n    return p < LIMIT\n")
        self.write("ws/stats/rule.py", "LIMIT = 0.05\n")

    def git(self, *args: str) -> str:
        names = ["-c", "user.name=n", "-c", "user.email=e@x.example", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", "-C", self.root, *names, *args], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def record(self, case: str, *, model: str = MODEL, **changes: Any) -> None:
        """Write a case as recorded by the latest commit."""
        recorded = {"commit": self.head, "machine": MACHINE, "releases": {"numpy": "2.4.6"}}
        said = {**RECORD, "case": case, "model": model, "recorded": recorded, **changes}
        self.write(f"claims/__snapshots__/{model}/{said['test']}[{case}].json", json.dumps(said))

    def commit(self, subject: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        self.head = self.git("rev-parse", "HEAD")
        return self.head


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    root = tmp_path / "repository"
    root.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compare, "LIBRARY", root)
    made = Repository(root)
    made.commit("Begin")
    return made


def moved_by(repository: Repository, *stores: Path, **changes: Any) -> Moved:
    """How a case moves if it is recorded again with these changes."""
    repository.record("a", **({"keys": changes.pop("before")} if "before" in changes else {}))
    old = repository.commit("Old")
    repository.record("a", **changes)
    place = Place(repository.tests)
    [model] = diff(place.side(old), place.now(), place, stores=stores).models
    [found] = model.moved
    return found


def test_cases_that_came_went_and_moved_are_counted(repository: Repository) -> None:
    for case, value in {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.5, "gone": 0.5}.items():
        repository.record(case, value=value)
    old = repository.commit("Old")
    repository.record("a", outcome="REFUTED", value=0.52)
    repository.record("b", value=0.505)
    repository.record("c", p_holds=0.02)
    repository.record("d")
    (repository.tests / "__snapshots__" / MODEL / "test_it[gone].json").unlink()
    repository.record("new")
    new = repository.commit("New")
    place = Place(repository.tests)
    found = diff(place.side(old), place.side(new), place)
    [model] = found.models
    extents = {one.new.name: one.extent for one in model.moved}
    assert extents == {"test_it[a]": Extent.TURNED, "test_it[b]": Extent.WITHIN, "test_it[c]": Extent.JUDGED}
    assert [one.new.name for one in model.moved] == ["test_it[a]", "test_it[b]", "test_it[c]"]
    assert ([one.name for one in model.appeared], [one.name for one in model.gone], model.same) == (
        ["test_it[new]"],
        ["test_it[gone]"],
        1,
    )
    first = model.moved[0]
    assert (round(first.step or 0, 6), round(first.share or 0, 6)) == (2.0, 0.1)
    text = on_a_screen(found)
    assert "0.50 -> 0.52, 2 times its tolerance, 10% of its interval" in text
    assert "1 HOLDS -> REFUTED: 1 C05" in text
    assert "1 new, 1 gone, 1 turned, 1 within tolerance, 1 judged otherwise, 1 as before" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_another_judgement_of_the_same_rows_names_the_code_that_changed(repository: Repository) -> None:
    repository.record("a")
    old = repository.commit("Old")
    repository.write("ws/stats/rule.py", '"""Words."""\nLIMIT = 0.01  # stricter\n')
    repository.write(
        "ws/stats/verdict.py", '"""More words."""\n' + (repository.root / "ws/stats/verdict.py").read_text()
    )
    repository.write("ws/stats/unasked.py", "OTHER = 1\n")
    repository.commit("Change the rule")
    repository.record("a", outcome="INCONCLUSIVE")
    place = Place(repository.tests)
    [model] = diff(place.side(old), place.now(), place).models
    assert model.moved[0].causes == (Cause("judgement", "ws/stats/rule.py: LIMIT"),)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"outcome": "REFUTED", "threshold": 0.9}, Cause("claim", "threshold 0.1 -> 0.9")),
        ({"p_holds": 0.2, "cases": 3}, Cause("siblings", "2 -> 3 cases")),
        ({"n_seeds": 5, "p_holds": 0.2}, Cause("seeds", "3 -> 5 seeds")),
        ({"value": 0.6, "leaves": [[0.6, 0.01]], "keys": []}, Cause("unknown", "a side does not name the keys")),
        ({"value": 0.6, "leaves": [[0.6, 0.01]]}, Cause("unknown", "the same keys, machine and releases")),
        ({"value": 0.6, "leaves": [[0.6, 0.01]], "keys": ["2" * 32]}, Cause("code or settings", "no file differs")),
        (
            {"value": 0.6, "leaves": [[0.6, 0]], "keys": ["2" * 32], "versions": {**VERSIONS, "torch": "2.15"}},
            Cause("code or settings", "no file differs"),
        ),
    ],
    ids=["threshold", "siblings", "seeds", "no-keys", "built-twice", "no-recipe", "no-recipe-other-versions"],
)
def test_each_input_is_told_by_what_was_recorded(repository: Repository, changes: dict[str, Any], cause: Cause) -> None:
    found = moved_by(repository, **changes).causes
    assert [one for one in found if one.what == cause.what and one.detail.startswith(cause.detail)]
    if "versions" in changes:
        assert found[0] == Cause("versions", "torch 2.14 -> 2.15")


def test_another_machine_is_told_where_equal_keys_have_other_numbers(repository: Repository) -> None:
    other = {"commit": repository.git("rev-parse", "HEAD"), "machine": {**MACHINE, "processor": "two"}}
    found = moved_by(repository, value=0.51, leaves=[[0.51, 0.01]], recorded=other)
    assert found.causes == (Cause("machine", "processor one -> two"),)


def test_nothing_is_guessed_of_a_record_that_names_no_commit(repository: Repository) -> None:
    found = moved_by(repository, outcome="REFUTED", recorded={"commit": None})
    assert found.causes == (Cause("unknown", "which code judged it: a side does not name the commit of its code"),)


def keys_of(store: Store, *recipes: Recipe) -> list[str]:
    return [store.get(recipe).name for recipe in recipes]


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        (Sum((replace(SMALL, count=5), OTHER)), Cause("settings", "Numbers.count 3 -> 5")),
        (
            Sum((SMALL, replace(OTHER, config=replace(OTHER.config, part="low")))),
            Cause("settings", "Numbers.config.part"),
        ),
    ],
    ids=["a field", "a field of an input"],
)
def test_keys_are_walked_down_to_the_field_that_differs(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: Recipe, cause: Cause
) -> None:
    monkeypatch.setenv("WS_QUIET", "1")
    store = Store(tmp_path / "store")
    before, now = keys_of(store, WHOLE), keys_of(store, other)
    found = moved_by(repository, store.root, before=before, keys=now, value=0.6, leaves=[[0.6, 0]])
    [only] = found.causes
    assert only.what == cause.what
    assert only.detail.startswith(cause.detail)


def test_keys_are_walked_down_to_the_definition_that_differs(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WS_QUIET", "1")
    before = keys_of(Store(tmp_path / "store"), WHOLE)
    monkeypatch.setattr(shelf, "ROUNDING", 0.25)
    now = keys_of(Store(tmp_path / "store"), WHOLE)
    found = moved_by(repository, tmp_path / "store", before=before, keys=now, value=0.6, leaves=[[0.6, 0]])
    [only] = found.causes
    assert only.what == "code"
    assert "ROUNDING" in only.detail


def test_two_stores_are_compared_artifact_by_artifact(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WS_QUIET", "1")
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    keys_of(one, WHOLE)
    keys_of(other, SMALL, Numbers(7), Numbers(8))
    place = Place(repository.tests)
    found = diff(place.side("./one"), place.side("./other"), place).shelves
    assert found is not None
    assert (found.same, found.gone["Sum"], found.appeared["Numbers"]) == (1, 1, 1)
    [causes] = found.rekeyed
    assert {cause.what for cause in causes} == {"settings"}
    text = compared("./one", "./other", repository.tests, store=tmp_path / "none")
    assert "artifacts: 1 the same, 1 under another key, 1 gone, 1 new" in text
    assert "another key: 1 Numbers" in text


def test_two_models_are_compared_case_by_case(repository: Repository) -> None:
    repository.record("a")
    repository.record("a", model="another", outcome="REFUTED", value=0.2)
    place = Place(repository.tests)
    [model] = diff(place.side(MODEL), place.side("another"), place).models
    assert model.name == f"{MODEL} -> another"
    assert Cause("model", f"{MODEL} -> another") in model.moved[0].causes


def test_numbers_of_siblings_that_moved_are_told_only_where_some_moved(repository: Repository) -> None:
    def causes(value: float) -> list[str]:
        repository.record("a")
        repository.record("b")
        old = repository.commit("Old")
        repository.record("a", p_holds=0.2)
        repository.record("b", value=value, p_holds=0.2)
        place = Place(repository.tests)
        [model] = diff(place.side(old), place.now(), place).models
        return [cause.what for one in model.moved if one.new.name == "test_it[a]" for cause in one.causes]

    assert causes(0.7) == ["siblings"]
    assert causes(0.5) == ["unknown"]


def test_a_case_is_no_sibling_of_itself(repository: Repository) -> None:
    found = moved_by(repository, outcome="REFUTED", value=0.7, threshold=0.9)
    assert found.causes == (Cause("claim", "threshold 0.1 -> 0.9"),)


def test_records_move_no_cursor(repository: Repository) -> None:
    repository.record("a")
    old = repository.commit("Old \x1b[2J")
    repository.record("a", outcome="\x1b[31mRED", value=0.7)
    text = compared(old, None, repository.tests, store=Path("none"))
    assert "[31mRED" in text
    assert "\x1b" not in text


def test_comparing_loads_no_model_library() -> None:
    code = "import sys, ws.changes.commands; print({'torch', 'pandas', 'scipy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


SIDES = {
    "nothing": r"nothing is called 'nothing'; name a commit, a folder",
    "some-modle": r"did you mean some-model\?",
    "--output=told": r"nothing is called '--output=told'",
    "HEAD..main": r"nothing is called 'HEAD..main'",
    "": r"nothing is called ''",
}


@pytest.mark.parametrize(("text", "told"), SIDES.items(), ids=[f"mistake-{k}" for k in range(len(SIDES))])
def test_what_names_no_side_is_refused(repository: Repository, text: str, told: str) -> None:
    repository.record("a")
    before = sorted(repository.root.rglob("*"))
    with pytest.raises(CommandError, match=told):
        Place(repository.tests).side(text)
    assert sorted(repository.root.rglob("*")) == before


def test_a_name_of_two_things_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.record("a")
    repository.commit("Record")
    repository.git("branch", MODEL)
    with pytest.raises(
        CommandError, match=r"some-model is the model in .* and a commit; say which: ./some-model, .*refs/"
    ):
        Place(repository.tests).side(MODEL)
    assert Place(repository.tests).side(f"refs/heads/{MODEL}").commit == commit_named(repository.root, "HEAD")


def test_folders_of_something_else_are_refused(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty has no recorded verdicts, no evidence and no artifacts"):
        Place(repository.tests).side("./empty")
    first = repository.git("rev-parse", "HEAD")
    repository.record("a")
    with pytest.raises(DataError, match=r"has no recorded verdicts in claims/__snapshots__/; name a later one"):
        Place(repository.tests).side(first)


def test_links_of_a_commit_are_not_followed(repository: Repository, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({**RECORD, "case": "b"}))
    repository.record("a")
    (repository.tests / "__snapshots__" / MODEL / "test_it[b].json").symlink_to(secret)
    commit = repository.commit("Link")
    assert [name for _, name in Place(repository.tests).side(commit).cases] == ["test_it[a]"]


def test_a_file_that_is_no_record_is_named(repository: Repository) -> None:
    repository.record("a")
    old = repository.commit("Old")
    repository.write(f"claims/__snapshots__/{MODEL}/test_it[a].json", "{}")
    with pytest.raises(DataError, match=r"test_it\[a\].json is no recorded verdict"):
        compared(old, None, repository.tests, store=Path("none"))


def test_claims_are_chosen_and_near_misses_suggested(repository: Repository) -> None:
    repository.record("a")
    repository.record("b", claim="C06")
    old = repository.commit("Old")
    repository.record("a", value=0.7)
    repository.record("b", claim="C06", value=0.7)
    text = compared(old, None, repository.tests, store=Path("none"), claims=["c06"])
    assert "C06 test_it[b]" in text
    assert "C05" not in text
    with pytest.raises(UnknownNameError, match=r"unknown claim 'C66'.*did you mean 'C06'"):
        compared(old, None, repository.tests, store=Path("none"), claims=["c66"])


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("X = 1\n", "X = 1  # why\n", ()),
        ('def f():\n    "Old."\n    return 1\n', 'def f():\n    "New."\n    return 1\n', ()),
        ("def f():\n    return 1\n", "def f():\n    return 2\n", ("f",)),
        (
            "class A:\n    x = 1\n\n    def f(self):\n        return 1\n",
            "class A:\n    x = 1\n\n    def f(self):\n        return 2\n",
            ("A.f",),
        ),
        ("class A:\n    x = 1\n\n    def f(self): ...\n", "class A:\n    x = 2\n\n    def f(self): ...\n", ("A",)),
        ("import os\nX = 1\n", "import sys\nX = 1\n", ()),
        ("", "def new(): ...\n", ("new",)),
        ("@one\ndef f(): ...\n", "@other\ndef f(): ...\n", ("f",)),
        ("X = 1\n", "X = (\n", ("X", "the file")),
    ],
    ids=["comment", "docstring", "function", "method", "field", "import", "new", "decorator", "no-python"],
)
def test_definitions_differ_by_what_they_do(old: str, new: str, names: tuple[str, ...]) -> None:
    assert changed(old.encode(), new.encode()) == names


@pytest.fixture
def many(repository: Repository) -> Diff:
    """A comparison with 60 turned cases."""
    for n in range(60):
        repository.record(f"{n}-{'x' * 40}")
    old = repository.commit("Old")
    for n in range(60):
        repository.record(f"{n}-{'x' * 40}", outcome="REFUTED", value=0.7)
    place = Place(repository.tests)
    return diff(place.side(old), place.now(), place)


def test_a_comment_is_as_long_as_github_takes_and_counts_what_it_leaves_out(many: Diff) -> None:
    whole = comment(many)
    assert whole.startswith(MARK)
    assert whole.count("| `C05` |") == 60
    assert "left out" not in whole
    short = comment(many, most=4000)
    assert len(short) <= 4000 < len(whole) <= MOST
    left = int(re.search(r"^(\d+) rows are left out", short, re.MULTILINE)[1])  # type: ignore[index]
    assert short.count("| `C05` |") == 60 - left > 0
    assert short.count("<details>") == short.count("</details>") == 1


def test_words_of_a_record_call_nobody_and_draw_nothing(repository: Repository) -> None:
    repository.record("a")
    old = repository.commit("Old")
    odd = "`x` | @team ![p](http://x.example)\n# <script>\u202e"
    repository.record("a", outcome=odd, claim=odd, value=0.7)
    place = Place(repository.tests)
    text = comment(diff(place.side(old), place.now(), place))
    outside = re.sub(r"`[^`\n]*`", "", text)
    assert not set("@!") & set(outside.replace(MARK, ""))
    assert "script" not in outside
    assert "x.example" not in outside
    row = next(line for line in text.splitlines() if line.startswith("| `") and "test_it" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 5


def test_a_span_is_one_line_of_code() -> None:
    assert span("a\nb`c\u2028d") == "`a b'c d`"
    assert span("") == "` `"


COMMANDS: dict[str, Callable[[Repository], str]] = {
    "nothing": lambda it: on_a_screen(_same(it)),
    "told": lambda it: comment(_same(it)),
}


def _same(repository: Repository) -> Diff:
    repository.record("a")
    commit = repository.commit("Old")
    place = Place(repository.tests)
    side: Side = place.side(commit)
    return diff(side, side, place)


def test_two_equal_sides_are_said_to_be_equal(repository: Repository) -> None:
    found = _same(repository)
    assert "1 cases on both sides; nothing moved" in on_a_screen(found)
    assert "### Recorded verdicts: nothing moved" in comment(found)
