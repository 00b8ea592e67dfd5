"""Which cases a run selects: a whole family by --family, and what is said of words behind -k."""

import pytest

from ws.tests.conftest import Project, conftest_with

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
