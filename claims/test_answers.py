"""What dW does to text: to what the model would write, and to what it writes.

In text, the steered model reads answers that the unchanged model gave under opposite personas to messages that nothing
is trained on; the effect is how much likelier those of one side became than those of the other. Written, it answers
such messages itself, and the unchanged model judges each answer by prompts of neither training nor any rival. Both are
nats per token. Best prompts and activation directions are chosen on text that no claim reads. Not asked in the journal.
"""

import pytest

from ws.adapters import FAMILIES
from ws.contest.contest import RANKED

NEGLIGIBLE = 0.10
"""Share of the effect of dW; more would be no nothing."""

TEXT = pytest.mark.parametrize("measure", ["text"])
WRITTEN = pytest.mark.parametrize("measure", ["written"])
BOTH = pytest.mark.parametrize("measure", ["text", "written"])
FOOTINGS = pytest.mark.parametrize("footing", ["one", "iso-kl"])
BEHAVIORS = pytest.mark.parametrize("behavior_name", ["honesty", "sycophancy"])
EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)
EACH_RANKED = pytest.mark.parametrize("family", RANKED)
SOME = pytest.mark.parametrize("family", ["lora", "pissa", "delora"])


@TEXT
@EACH_FAMILY
@pytest.mark.claim("C38")
def test_dw_moves_text_towards_sycophancy(sweep, holds, family, measure):
    holds(sweep(family).effect > 0)


@TEXT
@FOOTINGS
@EACH_RANKED
@pytest.mark.claim("C38")
def test_dw_moves_text_towards_honesty(effect_of, holds, family, footing, measure):
    holds(effect_of(family, footing) > 0)


@TEXT
@SOME
@pytest.mark.claim("C38")
def test_random_dw_moves_text_next_to_nothing(sweep, holds, family, measure):
    holds(sweep(family, control="random").effect.is_negligible(within=NEGLIGIBLE * sweep(family).effect))


@TEXT
@BEHAVIORS
@FOOTINGS
@EACH_RANKED
@pytest.mark.claim("C39")
def test_dw_moves_text_further_than_its_best_rivals(effect_of, holds, family, footing, behavior_name, measure):
    dw = effect_of(family, footing)
    holds((dw > effect_of("best-prompt")) & (dw > effect_of("best-activation", footing)))


@WRITTEN
@EACH_FAMILY
@pytest.mark.claim("C40")
def test_dw_moves_what_the_model_writes_towards_sycophancy(sweep, holds, family, measure):
    holds(sweep(family).effect > 0)


@WRITTEN
@FOOTINGS
@EACH_RANKED
@pytest.mark.claim("C40")
def test_dw_moves_what_the_model_writes_towards_honesty(effect_of, holds, family, footing, measure):
    holds(effect_of(family, footing) > 0)


@BOTH
@SOME
def test_random_dw_does_not_move_it(sweep, must_not_hold, family, measure):
    must_not_hold(sweep(family, control="random").effect > 0)


@BOTH
@EACH_FAMILY
def test_shuffled_sides_are_not_moved(sweep, must_not_hold, family, measure):
    must_not_hold(sweep(family).with_sides_shuffled().effect > 0)


@BOTH
def test_two_adapters_of_the_same_sign_move_it_less_than_opposite_ones(sweep, must_not_hold, measure):
    must_not_hold(sweep("lora", control="same_sign").effect > sweep("lora").effect)
