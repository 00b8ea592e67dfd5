"""Which adapter family one trains decides how far its dW steers.

Source: research journal, 2026-04-26, adapter-family sweep on Qwen3-0.6B (sycophancy, coefficients -2..+2).
"""

import pytest

from ws.adapters import FAMILIES

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected", "text", "written"])


@MEASURES
@pytest.mark.claim("C03")
def test_dora_adds_nothing_over_lora(sweep, holds, measure):
    lora = sweep("lora").spread
    holds(sweep("dora").spread.approx(lora, within=0.20 * lora))


@MEASURES
@pytest.mark.claim("C04")
def test_pissa_spreads_further_than_lora(sweep, holds, measure):
    holds(sweep("pissa").spread > sweep("lora").spread)


@pytest.mark.claim("C04")
def test_pissa_leans_to_the_weak_readout(weak_readout_ratio, holds):
    holds(weak_readout_ratio("pissa") > 1)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "pissa"])
@pytest.mark.claim("C04")
def test_other_families_lean_away_from_the_weak_readout(weak_readout_ratio, holds, family):
    holds(weak_readout_ratio(family) < 1)


@MEASURES
@pytest.mark.claim("C05")
def test_delora_spreads_further_than_lora(sweep, holds, measure):
    holds(sweep("delora").spread > sweep("lora").spread)


@MEASURES
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in {"lora", "delora"}])
@pytest.mark.claim("C05")
def test_every_other_family_spreads_less_than_the_furthest(sweep, holds, family, measure):
    holds(sweep("delora").spread > sweep(family).spread)


@pytest.mark.claim("C05")
def test_delora_pays_with_pmass(sweep, holds):
    holds(sweep("delora").pmass_at_ends < sweep("lora").pmass_at_ends)


@MEASURES
def test_random_direction_in_place_of_dora_is_no_second_lora(sweep, must_not_hold, measure):
    lora = sweep("lora").spread
    must_not_hold(sweep("lora", control="random").spread.approx(lora, within=0.20 * lora))


@MEASURES
@pytest.mark.parametrize("family", ["pissa", "delora"])
def test_random_direction_of_a_larger_norm_spreads_no_further_than_lora(sweep, must_not_hold, family, measure):
    must_not_hold(sweep(family, control="random").spread > sweep("lora").spread)


@MEASURES
def test_two_lora_adapters_of_the_same_sign_spread_less_than_opposite_ones(sweep, must_not_hold, measure):
    must_not_hold(sweep("lora", control="same_sign").spread > sweep("lora").spread)
