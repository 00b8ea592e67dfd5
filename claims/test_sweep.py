"""Steering is graded: more of dW gives more of the behavior, while the model still answers.

Source: research journal, 2026-04-26, own-data sweep of Qwen3-1.7B over coefficients -1..+1.
"""

from functools import reduce
from itertools import pairwise
from operator import and_

import numpy as np
import pytest

from ws.adapters import FAMILIES

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected", "text"])
COEFFS = (-1.0, -0.5, 0.0, 0.5, 1.0)


def rises(sweep, coeffs):
    """The hypothesis that the mean grows from each coefficient to the next."""
    return reduce(and_, (sweep.at(high) > sweep.at(low) for low, high in pairwise(coeffs)))


@MEASURES
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.claim("C02")
def test_sweep_is_monotone_in_the_coefficient(sweep, holds, family, measure):
    holds(rises(sweep(family), COEFFS))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.claim("C02")
def test_pmass_stays_near_one_over_the_sweep(sweep, holds, family):
    arm = sweep(family)
    holds(reduce(and_, (arm.pmass(coeff) > 0.95 for coeff in COEFFS)))


@pytest.mark.parametrize("family", ["lora", "oft"])
def test_coefficient_zero_is_the_base_model_bit_for_bit(zero_rows, base_rows, family):
    columns = ["question_id", "log_yes", "log_no"]
    np.testing.assert_array_equal(zero_rows(family)[columns], base_rows[columns])


@MEASURES
def test_random_direction_of_lora_norm_is_not_monotone(sweep, must_not_hold, measure):
    must_not_hold(rises(sweep("lora", control="random"), (-2.0, 0.0, 1.0, 2.0)))
