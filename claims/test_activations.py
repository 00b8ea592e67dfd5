"""Activation directions: steering shows along them, but the weights that steer hardly write there.

An oracle is a set of directions per layer. The weight oracle holds the top directions of what dW writes to the residual
stream, an activation oracle those along which steering moves the stream. Shares are of the effect of all residual
writes at the same coefficient.

Source: research journal, 2026-04-27, "v9 cross-adapter results" (overlap with the weight oracle, top 8 directions, mean
over adapted layers) and "v10 functional projection" (residual writes cut along the block-local activation oracle,
K = 32).
"""

from functools import reduce
from itertools import pairwise
from operator import and_

import pytest

from ws.adapters import FAMILIES
from ws.study.cuts import Along

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected", "text"])
EVERY_FAMILY = pytest.mark.parametrize("family", FAMILIES, scope="module")
OTHERS = [name for name in FAMILIES if name != "delora"]

ALPHAS = (0.5, 1.0, 2.0, 4.0)
INSIDE, OUTSIDE = Along(), Along(keep=False)
MATCHED, RANDOM_MATCHED = Along(matched=True), Along(matched=True, of="random")
OWN = Along(of="weight")


def rises(arm):
    """The hypothesis that the mean grows from each coefficient to the next."""
    return reduce(and_, (arm.at(high) > arm.at(low) for low, high in pairwise(ALPHAS)))


@EVERY_FAMILY
@pytest.mark.parametrize("oracle", ["cumulative", "block"])
@pytest.mark.claim("C11")
def test_weight_and_activation_oracles_barely_overlap(oracle_overlap, holds, family, oracle):
    holds(oracle_overlap(family, "weight", oracle) < 0.05)


@EVERY_FAMILY
@pytest.mark.parametrize("oracle", ["persona", "task"])
@pytest.mark.claim("C11")
def test_task_differences_barely_overlap_with_the_weight_oracle(oracle_overlap, holds, family, oracle):
    holds(oracle_overlap(family, "weight", oracle) < 0.08)


@EVERY_FAMILY
def test_two_activation_oracles_overlap_more_than_barely(oracle_overlap, must_not_hold, family):
    must_not_hold(oracle_overlap(family, "cumulative", "block") < 0.05)


@pytest.mark.parametrize("family", OTHERS, scope="module")
@pytest.mark.claim("C12")
def test_strongest_steerer_has_the_lowest_overlap(oracle_overlap, holds, family):
    holds(oracle_overlap("delora", "weight", "cumulative") < oracle_overlap(family, "weight", "cumulative"))


@MEASURES
@pytest.mark.claim("C12")
@pytest.mark.every_family
def test_families_that_steer_further_overlap_less(rank_correlation, holds, measure):
    holds(rank_correlation("weight", "cumulative") < 0)


def test_strongest_steerer_overlaps_random_directions_no_less(oracle_overlap, must_not_hold):
    must_not_hold(oracle_overlap("delora", "weight", "random") < oracle_overlap("lora", "weight", "random"))


@EVERY_FAMILY
@pytest.mark.claim("C13")
def test_activation_oracles_coincide_at_the_first_adapted_layer(oracle_overlap, holds, family):
    holds(oracle_overlap(family, "cumulative", "block", at="first").approx(1, within=0.01))


@EVERY_FAMILY
def test_activation_oracles_part_by_the_last_adapted_layer(oracle_overlap, must_not_hold, family):
    must_not_hold(oracle_overlap(family, "cumulative", "block", at="last").approx(1, within=0.01))


@MEASURES
@EVERY_FAMILY
@pytest.mark.claim("C14")
def test_writes_inside_activation_directions_carry_under_a_fifth(share, holds, family, measure):
    holds(share(family, INSIDE) < 0.20)


@MEASURES
@EVERY_FAMILY
@pytest.mark.claim("C14")
def test_writes_outside_activation_directions_carry_the_effect(share, holds, family, measure):
    holds(share(family, OUTSIDE) > 0.80)


@MEASURES
@pytest.mark.parametrize("family", ["lora", "delora"], scope="module")
@pytest.mark.claim("C14")
def test_no_fewer_activation_directions_carry_a_fifth(share, holds, ks, k, family, measure):
    holds(reduce(and_, (share(family, Along(few)) < 0.20 for few in ks if few < k)))


@MEASURES
@pytest.mark.parametrize("family", ["lora", "delora"], scope="module")
@pytest.mark.claim("C14")
def test_more_activation_directions_carry_more(writes_effect, holds, ks, k, family, measure):
    effects = [writes_effect(family, Along(many)) for many in ks if many == ks[0] or many >= k]
    holds(reduce(and_, (more > fewer for fewer, more in pairwise(effects))))


@MEASURES
@pytest.mark.claim("C14")
def test_writes_inside_carry_under_a_fifth_of_delora_at_every_coefficient(share, holds, measure):
    holds(reduce(and_, (share("delora", INSIDE, coeff=alpha) < 0.20 for alpha in ALPHAS)))


@MEASURES
@pytest.mark.claim("C14")
def test_writes_outside_carry_delora_at_every_coefficient(share, holds, measure):
    holds(reduce(and_, (share("delora", OUTSIDE, coeff=alpha) > 0.80 for alpha in ALPHAS)))


@MEASURES
@pytest.mark.parametrize("family", ["lora", "delora"], scope="module")
def test_as_many_directions_of_the_writes_own_carry_a_fifth(share, must_not_hold, family, measure):
    must_not_hold(share(family, OWN) < 0.20)


@EVERY_FAMILY
def test_writes_inside_and_outside_are_all_writes(cut_gap, family):
    assert cut_gap(family) < 1e-6


@MEASURES
@pytest.mark.parametrize("family", ["pissa", "oft"], scope="module")
@pytest.mark.claim("C15")
def test_norm_matched_activation_directions_are_potent(share, holds, family, measure):
    holds(share(family, MATCHED) > 1)


@MEASURES
@pytest.mark.claim("C15")
def test_norm_matched_activation_directions_stay_behind_in_delora(share, holds, measure):
    holds(reduce(and_, (share("delora", MATCHED, coeff=alpha) < 1 for alpha in ALPHAS)))


@MEASURES
@pytest.mark.parametrize("family", ["pissa", "oft", "delora"], scope="module")
def test_norm_matched_random_directions_are_not_potent(share, must_not_hold, family, measure):
    must_not_hold(share(family, RANDOM_MATCHED) > 1)


@MEASURES
@EVERY_FAMILY
@pytest.mark.claim("C16")
def test_effect_of_residual_writes_grows_with_alpha(writes, holds, family, measure):
    holds(rises(writes(family, coeffs=ALPHAS)))


@MEASURES
def test_effect_of_random_writes_does_not_grow_with_alpha(random_writes, must_not_hold, measure):
    must_not_hold(rises(random_writes("lora", coeffs=ALPHAS)))
