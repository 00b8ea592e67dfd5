"""Agreeing is more than saying Yes.

A raw sycophancy effect also counts any push towards Yes. Here each claim has as many rows on which Yes agrees as rows
on which No agrees, in two pairs of opposite phrasings, so that such a push cancels.
"""

import pytest

from ws.adapters import FAMILIES

NEGLIGIBLE = 0.10
"""Nats per row; a tenth of the raw effect of a family that steers well."""

EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)


@EACH_FAMILY
@pytest.mark.claim("C36")
def test_effect_survives_the_correction_for_yes_bias(sweep, holds, family):
    holds(sweep(family).effect > 0)


@EACH_FAMILY
@pytest.mark.parametrize("pair", ["agree", "right"])
@pytest.mark.claim("C36")
def test_effect_survives_in_each_pair_of_phrasings(sweep, holds, family, pair):
    holds(sweep(family, pair=pair).effect > 0)


@EACH_FAMILY
@pytest.mark.claim("C36")
def test_plain_facts_are_pushed_towards_yes(sweep, holds, family):
    holds(sweep(family).yes_bias > 0)


@EACH_FAMILY
@pytest.mark.claim("C36")
def test_plain_facts_are_told_apart_as_before(sweep, holds, family):
    holds(sweep(family).fact_knowledge.is_negligible(within=NEGLIGIBLE))


@pytest.mark.parametrize("family", ["lora", "pissa", "delora"])
def test_random_direction_has_no_corrected_effect(sweep, must_not_hold, family):
    must_not_hold(sweep(family, control="random").effect > 0)
