"""A case is judged once: while nothing that its verdict rests on changes, it is looked up and compared as before."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fixtures import grounds
from ws.store import known, remembered
from ws.tests.behavior_files import of_text, written
from ws.tests.conftest import INI, Project, conftest_with

assert all((remembered, pd))  # Imported before any inner run of pytest, which would forget what it imports first.

LAB = """
from dataclasses import dataclass
from pathlib import Path

from ws.store import Recipe, Store


@dataclass(frozen=True)
class Drawn(Recipe):
    name: str

    def build(self, out: Path, store: Store) -> None:
        (out / "drawn.txt").write_text(self.name)
"""
CLAIMS = """
import contextlib
import pytest

from helping import MEAN
from lab import Drawn


@pytest.mark.claim("C05")
@pytest.mark.parametrize("sign", [1, -1])
def test_it_steers(effect, holds, store, sign):
    print("judging", sign)
    store.get(Drawn("rows"))
    holds(effect(sign * MEAN).noting(sources=[store.key(Drawn("rows"))]) > 0)
"""
PART = """
    with subtests.test():
        assert sign < 0
"""
HIDING = """    with contextlib.suppress(pytest.xfail.Exception):
"""
FAILING = """

@pytest.fixture
def failing(sign):
    yield
    assert sign < 0
"""
BOTH = ["judging 1", "judging -1"]


@pytest.fixture
def lab(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A recorded project of two cases, one of which is refuted; its code counts as older than this process."""
    project.pytester.makeconftest(conftest_with("grounds", "remembering"))
    project.pytester.makeini(f"{INI}ws_remember = true\n")
    (project.pytester.path / "lab.py").write_text(LAB)
    (project.pytester.path / "helping.py").write_text("MEAN = 1.0\n")
    project.claims(CLAIMS)
    monkeypatch.syspath_prepend(project.pytester.path)
    monkeypatch.setattr(known, "code_digest", lambda: "our code")
    monkeypatch.setattr(known, "_STARTED", time.time() + 3600)
    project.run("--snapshot-update")
    return project


def judged(lab: Project, *args: str) -> list[str]:
    """Which cases a run judges anew."""
    return re.findall(r"judging -?1", lab.run("-s", *args).stdout.str())


def remembered_in(lab: Project) -> list[Path]:
    return sorted((lab.store / "judged").iterdir())


def test_recording_remembers_nothing_and_the_next_run_does(lab: Project) -> None:
    assert not (lab.store / "judged").exists()
    assert judged(lab) == BOTH
    before = lab.records
    assert judged(lab) == []
    assert lab.records == before


def test_a_verdict_that_is_looked_up_is_reported_as_before_and_said_to_be(lab: Project) -> None:
    lab.run()
    result = lab.run()
    result.assert_outcomes(passed=1, xfailed=1)
    assert [(one.outcome, one.snapshot) for one in lab.records] == [("HOLDS", "same"), ("REFUTED", "same")]
    result.stdout.fnmatch_lines(["2 of 2 verdicts were looked up: nothing behind them changed (--rejudge)"])


def test_a_run_that_judges_says_nothing_of_it(lab: Project) -> None:
    assert "looked up" not in lab.run().stdout.str()


def test_it_is_compared_with_its_snapshot(lab: Project) -> None:
    lab.run()
    fields = lab.fields("smollm2-135m/test_it_steers[1].json")
    path = lab.snapshot("smollm2-135m/test_it_steers[1].json")
    path.write_text(json.dumps(fields | {"value": fields["value"] + 1}))
    lab.run().assert_outcomes(failed=1, xfailed=1)


def rebuilt(lab: Project) -> None:
    """Build the artifact again, a second later."""
    [manifest] = lab.store.glob("Drawn/*/manifest.json")
    said = json.loads(manifest.read_text())
    from ws.store.manifests import write_said

    write_said(manifest.parent, {name: it for name, it in said.items() if name != "sha256"} | {"created": "later"})


def edited(name: str, old: str, new: str) -> Callable[[Project], None]:
    def edit(lab: Project) -> None:
        path = lab.pytester.path / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return edit


CHANGES = {
    "the artifact": rebuilt,
    "the test": edited("claims/test_claims.py", "store.get", "assert store.get"),
    "a module that the test imports": edited("helping.py", "1.0", "1.00"),
    "the fixtures": edited("conftest.py", "0.1 *", "0.10 *"),
    "settings of pytest": edited("tox.ini", "filterwarnings = error", "filterwarnings = default"),
    "a table that the test may read": lambda lab: (lab.pytester.path / "claims" / "rows.csv").write_text("1"),
    "a sibling's snapshot": edited("claims/__snapshots__/smollm2-135m/test_it_steers[-1].json", "{\n", "{\n\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=[name.replace(" ", "-") for name in CHANGES])
def test_whatever_it_rests_on_has_it_judged_anew(lab: Project, change: Callable[[Project], None]) -> None:
    lab.run()
    change(lab)
    assert judged(lab) == BOTH
    assert judged(lab) == []


@pytest.mark.parametrize("name", ["code", "release"])
def test_other_code_and_other_libraries_have_it_judged_anew(
    lab: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    lab.run()
    if name == "code":
        monkeypatch.setattr(known, "code_digest", lambda: "our code, edited")
    else:
        monkeypatch.setattr("fixtures.grounds.libraries", lambda: ["torch-99.0.dist-info"])
    assert judged(lab) == BOTH


@pytest.mark.parametrize("option", ["--rejudge", "--until-decided=5", "--fresh"])
def test_runs_that_are_to_judge_do(lab: Project, option: str) -> None:
    lab.run()
    for _ in range(2):
        assert {*judged(lab, option)} == {*BOTH}
        assert [one.outcome for one in lab.records] == ["HOLDS", "REFUTED"]


def test_other_messages_of_ones_own_have_it_judged_anew(lab: Project) -> None:
    pool = lab.pytester.path / "pool.json"
    pool.write_text("[]")
    assert judged(lab, f"--pool={pool}") == BOTH
    assert judged(lab, f"--pool={pool}") == []
    pool.write_text("[ ]")
    assert judged(lab, f"--pool={pool}") == BOTH


def test_a_behavior_of_ones_own_is_judged_anew_once_a_search_chose_other_recipes(lab: Project, tmp_path: Path) -> None:
    behavior = f"--behavior={written(tmp_path / 'mine.json', of_text())}"
    assert judged(lab, behavior) == judged(lab, behavior) == BOTH * 2
    lab.run(behavior, "--snapshot-update")
    assert judged(lab, behavior) == BOTH
    assert judged(lab, behavior) == []
    [home] = (lab.store / "behaviors").iterdir()
    (home / "searched").mkdir()
    (home / "searched" / "smollm2-135m.json").write_text("{}")
    assert judged(lab, behavior) == BOTH
    assert judged(lab, behavior) == []


def test_other_seeds_are_another_case(lab: Project) -> None:
    lab.run()
    assert judged(lab, "--seeds=4") == BOTH
    assert judged(lab) == []


def test_code_that_changed_after_the_process_began_is_not_relied_on(
    lab: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.run()
    monkeypatch.setattr(known, "_STARTED", time.time() - 3600)
    assert judged(lab) == BOTH


JUDGED_BY_MORE = {
    "fails": CLAIMS + "    assert sign < 0\n",
    "is xfailed by hand": CLAIMS + "    pytest.xfail('known')\n",
    "hides its verdict": CLAIMS.replace(
        "    holds(", "    with pytest.raises(pytest.xfail.Exception):\n        holds("
    ),
    "fails in a part": CLAIMS.replace(
        "sign):\n", "sign, subtests):\n    with subtests.test():\n        assert sign < 0\n"
    ),
    "fails at its teardown": CLAIMS.replace("sign):\n", "sign, failing):\n") + FAILING,
}


@pytest.mark.parametrize("source", JUDGED_BY_MORE.values(), ids=[name.replace(" ", "-") for name in JUDGED_BY_MORE])
def test_a_test_that_does_not_end_as_its_verdict_says_is_not_remembered(lab: Project, source: str) -> None:
    lab.claims(source)
    before = lab.run().parseoutcomes()
    # The test of the refuted case may end with its verdict, and be remembered.
    assert "judging 1" in judged(lab)
    assert lab.run().parseoutcomes() == before


def test_an_xfail_for_another_reason_is_not_remembered(lab: Project) -> None:
    lab.claims(JUDGED_BY_MORE["hides its verdict"] + "    pytest.xfail('known')\n")
    lab.run()
    assert judged(lab) == BOTH


def test_a_verdict_that_is_contradicted_is_forgotten(lab: Project) -> None:
    lab.claims(CLAIMS.replace("MEAN)", "MEAN, gates=GATES)").replace("from helping", "import os\nfrom helping"))
    source = (lab.pytester.path / "claims" / "test_claims.py").read_text()
    lab.claims(source.replace("GATES)", "('no',) if 'GATED' in os.environ else ())"))
    lab.run()
    lab.run("--rejudge", GATED="1").assert_outcomes(failed=2)
    lab.run(GATED="1").assert_outcomes(failed=2)


def test_files_of_one_name_do_not_share_their_cases(lab: Project) -> None:
    lab.run()
    shutil.copytree(lab.pytester.path / "claims", lab.pytester.path / "other")
    copy = lab.pytester.path / "other" / "test_claims.py"
    copy.write_text(copy.read_text().replace("sign * MEAN", "5 * sign * MEAN"))
    both = ("--import-mode=importlib", "claims", "other")
    lab.run(*both).assert_outcomes(passed=1, xfailed=1, failed=2)
    # Of the two folders the copy's cases fail, and are judged each time.
    assert judged(lab, *both) == BOTH


def test_a_sibling_that_is_new_counts(lab: Project) -> None:
    lab.claims(CLAIMS.replace("import pytest\n", "import os\nimport pytest\n", 1).replace("[1, -1]", "SIGNS"))
    source = (lab.pytester.path / "claims" / "test_claims.py").read_text()
    lab.claims(source.replace("\n\n@", "\nSIGNS = [int(one) for one in os.environ.get('SIGNS', '1 -1').split()]\n\n@"))
    lab.run()
    assert [record.cases for record in lab.records] == [2, 2]
    lab.run(SIGNS="1 -1 2").assert_outcomes(failed=3)
    assert [record.cases for record in lab.records] == [3, 3, 3]


def test_a_case_that_others_learn_from_in_this_run_is_judged(lab: Project, tmp_path: Path) -> None:
    behavior = f"--behavior={written(tmp_path / 'mine.json', of_text())}"
    lab.run(behavior, "--snapshot-update")
    lab.run(behavior)
    [snapshot] = (lab.store / "behaviors").rglob("test_it_steers[[]1].json")
    snapshot.unlink()
    before = judged(lab, behavior, "--rejudge")
    assert judged(lab, behavior) == before


def test_warnings_that_are_errors_have_it_judged_anew(lab: Project) -> None:
    lab.run()
    assert judged(lab, "-W", "error::DeprecationWarning") == BOTH


def test_another_project_has_to_ask_for_it(lab: Project) -> None:
    lab.pytester.makeini(INI)
    assert judged(lab) == judged(lab) == BOTH


@pytest.mark.parametrize("name", [".#test_claims.py", "gone.py"])
def test_a_link_to_nothing_is_no_obstacle(lab: Project, name: str) -> None:
    (lab.pytester.path / "claims" / name).symlink_to("nowhere")
    assert judged(lab) == BOTH
    assert judged(lab) == ([] if name.startswith(".") else BOTH)


def test_a_folder_that_links_to_itself_is_read_once(lab: Project) -> None:
    (lab.pytester.path / "again").symlink_to(lab.pytester.path)
    found = list(grounds._files(lab.pytester.path, (".py",)))
    assert sorted(path.name for path in found) == ["conftest.py", "helping.py", "lab.py", "test_claims.py"]


def test_a_file_that_is_moved_here_after_the_process_began_is_not_relied_on(tmp_path: Path) -> None:
    file = tmp_path / "helping.py"
    file.write_text("")
    os.utime(file, (0, 0))
    assert known.digest_of([file], below=tmp_path) is None


def test_a_verdict_that_names_nothing_it_was_read_from_is_judged_each_time(lab: Project) -> None:
    lab.claims(CLAIMS.replace('.noting(sources=[store.key(Drawn("rows"))])', ""))
    lab.run("--snapshot-update")
    assert judged(lab) == judged(lab) == BOTH


@pytest.mark.parametrize("harm", ["cut", "edited", "no text"])
def test_a_damaged_file_counts_as_none(lab: Project, harm: str) -> None:
    lab.run()
    for file in remembered_in(lab):
        said = file.read_bytes()
        file.write_bytes({"cut": said[:-9], "edited": said.replace(b"REFUTED", b"HOLDS"), "no text": b"\xff"}[harm])
    assert judged(lab) == (BOTH if harm != "edited" else BOTH[1:])
    assert judged(lab) == []


def test_a_store_that_cannot_be_written_to_is_no_obstacle(lab: Project) -> None:
    (lab.store / "judged").write_text("a file where the folder should be")
    assert judged(lab) == judged(lab) == BOTH


def test_each_case_has_one_file(lab: Project) -> None:
    lab.run()
    before = remembered_in(lab)
    rebuilt(lab)
    lab.run()
    assert remembered_in(lab) == before
    assert [file.suffix for file in before] == [".json", ".json"]
