"""Which cases a run selects: a whole family by --family, and what is said of words behind -k."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.flags import DEFAULT_MODEL, SMOKE_MODEL
from ws.adapters import FAMILIES
from ws.models import table
from ws.stats.sweep import OF_TEXT, OF_YES_AND_NO
from ws.tests.conftest import Project, conftest_with
from ws.training import hyperparameters

ROOT = Path(__file__).parents[2]

CLAIMS = """
import pytest

@pytest.mark.claim("C05")
@pytest.mark.parametrize("measure", ["raw", "written"])
@pytest.mark.parametrize("family", ["lora", "delora", "oft"])
def test_it_steers(effect, holds, family, measure):
    holds(effect() > 0)

@pytest.mark.claim("C07")
def test_delora_pays_with_pmass(effect, holds):
    holds(effect() > 0)
"""


@pytest.fixture
def several(project: Project) -> Project:
    """A project with cases of three families, one of which is named by its test alone."""
    project.claims(CLAIMS)
    project.pytester.makeconftest(conftest_with("choosing"))
    return project


def collected(project: Project, *args: str) -> str:
    return project.run("--collect-only", "-q", *args).stdout.str()


@pytest.mark.parametrize(
    ("args", "n"),
    [
        (("--family", "lora"), 2),
        (("--family", "delora"), 3),
        (("--family", "lora", "--family", "oft"), 4),
        (("-k", "lora"), 5),
        (("--family", "lora", "-k", "raw"), 1),
    ],
    ids=["one", "in-a-name", "two", "as-a-part", "both"],
)
def test_a_family_is_its_cases_and_the_tests_that_name_it(several: Project, args: tuple[str, ...], n: int) -> None:
    assert f"{n}/7 tests collected" in collected(several, *args)


def test_an_unknown_family_is_refused(several: Project) -> None:
    refused = several.run("--family", "delroa")
    refused.stderr.fnmatch_lines(["ERROR: --family: unknown adapter family 'delroa'; known: *did you mean 'delora'*"])
    assert refused.ret == pytest.ExitCode.USAGE_ERROR


def test_what_a_family_s_name_selects_besides_is_said(several: Project) -> None:
    line = "-k lora also selects cases without lora: 3 of delora; only those with it: --family lora"
    assert line in collected(several, "-k", "lora")
    assert "also selects" not in collected(several, "-k", "delora or oft")
    assert "also selects" not in collected(several, "-k", "not lora")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("delroa", "-k delroa is in no case's name; did you mean delora?"),
        ("delora and rwa", "-k rwa is in no case's name; did you mean raw?"),
        ("steres", "-k steres is in no case's name; did you mean steers?"),
        ("c99", "-k c99: unknown claim 'C99'; known: C05, C07"),
        ("c5", "-k c5: unknown claim 'C5'; known: C05, C07; did you mean 'C05'"),
        ("zzzzz", "-k zzzzz is in no case's name; --collect-only -q lists the names"),
    ],
    ids=["family", "one-of-two", "word", "claim", "short-claim", "nothing-like-it"],
)
def test_words_that_select_nothing_are_answered(several: Project, words: str, line: str) -> None:
    said = collected(several, "-k", words)
    assert line in said
    assert said.count("-k ") == 1


def test_words_that_only_exclude_each_other_are_not_corrected(several: Project) -> None:
    assert "-k " not in collected(several, "-k", "oft and pmass")


@pytest.mark.parametrize(("option", "meant"), [("--smoek", "--smoke"), ("--models=x", "--model")])
def test_an_option_that_is_spelled_wrongly_is_answered(several: Project, option: str, meant: str) -> None:
    refused = several.run(option)
    refused.stderr.fnmatch_lines([f"ERROR: unknown option {option.partition('=')[0]}; did you mean {meant}*"])
    assert refused.ret == pytest.ExitCode.USAGE_ERROR


def test_an_option_that_is_like_none_of_ours_is_left_to_pytest(several: Project) -> None:
    several.run("--zzzzzz").stderr.fnmatch_lines(["*error: unrecognized arguments: --zzzzzz"])


ABOUT_FAMILIES = """
import pytest

@pytest.mark.claim("C05")
@pytest.mark.parametrize("family", ["lora", "delora", "oft"])
def test_it_steers(effect, holds, family):
    holds(effect() > 0)

@pytest.mark.claim("C03")
def test_dora_adds_nothing_over_lora(effect, holds):
    holds(effect() > 0)

@pytest.mark.claim("C28")
@pytest.mark.every_family
def test_rankings_survive(effect, holds):
    holds(effect() > 0)

@pytest.mark.claim("C32")
def test_padding_changes_nothing(effect, holds):
    holds(effect() > 0)
"""


@pytest.fixture
def asked_about_a_few(several: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose model is asked about LoRA and DeLoRA."""
    few = replace(table.MODELS[DEFAULT_MODEL], families=("lora", "delora"))
    monkeypatch.setitem(table.MODELS, DEFAULT_MODEL, few)
    several.claims(ABOUT_FAMILIES)
    several.pytester.makeconftest(conftest_with("choosing"))
    return several


def test_a_model_asked_about_a_few_families_has_only_their_cases(asked_about_a_few: Project) -> None:
    found = [line.rpartition("::")[2] for line in collected(asked_about_a_few).splitlines() if "::" in line]
    cases = ("test_it_steers[{}-lora]", "test_it_steers[{}-delora]", "test_padding_changes_nothing[{}]")
    assert found == [case.format(DEFAULT_MODEL) for case in cases]


def test_that_a_model_is_asked_about_a_few_families_is_said(asked_about_a_few: Project) -> None:
    said = f"{DEFAULT_MODEL}: claims ask about lora, delora alone; those of other families, or of all, are left out"
    assert said in collected(asked_about_a_few, "--family", "oft")
    assert "alone" not in collected(asked_about_a_few, "--model", "tiny-random-qwen3")


def test_the_cases_it_has_share_their_error_rate_among_themselves(asked_about_a_few: Project) -> None:
    asked_about_a_few.run("--snapshot-update", "-k", "steers", EFFECT="1")
    assert {(record.case, record.cases) for record in asked_about_a_few.records} == {("lora", 2), ("delora", 2)}


PLANNED = """
import sys
from dataclasses import replace

import pytest

from ws.models import table
from ws.plan import plan

model, few, planned, asked = table.MODELS[{model!r}], {few!r}, plan.plan_of, set()
table.MODELS[model.name] = replace(model, families=few)


def plan_of(*args, **choices):
    made = planned(*args, **choices)
    asked.update(node.recipe.shape.family for node in made.graph.values() if type(node.recipe).__name__ == "Adapter")
    return made


plan.plan_of = plan_of
pytest.main(["claims", "--smoke", "--plan", "--seeds", "2", "--store", {store!r}, "-q"])
if asked != set(few):
    sys.exit(f"adapters of {{asked}} asked for")
"""
"""A plan of all claims on the tiny model, asked about a few families."""


def test_our_claims_ask_for_no_other_families(tmp_path: Path) -> None:
    few = ("lora", "pissa", "delora")
    code = PLANNED.format(model=SMOKE_MODEL, few=few, store=str(tmp_path / "store"))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1000:]


def test_families_in_the_table_of_models_exist() -> None:
    named = [set(known.families) for known in table.MODELS.values() if known.families]
    # Others are compared with these two.
    assert all({"lora", "delora"} <= families <= set(FAMILIES) for families in named)


@pytest.mark.parametrize("model", ["smollm2-135m", "qwen2.5-coder-0.5b"])
def test_a_recorded_model_has_a_chosen_recipe_for_each_family_that_it_is_asked_about(model: str) -> None:
    asked = set(table.MODELS[model].families or FAMILIES)
    assert asked <= hyperparameters.searched(model).keys()


def test_a_measure_selects_no_file_of_claims() -> None:
    measures = [*OF_YES_AND_NO, *OF_TEXT]
    named = [path.name for path in (ROOT / "claims").glob("test_*.py") if any(one in path.stem for one in measures)]
    assert named == [], f"-k selects all of {named}, whatever a case measures"
