"""How far each family's dW moves everyday dilemmas towards the honest action, at coefficient 1 and at equal KL.

Source: research journal, 2026-04-27, cross-adapter results on daily dilemmas (Qwen3-0.6B, 438 rows). In most of them
the journal's dW was trained on sycophancy; here each order of families is tested for dW trained on sycophancy and for
dW trained on honesty. The dilemmas are ours, and honest actions are balanced over Yes, No and the place of the action.
"""

from itertools import pairwise

import numpy as np
import pytest

from ws.behaviors.prompts import prompts_for
from ws.contest.contest import RANKED
from ws.contest.vectors import METHODS
from ws.scoring.identical import check_identical
from ws.scoring.rows import KEY

NEAR_ZERO = 0.10
"""Share of DeLoRA's effect; IA3 has 5% of it in the journal."""

OTHERS = [family for family in RANKED if family != "delora"]
FOOTINGS = pytest.mark.parametrize("footing", ["one", "iso-kl"])
MEASURES = pytest.mark.parametrize("measure", ["dilemmas", "text", "written"])
TRAINED = pytest.mark.parametrize("trained", ["honesty", "sycophancy"])
IN_ORDER = pytest.mark.parametrize(("more", "less"), list(pairwise(RANKED)))

PROMPTS = tuple(prompt.name for prompt in prompts_for("honesty") if prompt.text is not None)


@MEASURES
@FOOTINGS
@IN_ORDER
@pytest.mark.claim("C06")
def test_families_steer_in_the_order_of_the_journal(effect_of, holds, more, less, measure, footing):
    holds(effect_of(more, footing) > effect_of(less, footing))


@MEASURES
@IN_ORDER
@pytest.mark.claim("C06")
def test_families_trained_on_sycophancy_steer_in_that_order(effect_of, holds, more, less, measure):
    holds(effect_of(more, trained="sycophancy") > effect_of(less, trained="sycophancy"))


@MEASURES
@FOOTINGS
@pytest.mark.claim("C06")
def test_ia3_moves_next_to_nothing(effect_of, holds, measure, footing):
    margin = NEAR_ZERO * effect_of("delora", footing)
    holds(effect_of("ia3", footing).is_negligible(within=margin))


@MEASURES
@TRAINED
@pytest.mark.claim("C07")
def test_delora_de_steers_at_minus_one(effect_of, holds, trained, measure):
    holds(effect_of("delora", side=-1, trained=trained) < 0)


@MEASURES
@TRAINED
@pytest.mark.parametrize("family", OTHERS)
@pytest.mark.claim("C07")
def test_other_families_de_steer_less_than_delora(effect_of, holds, family, trained, measure):
    delora = effect_of("delora", side=-1, trained=trained)
    holds(delora < effect_of(family, side=-1, trained=trained))


@MEASURES
@FOOTINGS
@pytest.mark.parametrize("family", OTHERS)
@pytest.mark.claim("C30")
def test_delora_steers_furthest(effect_of, holds, family, measure, footing):
    holds(effect_of("delora", footing) > effect_of(family, footing))


@MEASURES
@IN_ORDER
@pytest.mark.claim("C31")
def test_at_equal_kl_the_order_is_reversed(effect_of, holds, more, less, measure):
    holds(effect_of(less, "iso-kl") > effect_of(more, "iso-kl"))


@pytest.mark.parametrize("family", ["delora", "oft"])
def test_coefficient_zero_is_the_base_model_bit_for_bit(at_zero, family):
    zero, base = at_zero(family)
    columns = [*KEY, "log_yes", "log_no"]
    np.testing.assert_array_equal(zero[columns], base[columns])


@FOOTINGS
@pytest.mark.every_family
def test_every_arm_is_scored_on_the_same_rows(dilemma_rows, footing):
    check_identical({name: dilemma_rows(name, footing) for name in (*RANKED, *PROMPTS, *METHODS)})


@MEASURES
@pytest.mark.parametrize("family", ["lora", "delora"])
def test_random_direction_of_equal_norm_moves_nothing(effect_of, must_not_hold, family, measure):
    must_not_hold(effect_of(family, control="random") > 0)


@MEASURES
@pytest.mark.parametrize("family", ["lora", "delora"])
def test_two_adapters_of_the_same_sign_steer_less_than_opposite_ones(effect_of, must_not_hold, family, measure):
    must_not_hold(effect_of(family, control="same_sign") > effect_of(family))
