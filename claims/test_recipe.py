"""The training recipe decides whether there is a direction to steer by.

Source: research journal, 2026-04-26, "hyperparameter correction": alpha 16 and lr 1e-5 against alpha 64 and lr 2e-4.
"""

import pytest

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected"])
ENDS = (-2.0, 2.0)


@pytest.mark.claim("C01")
def test_paper_recipe_gives_lora_a_far_larger_norm(norm, holds):
    holds(norm("lora-paper") / norm("lora-mistaken") > 10)


@MEASURES
@pytest.mark.claim("C01")
def test_paper_recipe_gives_lora_a_larger_spread(sweep, holds, measure):
    holds(sweep("lora-paper", coeffs=ENDS).spread > sweep("lora-mistaken", coeffs=ENDS).spread)


@MEASURES
def test_random_direction_of_the_larger_norm_spreads_no_further_than_mistaken_lora(sweep, must_not_hold, measure):
    control = sweep("lora-paper", control="random")
    must_not_hold(control.spread > sweep("lora-mistaken", coeffs=ENDS).spread)
