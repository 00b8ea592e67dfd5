"""Steering survives a thought: Yes or No is read after a chain of thought, on models that think.

On-policy, the steered model answers after its own thought; off-policy, after the thought of the unchanged model, which
is the same for every arm. A thought that is left open is closed by its token.
Source: research journal, 2026-04-26, sycophancy evaluation with thoughts; here on dilemmas.
"""

import numpy as np
import pytest

from ws.contest.contest import RANKED

pytestmark = pytest.mark.thinking

FOOTINGS = pytest.mark.parametrize("footing", ["one", "iso-kl"])
EACH_FAMILY = pytest.mark.parametrize("family", RANKED)


@FOOTINGS
@EACH_FAMILY
@pytest.mark.parametrize("policy", ["on", "off"])
@pytest.mark.claim("S5")
def test_effect_survives_a_thought(behind_thought, holds, family, policy, footing):
    holds(behind_thought(family, footing, policy=policy).effect > 0)


@FOOTINGS
@EACH_FAMILY
@pytest.mark.claim("S5")
def test_a_thought_of_its_own_adds_to_the_effect(behind_thought, holds, family, footing):
    on, off = (behind_thought(family, footing, policy=policy).effect for policy in ("on", "off"))
    holds(on > off)


def test_the_unchanged_model_thinks_one_thought(unsteered_thoughts):
    on, off = unsteered_thoughts
    np.testing.assert_array_equal(on, off)


def test_random_direction_has_no_effect_behind_a_thought(behind_thought, must_not_hold):
    must_not_hold(behind_thought("lora", policy="on", control="random").effect > 0)
