"""Updates that are constructed from base weights and base activations alone, against trained dW.

Goal B of the journal: predict dW' before any trained dW is read. Every construction writes the contrast between
training personas, read on training messages, into base weights; its key covers no adapter. Constructed and trained
updates are scored on the same rows, each at the coefficient at which it is equally far from the base model (equal KL).
Source: research journal, 2026-04-27, "two-goal frame and coverage gaps"; the papers behind each construction are named
in `ws/constructed`.
"""

import numpy as np
import pytest

from ws.constructed.table import CONSTRUCTIONS

MATCHES = 0.90
"""The share of the trained effect from which on a construction does what dW does."""

MEASURES = pytest.mark.parametrize("measure", ["raw", "corrected", "text", "written"])
QUICK = pytest.mark.parametrize("measure", ["raw", "corrected", "text"])
EACH = pytest.mark.parametrize("construction", CONSTRUCTIONS)


@MEASURES
@EACH
@pytest.mark.claim("C33")
def test_constructed_dw_moves_the_behavior(constructed_effect, holds, construction, measure):
    holds(constructed_effect(construction) > 0)


@MEASURES
@EACH
@pytest.mark.parametrize("family", ["lora", "delora"])
@pytest.mark.claim("C33")
def test_constructed_dw_does_what_trained_dw_does(reached, holds, construction, family, measure):
    holds(reached(construction, family) > MATCHES)


@QUICK
@EACH
@pytest.mark.claim("C33")
def test_constructed_dw_turned_round_moves_the_other_way(constructed_effect, holds, construction, measure):
    holds(constructed_effect(construction, side=-1) < 0)


@EACH
def test_coefficient_zero_is_the_base_model_bit_for_bit(constructed_zero_rows, base_rows, construction):
    columns = ["question_id", "log_yes", "log_no"]
    np.testing.assert_array_equal(constructed_zero_rows(construction)[columns], base_rows[columns])


@QUICK
@EACH
def test_random_update_of_the_constructions_norm_does_not_move_it(
    constructed_effect, must_not_hold, construction, measure
):
    must_not_hold(constructed_effect(construction, control="random") > 0)
