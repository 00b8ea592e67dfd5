"""A direction trained on one behavior also moves the other.

Source: research journal, 2026-04-26: dW trained on sycophancy, scored on daily dilemmas (Qwen3-1.7B). The journal
proposed the opposite transfer too: dW trained on honesty, scored here on the "agree" pair of phrasings of held-out
sycophancy claims, where a positive number means agreeing more.
"""

import pytest

from ws.contest.contest import RANKED

MEASURES = pytest.mark.parametrize("measure", ["dilemmas", "text", "written"])
ON_SYCOPHANCY = pytest.mark.parametrize("measure", ["corrected", "text"])
FOOTINGS = pytest.mark.parametrize("footing", ["one", "iso-kl"])
EACH_FAMILY = pytest.mark.parametrize("family", RANKED)


@MEASURES
@EACH_FAMILY
@pytest.mark.claim("C29")
def test_sycophancy_direction_moves_towards_honesty(effect_of, holds, family, measure):
    up, down = (effect_of(family, trained="sycophancy", side=side) for side in (+1, -1))
    holds(up - down > 0)


@ON_SYCOPHANCY
@FOOTINGS
@EACH_FAMILY
@pytest.mark.claim("C29")
def test_honesty_direction_moves_towards_agreeing(effect_on_sycophancy, holds, family, footing, measure):
    holds(effect_on_sycophancy(family, footing) > 0)


@ON_SYCOPHANCY
@pytest.mark.parametrize("family", ["lora", "delora"])
def test_random_direction_moves_nothing_towards_agreeing(effect_on_sycophancy, must_not_hold, family, measure):
    must_not_hold(effect_on_sycophancy(family, control="random") > 0)
