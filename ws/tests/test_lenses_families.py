"""A claim on a lens has a case for each family for which the lens means something; -v says why the others have none."""

import pytest

from ws.adapters import FAMILIES
from ws.errors import UnknownNameError
from ws.lenses.spectrum import EqualSpectrum
from ws.study.cuts import Along, Part, why_not
from ws.tests.conftest import Project, conftest_with

CLAIMS = """
import pytest
from ws.study.cuts import Part
from ws.lenses.spectrum import EqualSpectrum

@pytest.mark.claim("C24")
@pytest.mark.parametrize("measure", ["raw", "corrected"])
@pytest.mark.families(EqualSpectrum(0))
def test_it_steers(effect, holds, family, measure):
    holds(effect() > 0)

@pytest.mark.claim("C23")
@pytest.mark.families("top_25")
def test_its_top_steers(effect, holds, family):
    holds(effect() > 0)

@pytest.mark.claim("S15")
@pytest.mark.families(Part("direction"))
def test_its_direction_steers(effect, holds, family):
    holds(effect() > 0)
"""

NOTE = "not collected, as the lens has no meaning for the family:"


@pytest.fixture
def claims(project: Project) -> Project:
    """Claims on a lens for families in factors, on one for all, and on a part that two families have."""
    project.pytester.makeconftest(conftest_with("families"))
    project.claims(CLAIMS)
    return project


def test_a_claim_has_a_case_for_each_family_that_its_lens_means_something_for(claims: Project) -> None:
    claims.run()
    cases = {f"{record.claim} {record.case}" for record in claims.records}
    thin = {f"C24 {family}-{measure}" for family in ("lora", "pissa", "delora") for measure in ("raw", "corrected")}
    assert cases == thin | {f"C23 {family}" for family in FAMILIES} | {"S15 dora", "S15 delora"}


def test_cases_of_one_family_come_together(claims: Project) -> None:
    claims.run()
    order = [record.case.partition("-")[0] for record in claims.records]
    assert [family for family, before in zip(order, [None, *order], strict=False) if family != before] == [
        "lora",
        "pissa",
        "delora",
        "dora",
        "oft",
        "boft",
        "ia3",
    ]


def test_the_share_of_the_error_rate_is_that_of_the_cases_there_are(claims: Project) -> None:
    claims.run("-k", "lora and not delora")
    assert {record.claim: record.cases for record in claims.records} == {"C24": 3, "C23": 7}


@pytest.mark.parametrize("options", [("--collect-only",), ()])
def test_families_without_a_case_are_named_with_the_reason(claims: Project, options: tuple[str, ...]) -> None:
    said = claims.run("-v", *options).stdout.str()
    assert NOTE in said
    for family in ("dora", "oft", "boft", "ia3"):
        line = f"test_claims.py::test_it_steers[[]{family}[]]: the dW of {family} has full rank"
        assert line.replace("[[]", "[").replace("[]]", "]") in said
    assert "test_its_direction_steers[lora]: lora has no part direction; it has low_rank" in said
    assert "test_its_top_steers[" not in said.partition(NOTE)[2].partition("\n\n")[0]
    assert said.count(NOTE) == 1


def test_only_what_is_selected_is_explained_and_only_on_request(claims: Project) -> None:
    assert NOTE not in claims.run("--collect-only").stdout.str()
    said = claims.run("--collect-only", "-v", "-k", "s15").stdout.str()
    assert "test_its_direction_steers[ia3]: ia3 has no part direction; it has gate" in said
    assert "has full rank" not in said
    assert NOTE not in claims.run("--collect-only", "-v", "-k", "c23").stdout.str()


@pytest.mark.parametrize(
    ("lens", "message"),
    [
        ("Part('head')", "test_it has a meaning for no family (lora: lora has no part head; it has low_rank; dora: *"),
        ("'top_26'", "*unknown lens 'top_26'*"),
    ],
)
def test_a_lens_for_no_family_is_refused(claims: Project, lens: str, message: str) -> None:
    claims.claims(
        "import pytest\nfrom ws.study.cuts import Part\n"
        f"@pytest.mark.families({lens})\ndef test_it(family):\n    pass\n"
    )
    result = claims.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([message])


def test_the_first_reason_of_several_lenses_counts() -> None:
    assert why_not("dora", Along(8, of="shared"), EqualSpectrum(0)) == EqualSpectrum(0).applies("dora")
    assert why_not("dora", Part("direction"), EqualSpectrum(0)) == EqualSpectrum(0).applies("dora")
    assert why_not("oft", Part("rotation")) == "rotation is all there is of oft"
    assert why_not("dora", "top_25", Part("magnitude"), Along(8, of="shared")) is None
    with pytest.raises(UnknownNameError, match="unknown lens 'top_26'"):
        why_not("lora", "top_26")
