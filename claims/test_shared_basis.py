"""The families' dW write in common directions, and these carry the effect of the residual writes.

Source: research journal, 2026-04-27, T6 ("fork_plan T1-T8 status check"); "lens search on hold" proposes the overlap,
which was never run. As in T6, the basis is made of seven families' dW, including that of the family that is cut; unlike
there, each counts alike. Only residual writes are cut, so shares are of their effect. A cut is scored at its own norm.
"""

from functools import partial

import pytest

from ws.adapters import FAMILIES
from ws.lenses.base import NormMatched, Then
from ws.lenses.names import named
from ws.lenses.shared import RandomBasis
from ws.study.cuts import Along

MOST, NOTHING = 0.50, 0.10
"""Shares of the effect of the residual writes; random directions keep at most .022 of .907 in the journal."""

THIRD, ABOUT = 1 / 3, 1 / 6
"""A loss is "about a third" if it is nearer to a third than to nothing or two thirds: within ABOUT of THIRD."""

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected", "text"])
WRITES = "residual_writes"


def random_at_full_norm(seed, *, k):
    """A lens for the residual writes into k random directions, scaled to the norm of all residual writes."""
    return Then(named(WRITES), NormMatched(RandomBasis(k, seed)))


@MEASURES
@pytest.mark.parametrize("k", [8, 32, 64])
@pytest.mark.families(Along(8, of="shared"))
@pytest.mark.claim("C20")
@pytest.mark.every_family
def test_shared_directions_keep_most_of_the_effect(retained, holds, family, k, measure):
    holds(retained(family, Along(k, of="shared"), of=WRITES) > MOST)


@MEASURES
@pytest.mark.families(Along(32, of="shared"))
@pytest.mark.claim("C20")
def test_as_many_random_directions_keep_nothing(retained, holds, family, measure):
    holds(retained(family, Along(32, of="random"), of=WRITES).is_negligible(within=NOTHING))


@MEASURES
@pytest.mark.families(Along(8, keep=False, of="shared"))
@pytest.mark.claim("C21")
@pytest.mark.every_family
def test_dropping_the_shared_top_eight_costs_about_a_third(retained, holds, family, measure):
    holds((1 - retained(family, Along(8, keep=False, of="shared"), of=WRITES)).approx(THIRD, within=ABOUT))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.claim("C34")
@pytest.mark.every_family
def test_top_directions_overlap_with_those_of_other_families(overlap_ratio, holds, family):
    holds(overlap_ratio(family) > 1)


@pytest.mark.families(Along(8, of="shared"))
@pytest.mark.every_family
def test_shared_directions_and_the_rest_are_the_residual_writes(gap, family):
    assert gap(family, Along(8, of="shared"), Along(8, keep=False, of="shared"), of=WRITES) < 1e-5


@MEASURES
@pytest.mark.parametrize("family", ["lora", "pissa", "delora"], scope="module")
def test_as_many_random_directions_at_full_norm_do_not_keep_most(retained, must_not_hold, family, measure):
    must_not_hold(retained(family, partial(random_at_full_norm, k=32), of=WRITES) > MOST)


@pytest.mark.every_family
def test_random_update_of_lora_norm_overlaps_with_no_family(overlap_ratio, must_not_hold):
    must_not_hold(overlap_ratio("lora", control="random") > 1)
