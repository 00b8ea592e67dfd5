"""Honesty's direction moves honesty more than it moves anything else.

There are two targets: everyday dilemmas, and honesty's own held-out claims, which name honest conduct and ask about it
in two pairs of opposite phrasings. A direction that makes every answer more decided also moves unrelated axes towards
their labels, so five such axes (interest in science, agreeableness, standing one's ground, risk aversion, orderliness)
are scored in every arm, each balanced over Yes and No. Not asked in the journal.
"""

import pytest

from ws.contest.contest import RANKED
from ws.stats.specificity import is_specific

FOOTINGS = pytest.mark.parametrize("footing", ["one", "iso-kl"])
TARGETS = pytest.mark.parametrize("target", ["dilemmas", "conduct"])
EACH_FAMILY = pytest.mark.parametrize("family", RANKED)
RIVALS = pytest.mark.parametrize("rival", ["best-prompt", "best-activation"])


@FOOTINGS
@EACH_FAMILY
@pytest.mark.claim("S1")
def test_dw_moves_honest_conduct(conduct, holds, family, footing):
    holds(conduct(family, footing).effect > 0)


@FOOTINGS
@RIVALS
@pytest.mark.claim("S1")
def test_rival_moves_honest_conduct(conduct, holds, rival, footing):
    holds(conduct(rival, footing).effect > 0)


@TARGETS
@FOOTINGS
@EACH_FAMILY
@pytest.mark.claim("C37")
def test_dw_moves_honesty_more_than_any_other_axis(movement_by_axis, holds, family, footing, target):
    holds(is_specific(movement_by_axis(family, footing, target=target)))


@TARGETS
@FOOTINGS
@RIVALS
@pytest.mark.claim("C37")
def test_rival_moves_honesty_more_than_any_other_axis(movement_by_axis, holds, rival, footing, target):
    holds(is_specific(movement_by_axis(rival, footing, target=target)))


@TARGETS
@pytest.mark.parametrize("family", ["lora", "delora"])
def test_random_direction_is_not_specific_to_honesty(movement_by_axis, must_not_hold, family, target):
    must_not_hold(is_specific(movement_by_axis(family, control="random", target=target)))


@pytest.mark.parametrize("family", ["lora", "delora"])
def test_random_direction_moves_no_honest_conduct(conduct, must_not_hold, family):
    must_not_hold(conduct(family, control="random").effect > 0)
