"""The head cannot read dh inside the adapted layers, nor is the Yes-No axis in a small basis of the pretrained model.

dh is the hidden state under +1 dW minus the hidden state under -1 dW, at the last token of "Do you agree?". Two figures
of the journal depend on a choice in their formula, so each is judged with the journal's choice and with the other one:
the journal's token energy grows with the length of a state, and its task basis is fitted without the mean of dh.

Source: research journal, 2026-04-27, "v10 wendler-style functional probe" (LoRA, Qwen3-0.6B, layers 8 to 21 of 28).
"""

import pytest

from ws.adapters import FAMILIES

EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)
LENSES = pytest.mark.parametrize("form", ["lens", "linear"])

NEAR_ZERO = 0.10
"""Share of the peak that counts as the journal's "essentially zero"; the same share is used for token energies."""

MODEL_BASES = ("write", "lm_head_read", "weak_readout", "write_not_read", "suppressed", "churn")


@EACH_FAMILY
@pytest.mark.parametrize("form", ["published", "normed"])
@pytest.mark.claim("C17")
def test_dh_has_a_tenth_of_the_token_energy_inside_adapted_layers(token_energy, holds, family, form):
    holds(token_energy(family, form) < 0.10)


@pytest.mark.claim("C17")
def test_dh_has_less_token_energy_than_a_random_direction_leaves(token_energy, holds):
    holds(token_energy("lora", "normed") < token_energy("lora", "normed", control="random"))


@EACH_FAMILY
@LENSES
@pytest.mark.claim("C17")
def test_dh_is_not_read_as_yes_or_no_inside_adapted_layers(logit_lens, holds, family, form):
    peaks = logit_lens(family, form)
    holds(peaks.inside.is_negligible(within=NEAR_ZERO * peaks.above))


@EACH_FAMILY
@LENSES
@pytest.mark.claim("C17")
def test_dh_is_read_best_above_the_adapted_layers(logit_lens, holds, family, form):
    peaks = logit_lens(family, form)
    holds(peaks.above > peaks.inside)


@LENSES
def test_random_direction_of_lora_norm_is_not_read_above_its_layers(logit_lens, must_not_hold, form):
    must_not_hold(logit_lens("lora", form, control="random").above > logit_lens("lora", form).inside)


@pytest.mark.parametrize("basis", MODEL_BASES)
@pytest.mark.claim("C18")
def test_no_base_model_basis_contains_the_yes_no_axis(axis_share, holds, basis):
    holds(axis_share(basis).value < 0.10)


@pytest.mark.claim("C18")
def test_random_basis_contains_its_share_of_the_yes_no_axis(axis_share, holds):
    holds(axis_share("random").z.is_negligible(within=1.0))


def test_span_of_the_answers_contains_the_yes_no_axis(axis_share, must_not_hold):
    answers = axis_share("answers").value
    must_not_hold(answers < 0.10)
    assert answers.value == pytest.approx(1, abs=1e-5)


@EACH_FAMILY
@pytest.mark.parametrize("basis", ["task", "uncentred"])
@pytest.mark.claim("C19")
def test_task_basis_of_rank_8_keeps_little_of_dh(preserved, holds, family, basis):
    holds(preserved(family, basis, 8) < 0.20)


@EACH_FAMILY
@pytest.mark.parametrize("basis", ["task", "uncentred"])
@pytest.mark.claim("C19")
def test_rank_64_keeps_more_than_twice_what_rank_8_keeps(preserved, holds, family, basis):
    holds(preserved(family, basis, 64) > 2 * preserved(family, basis, 8))


def test_basis_of_the_measured_prompts_themselves_keeps_dh(preserved, must_not_hold):
    must_not_hold(preserved("lora", "own", 8) < 0.20)
