"""Claims of my own about steering with weight differences. Source: my notebook, and the figures I would publish."""

import pytest


@pytest.mark.claim("X01", published="DeLoRA 23.85 vs LoRA 9.76")
def test_delora_steers_further_than_lora(sweep, holds):
    holds(sweep("delora").spread > sweep("lora").spread)


def test_a_random_direction_of_deloras_norm_does_not(sweep, must_not_hold):  # its control
    must_not_hold(sweep("delora", control="random").spread > sweep("lora").spread)


@pytest.mark.claim("X02")
@pytest.mark.parametrize("family", ["lora"])
def test_the_top_carries_most(family, effect, holds):
    holds(effect(family, "top_25") > 0.5 * effect(family))
