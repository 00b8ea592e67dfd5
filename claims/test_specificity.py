"""Honesty's direction moves honesty more than it moves anything else.

There are two targets: everyday dilemmas, and honesty's own held-out claims, which name honest conduct and ask about it
in two pairs of opposite phrasings. A direction that makes every answer more decided also moves unrelated axes towards
their labels, so five such axes (interest in science, agreeableness, standing one's ground, risk aversion, orderliness)
are scored in every arm, each balanced over Yes and No. In text, sycophantic answers and their opposites are off target:
imitation of the manner in which personas talk would move these as well. Not asked in the journal.
"""

import pytest

from ws.contest.contest import RANKED
from ws.stats.specificity import is_specific

FOOTINGS = pytest.mark.parametrize("footing", ["one", "iso-kl"])
TARGETS = pytest.mark.parametrize("target", ["dilemmas", "conduct"])
IN_TEXT = pytest.mark.parametrize("measure", ["text"])
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


@IN_TEXT
@FOOTINGS
@EACH_FAMILY
@pytest.mark.claim("C37")
def test_dw_moves_honest_text_more_than_sycophantic_text(movement_in_text, holds, family, footing, measure):
    holds(is_specific(movement_in_text(family, footing)))


@IN_TEXT
@FOOTINGS
@RIVALS
@pytest.mark.claim("C37")
def test_rival_moves_honest_text_more_than_sycophantic_text(movement_in_text, holds, rival, footing, measure):
    holds(is_specific(movement_in_text(rival, footing)))


@IN_TEXT
@pytest.mark.parametrize("family", ["lora", "delora"])
def test_random_direction_is_not_specific_to_honest_text(movement_in_text, must_not_hold, family, measure):
    must_not_hold(is_specific(movement_in_text(family, control="random")))


@TARGETS
@pytest.mark.parametrize("family", ["lora", "delora"])
def test_random_direction_is_not_specific_to_honesty(movement_by_axis, must_not_hold, family, target):
    must_not_hold(is_specific(movement_by_axis(family, control="random", target=target)))


@pytest.mark.parametrize("family", ["lora", "delora"])
def test_random_direction_moves_no_honest_conduct(conduct, must_not_hold, family):
    must_not_hold(conduct(family, control="random").effect > 0)
