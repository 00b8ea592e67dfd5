"""The top of a spectrum carries the effect: of dW's own singular values, and of its weight's.

Source: research journal, 2026-04-27, T8 ("fork_plan T1-T8 status check"), called tautological for low-rank dW in "lens
search on hold"; "two-goal frame and coverage gaps" lists crops by the weight's spectrum and norm-matched crops as not
run. In the journal a share by index is a share of the weight's width, so that the lower parts of a low-rank dW are
empty; here it is a share of dW's rank.

C24 decides whether C23 is news. If every part of dW's energy contributed equally to the effect, a crop with 90% of the
energy would keep 90% of the effect. It is news only if the top keeps a larger share of the effect than of the energy,
or if it steers further than the bottom when both have the same norm.

A crop has a smaller norm than dW. It is scored at its own norm unless a test's name says "at full norm": then it is
scaled to the norm of dW.
"""

from functools import partial, reduce
from operator import and_

import pytest

from ws.lenses.base import NormMatched, RandomLike, Then
from ws.lenses.names import named
from ws.lenses.spectrum import EqualSpectrum

MATCHES, NOTHING = 0.90, 0.10
"""Shares of the whole effect: a crop at or above MATCHES does "match or beat" dW, one up to NOTHING is a collapse, in
the journal's words."""

LEFT_OUT = 2e-4
"""Singular values below this part of the largest one are rounding: fp32's step times the width, 1.2e-7 x 1536."""

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected", "text"])
THIN = pytest.mark.families(EqualSpectrum(0))
UPPER, LOWER = ("top_25", "top_50_energy"), ("middle_50", "bottom_25")
TOP_90 = named("top_90_energy")
TOP_FULL, BOTTOM_FULL, BASE_FULL = (NormMatched(named(name)) for name in ("top_25", "bottom_25", "base_top_25"))


def random_directions(seed):
    """The control: random directions with dW's singular values, cropped as dW is."""
    return Then(EqualSpectrum(seed), TOP_90)


@MEASURES
@pytest.mark.families("top_90_energy")
@pytest.mark.claim("C23")
def test_top_of_the_spectrum_reproduces_the_effect(retained, holds, family, measure):
    holds(retained(family, "top_90_energy") > MATCHES)


@MEASURES
@pytest.mark.families("drop_top_90_energy")
@pytest.mark.claim("C23")
def test_dropping_the_top_of_the_spectrum_leaves_nothing(retained, holds, family, measure):
    holds(retained(family, "drop_top_90_energy").is_negligible(within=NOTHING))


@MEASURES
@pytest.mark.families(*LOWER)
@pytest.mark.claim("C23")
def test_lower_three_quarters_of_the_spectrum_carry_nothing(retained, holds, family, measure):
    holds(reduce(and_, (retained(family, part).is_negligible(within=NOTHING) for part in LOWER)))


@MEASURES
@pytest.mark.families(*UPPER)
@pytest.mark.claim("C24")
def test_top_of_the_spectrum_carries_more_of_the_effect_than_of_the_energy(
    retained, kept_energy, holds, family, measure
):
    holds(reduce(and_, (retained(family, part) > kept_energy(family, part) for part in UPPER)))


@MEASURES
@pytest.mark.families("top_25", "bottom_25")
@pytest.mark.claim("C24")
def test_top_quarter_steers_further_than_the_bottom_quarter_at_full_norm(effect, holds, family, measure):
    holds(effect(family, TOP_FULL) > effect(family, BOTTOM_FULL))


@THIN
@pytest.mark.claim("C24")
def test_random_directions_of_equal_spectrum_keep_as_much_of_their_energy(kept_energy, holds, family):
    holds(kept_energy(family, random_directions).approx(kept_energy(family, "top_90_energy"), within=1e-3))


@MEASURES
@pytest.mark.families("base_top_25")
@pytest.mark.claim("C25")
def test_top_of_the_weights_spectrum_carries_more_of_the_effect_than_of_the_energy(
    retained, kept_energy, holds, family, measure
):
    holds(retained(family, "base_top_25") > kept_energy(family, "base_top_25"))


@MEASURES
@pytest.mark.families("base_top_25")
@pytest.mark.claim("C25")
def test_top_of_the_weights_spectrum_reproduces_the_effect_at_full_norm(retained, holds, family, measure):
    holds(retained(family, BASE_FULL) > MATCHES)


@MEASURES
@pytest.mark.families("drop_base_top_25")
@pytest.mark.claim("C25")
def test_dropping_the_top_of_the_weights_spectrum_leaves_nothing(retained, holds, family, measure):
    holds(retained(family, "drop_base_top_25").is_negligible(within=NOTHING))


@pytest.mark.families("top_90_energy")
@pytest.mark.parametrize(
    "parts",
    [("top_90_energy", "drop_top_90_energy"), ("base_top_25", "drop_base_top_25")],
    ids=" + ".join,
)
def test_a_crop_and_the_rest_are_dw(gap, family, parts):
    assert gap(family, *parts) < 1e-5


@pytest.mark.families("top_90_energy")
def test_top_middle_and_bottom_are_dw_but_for_what_its_rank_leaves_out(gap, family):
    assert gap(family, "top_25", "middle_50", "bottom_25") < LEFT_OUT


@MEASURES
@THIN
def test_random_directions_of_equal_spectrum_do_not_reproduce_the_effect(retained, must_not_hold, family, measure):
    must_not_hold(retained(family, random_directions) > MATCHES)


@MEASURES
@pytest.mark.parametrize("family", ["lora", "pissa", "delora"], scope="module")
def test_random_update_of_the_rank_and_norm_of_a_crop_at_full_norm_does_not(retained, must_not_hold, family, measure):
    must_not_hold(retained(family, partial(RandomLike, BASE_FULL)) > MATCHES)
