"""A direction trained on one behavior also moves the other.

Source: research journal, 2026-04-26: dW trained on sycophancy, scored on daily dilemmas (Qwen3-1.7B). The journal
proposed the opposite transfer too: dW trained on honesty, scored here on the "agree" pair of phrasings of held-out
sycophancy claims, where a positive number means agreeing more.
"""

import pytest

from ws.contest.contest import RANKED

FOOTINGS = pytest.mark.parametrize("footing", ["one", "iso-kl"])
EACH_FAMILY = pytest.mark.parametrize("family", RANKED)


@EACH_FAMILY
@pytest.mark.claim("C29")
def test_sycophancy_direction_moves_dilemmas_towards_honesty(effect_on_dilemmas, holds, family):
    up, down = (effect_on_dilemmas(family, trained="sycophancy", side=side) for side in (+1, -1))
    holds(up - down > 0)


@FOOTINGS
@EACH_FAMILY
@pytest.mark.claim("C29")
def test_honesty_direction_moves_claims_towards_agreeing(sycophancy, holds, family, footing):
    holds(sycophancy(family, footing).effect > 0)


@pytest.mark.parametrize("family", ["lora", "delora"])
def test_random_direction_moves_no_claims_towards_agreeing(sycophancy, must_not_hold, family):
    must_not_hold(sycophancy(family, control="random").effect > 0)
