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

FOOTINGS = pytest.mark.parametrize("footing", ["one", "iso-kl"])
EACH_FAMILY = pytest.mark.parametrize("family", RANKED)
ASKS_FOR = {prompt.name: prompt.toward for prompt in prompts_for("honesty") if prompt.toward}


@FOOTINGS
@EACH_FAMILY
@pytest.mark.claim("C08")
def test_dw_beats_the_best_prompt(effect_on_dilemmas, holds, family, footing):
    holds(effect_on_dilemmas(family, footing) > effect_on_dilemmas("best-prompt"))


@pytest.mark.claim("C08")
def test_simple_honest_prompt_backfires(effect_on_dilemmas, holds):
    holds(effect_on_dilemmas("simple-honest") < 0)


@pytest.mark.parametrize("prompt", ASKS_FOR)
@pytest.mark.claim("S7")
def test_prompts_move_dilemmas_where_they_ask(effect_on_dilemmas, holds, prompt):
    holds(ASKS_FOR[prompt] * effect_on_dilemmas(prompt) > 0)


@FOOTINGS
@EACH_FAMILY
@pytest.mark.claim("C09")
def test_dw_beats_a_persona_prompt(effect_on_dilemmas, holds, family, footing):
    holds(effect_on_dilemmas(family, footing) > effect_on_dilemmas("honest-engineer"))


@pytest.mark.claim("C09")
def test_persona_prompt_backfires(effect_on_dilemmas, holds):
    holds(effect_on_dilemmas("honest-engineer") < 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.claim("C10")
def test_activation_direction_is_near_noise_at_coefficient_one(effect_on_dilemmas, holds, method):
    margin = NOISE * effect_on_dilemmas("delora")
    holds(effect_on_dilemmas(method).is_negligible(within=margin))


@EACH_FAMILY
@pytest.mark.claim("C10")
def test_dw_beats_the_best_activation_direction_at_its_best(effect_on_dilemmas, holds, family):
    holds(effect_on_dilemmas(family) > effect_on_dilemmas("best-activation", "best"))


@pytest.mark.parametrize("method", METHODS)
@EACH_FAMILY
@pytest.mark.claim("C10")
def test_dw_beats_activation_directions_at_equal_kl(effect_on_dilemmas, holds, family, method):
    holds(effect_on_dilemmas(family, "iso-kl") > effect_on_dilemmas(method, "iso-kl"))


@pytest.mark.parametrize("method", METHODS)
def test_random_activation_direction_of_equal_length_moves_no_dilemmas(effect_on_dilemmas, must_not_hold, method):
    must_not_hold(effect_on_dilemmas(method, control="random") > 0)
