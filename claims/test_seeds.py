"""What other seeds change: adapters start elsewhere and learn from other sampled answers to the same messages.

Seeds are compared two by two, each in one couple, so that the couples are independent.
Source: research journal, 2026-04-27, status of fork plan T1 to T8, T4 (many seeds: proposed, not run).
"""

import pytest

from ws.adapters import FAMILIES

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected", "text"])
EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)

ALIKE = 0.5
"""Spearman's correlation of two rankings of seven families whose places are two apart, as root mean square."""

ORTHOGONAL = 0.1
"""Cosine of two dW that have a hundredth of their energy in common."""

MOST = 0.5
"""Share of the effect."""


@MEASURES
@pytest.mark.claim("C27")
@pytest.mark.every_family
def test_rankings_of_families_survive_other_seeds(ranking_between_seeds, holds, measure):
    holds(ranking_between_seeds() > ALIKE)


@EACH_FAMILY
@pytest.mark.claim("C41")
def test_directions_of_two_seeds_are_nearly_orthogonal(cosine_between_seeds, holds, family):
    holds(cosine_between_seeds(family).is_negligible(within=ORTHOGONAL))


@EACH_FAMILY
@pytest.mark.claim("C41")
def test_directions_of_two_seeds_move_the_same_log_probabilities(moved_alike, holds, family):
    holds(moved_alike(family) > 0)


@MEASURES
@EACH_FAMILY
@pytest.mark.claim("C41")
def test_mean_of_two_seeds_keeps_most_of_the_effect(mean_retained, holds, family, measure):
    holds(mean_retained(family) > MOST)


@pytest.mark.parametrize("family", ["lora", "delora"])
def test_random_directions_move_no_log_probabilities_alike(moved_alike, must_not_hold, family):
    must_not_hold(moved_alike(family, control="random") > 0)
