"""dW against what costs no training: system prompts and activation directions, on identical rows.

Whatever a rival can choose (which prompt, which blocks, which coefficient) is chosen on validation dilemmas. A prompt
has a single strength, so its KL is reported beside its effect. Prompts after AxBench (Wu et al. 2025, appendix J.2),
activation directions after RepE (Zou et al. 2023), CAA (Rimsky et al. 2024) and persona vectors (Chen et al. 2025).
Source: research journal, 2026-04-26 (persona) and 2026-04-27 (T1 activation steering, T3 prompts).
"""

import pytest

from ws.behaviors.prompts import prompts_for
from ws.contest.contest import RANKED
from ws.contest.vectors import METHODS

NOISE = 0.10
"""Share of DeLoRA's effect; the journal's activation directions have 2% at coefficient 1, and 21% at the best one."""

MEASURES = pytest.mark.parametrize("measure", ["dilemmas", "text", "written"])
FOOTINGS = pytest.mark.parametrize("footing", ["one", "iso-kl"])
EACH_FAMILY = pytest.mark.parametrize("family", RANKED)
ASKS_FOR = {prompt.name: prompt.toward for prompt in prompts_for("honesty") if prompt.toward}


@MEASURES
@FOOTINGS
@EACH_FAMILY
@pytest.mark.claim("C08")
def test_dw_beats_the_best_prompt(effect_of, holds, family, measure, footing):
    holds(effect_of(family, footing) > effect_of("best-prompt"))


@MEASURES
@pytest.mark.claim("C08")
def test_simple_honest_prompt_backfires(effect_of, holds, measure):
    holds(effect_of("simple-honest") < 0)


@MEASURES
@pytest.mark.parametrize("prompt", ASKS_FOR)
@pytest.mark.claim("S7")
def test_prompts_move_where_they_ask(effect_of, holds, prompt, measure):
    holds(ASKS_FOR[prompt] * effect_of(prompt) > 0)


@MEASURES
@FOOTINGS
@EACH_FAMILY
@pytest.mark.claim("C09")
def test_dw_beats_a_persona_prompt(effect_of, holds, family, measure, footing):
    holds(effect_of(family, footing) > effect_of("honest-engineer"))


@MEASURES
@pytest.mark.claim("C09")
def test_persona_prompt_backfires(effect_of, holds, measure):
    holds(effect_of("honest-engineer") < 0)


@MEASURES
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.claim("C10")
def test_activation_direction_is_near_noise_at_coefficient_one(effect_of, holds, method, measure):
    margin = NOISE * effect_of("delora")
    holds(effect_of(method).is_negligible(within=margin))


@MEASURES
@EACH_FAMILY
@pytest.mark.claim("C10")
def test_dw_beats_the_best_activation_direction_at_its_best(effect_of, holds, family, measure):
    holds(effect_of(family) > effect_of("best-activation", "best"))


@MEASURES
@pytest.mark.parametrize("method", METHODS)
@EACH_FAMILY
@pytest.mark.claim("C10")
def test_dw_beats_activation_directions_at_equal_kl(effect_of, holds, family, method, measure):
    holds(effect_of(family, "iso-kl") > effect_of(method, "iso-kl"))


@MEASURES
@pytest.mark.parametrize("method", METHODS)
def test_random_activation_direction_of_equal_length_moves_nothing(effect_of, must_not_hold, method, measure):
    must_not_hold(effect_of(method, control="random") > 0)
