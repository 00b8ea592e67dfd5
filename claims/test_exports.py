"""What dW does survives quantised inference: exported as a LoRA and read by llama.cpp, in the model's quantised file.

llama.cpp rounds activations to 8 bits before it multiplies them with quantised weights, so that a steered row is off by
a noise that the unsteered one does not share. Means over rows lose it; a single row does not. Its own rows of the
quantised file are compared with our rows of the very weights that the file unpacks to. Not asked in the journal.
"""

import pytest

MEASURES = pytest.mark.parametrize("measure", ["corrected", "text"])

MARGIN = 0.15
"""How far from 1 a slope may be. In a trial on a few prompts, log-ratios of the two likeliest tokens moved by 1.00 to
1.08 of what they move here in this model's Q4_1 file, seed by seed, and by 0.58 in a Q4_0 file, which weakens: the
margin is twice the one, and far from the other."""

CLOSE = 1e-3
"""Nats by which a row may differ because floating-point sums are taken in another order."""


@MEASURES
@pytest.mark.claim("C42")
def test_dw_keeps_its_mean_effect_in_a_quantised_file(in_llama, holds, measure):
    holds(in_llama("lora", "quantised").effect.approx(1, within=MARGIN))


@MEASURES
@pytest.mark.claim("C42")
def test_dw_moves_rows_as_far_in_a_quantised_file(in_llama, holds, measure):
    holds(in_llama("lora", "quantised").slope.approx(1, within=MARGIN))


@MEASURES
@pytest.mark.claim("C42")
def test_single_rows_blur_in_a_quantised_file(in_llama, holds, measure):
    holds(in_llama("lora", "quantised").correlation < in_llama("lora", "float32").correlation)


@MEASURES
@pytest.mark.claim("C42")
def test_each_row_is_the_same_in_a_float32_file(in_llama, holds, measure):
    holds(in_llama("lora", "float32").off < CLOSE)


@MEASURES
def test_shuffled_sides_have_no_such_effect(in_llama, must_not_hold, measure):
    must_not_hold(in_llama("lora", "quantised").effect_of_shuffled.approx(1, within=MARGIN))
