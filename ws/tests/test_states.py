"""States at the last token equal those of each prompt alone, and steering leaves states below dW untouched."""

import pytest
import torch

from ws.behaviors import Question
from ws.delta.steering import steered
from ws.errors import MismatchError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel
from ws.steering.states import Prompt, States, batched, last_states, read_states, states_above
from ws.store import Store
from ws.tests.small import LAYERS, ON, SYCOPHANCY, adapter, fingerprint, random_update
from ws.training.direction import Direction, direction_delta

QUESTIONS: tuple[Question, ...] = SYCOPHANCY.questions("validation")[:6]
PROMPTS = (
    *(Prompt(question.text, prefill=SYCOPHANCY.prefill) for question in QUESTIONS),
    Prompt("What is rain?", system="You are terse."),
)
DIRECTION = Direction(adapter(sign="plus"), adapter(sign="minus"))


def alone(lm: LanguageModel, prompt: Prompt) -> torch.Tensor:
    """The states of one prompt by transformers' own output_hidden_states, whose last entry is behind the norm."""
    ids = torch.tensor([prompt_ids(lm.tokenizer, **prompt._asdict())])
    with torch.no_grad():
        states = lm.model(input_ids=ids, output_hidden_states=True).hidden_states
    return torch.stack([state[0, -1] for state in states])


def test_packed_states_are_those_of_each_prompt_alone(lm: LanguageModel) -> None:
    found = last_states(lm, PROMPTS)
    reference = torch.stack([alone(lm, prompt) for prompt in PROMPTS], dim=1)
    torch.testing.assert_close(found[:-1], reference[:-1], atol=1e-4, rtol=1e-3)
    normed = lm.model.get_decoder().norm(found[-1])
    torch.testing.assert_close(normed, reference[-1], atol=1e-4, rtol=1e-3)


def test_steering_moves_the_states_above_its_lowest_layer_only(lm: LanguageModel) -> None:
    still = last_states(lm, PROMPTS)
    with steered(lm, random_update(lm), coeff=1.0):
        moved = last_states(lm, PROMPTS)
    same = [torch.equal(a, b) for a, b in zip(still, moved, strict=True)]
    assert same == [True] * (LAYERS.start + 1) + [False] * (lm.n_layers - LAYERS.start)


def test_states_that_start_above_are_the_rest(lm: LanguageModel) -> None:
    above = states_above(lm, batched(lm, PROMPTS, start=LAYERS.start))
    torch.testing.assert_close(above, last_states(lm, PROMPTS)[LAYERS.start :])


def test_reading_states_leaves_no_trace(lm: LanguageModel) -> None:
    before = fingerprint(lm)
    states_above(lm, batched(lm, PROMPTS, start=LAYERS.start))
    assert fingerprint(lm) == before


def test_states_are_kept_as_an_artifact(store: Store, lm: LanguageModel) -> None:
    kept, base = (read_states(store, recipe) for recipe in (States(ON, PROMPTS, DIRECTION, -1.0), States(ON, PROMPTS)))
    torch.testing.assert_close(base, last_states(lm, PROMPTS))
    with steered(lm, direction_delta(DIRECTION, lm, store), coeff=-1.0):
        torch.testing.assert_close(kept, last_states(lm, PROMPTS))
    assert torch.equal(kept[: LAYERS.start + 1], base[: LAYERS.start + 1])
    assert not torch.equal(kept[-1], base[-1])


@pytest.mark.parametrize(("direction", "coeff"), [(None, 1.0), (DIRECTION, 0.0)])
def test_a_direction_needs_a_coefficient(direction: Direction | None, coeff: float) -> None:
    with pytest.raises(MismatchError, match="give a direction and a coefficient"):
        States(ON, PROMPTS, direction, coeff)


def test_states_of_another_model_are_refused() -> None:
    from ws.models.language import Placed
    from ws.models.table import weights_of

    with pytest.raises(MismatchError, match="adapter for another model"):
        States(Placed(weights_of("smollm2-135m")), PROMPTS, DIRECTION, 1.0)
